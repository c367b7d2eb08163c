"""The list of applications: what it shows, searching, filtering and paging."""

from uuid import uuid4

from sqlalchemy import insert

from heartbeat_central.domain.application import settings_from
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.services.manage_applications import create_application
from heartbeat_central.storage import tables
from tests.support.visitor import Page, Visitor
from tests.web.conftest import BASE_URL, Site, clock


def names(page: Page) -> list[str]:
    return page.texts("#applications .name")


def statuses(page: Page) -> dict[str, str]:
    """The status shown with each name."""
    rows = page.soup.select("#applications tbody tr")
    return {
        row.select_one(".name").get_text(): row.select_one(".status").get_text()  # type: ignore[union-attr]
        for row in rows
    }


def chips(page: Page) -> list[str]:
    return page.texts(".chips .chip")


def everything(site: Site) -> None:
    """One application of each status, two that are down."""
    site.watch("New one")
    site.beat(site.watch("Up one"))
    site.beat(site.watch("Late one", interval=60, age=500), ago=120)
    site.beat(site.watch("Running one"), SignalKind.START)
    site.beat(site.watch("Failed one"), SignalKind.FAIL)
    site.watch("Paused one", is_active=False)
    site.watch("Silent one", interval=1, age=700)
    site.detect()


def test_shows_every_status_the_most_pressing_first(ada: Visitor, site: Site) -> None:
    everything(site)
    page = ada.get("/")
    assert statuses(page) == {
        "Failed one": "Down",
        "Silent one": "Down",
        "Late one": "Late",
        "Running one": "Running",
        "Up one": "Up",
        "New one": "New",
        "Paused one": "Paused",
    }
    assert names(page)[:3] == ["Failed one", "Silent one", "Late one"]
    assert chips(page) == ["All 7", "Down 2", "Late 1", "Running 1", "Up 1", "New 1", "Paused 1"]
    # What the browser's tab says after a live update.
    assert page.one("#applications")["data-title"] == "(2 down) Applications · Heartbeat Central"


def test_shows_last_heartbeat_next_expected_and_schedule(ada: Visitor, site: Site) -> None:
    application = site.watch("Shop", interval=300, age=100)
    site.beat(application, ago=65)
    row = ada.get("/").one("#applications tbody tr")
    cells = [" ".join(cell.get_text().split()) for cell in row.select("td")]
    assert cells[2:] == ["1 min ago", "in 3 min", "every 5 min + 10 min grace"]
    last, following = (str(one["datetime"]) for one in row.select("td > time"))
    assert last < following


def test_a_status_filter_shows_these_alone(ada: Visitor, site: Site) -> None:
    everything(site)
    page = ada.get("/")
    for chip, found in {
        "Down 2": ["Failed one", "Silent one"],
        "Late 1": ["Late one"],
        "Running 1": ["Running one"],
        "Up 1": ["Up one"],
        "New 1": ["New one"],
        "Paused 1": ["Paused one"],
    }.items():
        filtered = ada.get(page.link(chip))
        assert names(filtered) == found
        assert filtered.texts(".chip[aria-current]") == [chip]
        assert len(names(ada.get(filtered.link("All 7")))) == 7


def test_searches_by_name_within_the_filters(ada: Visitor, site: Site) -> None:
    site.watch("Backup of the shop", tags=["night"])
    site.watch("Backup of the mail", tags=["night"])
    site.watch("Mail queue")
    site.watch("100 % backup_plan")
    page = ada.submit(ada.get("/"), "Search", {"search": "BACKUP of"})
    assert names(page) == ["Backup of the mail", "Backup of the shop"]
    assert page.one("#search")["value"] == "BACKUP of"

    page = ada.submit(ada.get("/?tag=night&status=new"), "Search", {"search": "mail"})
    assert names(page) == ["Backup of the mail"]
    assert "tag=night" in page.path
    # Signs that mean something to a database mean themselves here.
    assert names(ada.get("/?search=%25")) == ["100 % backup_plan"]
    assert names(ada.get("/?search=_")) == ["100 % backup_plan"]
    page = ada.get("/?search=nothing+like+it")
    assert "None found" in page.text
    assert len(names(ada.get(page.link("Show all")))) == 4


def test_a_tag_leads_to_all_that_have_it_and_back(ada: Visitor, site: Site) -> None:
    site.watch("Shop", tags=["production", "a & b"])
    site.watch("Mail", tags=["production"])
    site.watch("Staging")
    page = ada.get(ada.get("/").link("a & b"))
    assert names(page) == ["Shop"]
    page = ada.get(ada.get("/").link("production"))
    assert names(page) == ["Mail", "Shop"]
    [back] = [str(one["href"]) for one in page.soup.select("#chip-tag")]
    assert len(names(ada.get(back))) == 3


def test_pages_hold_fifty_and_show_each_once(ada: Visitor, site: Site) -> None:
    for number in range(120):
        site.watch(f"Application {number:03}", tags=["all"])
    page = ada.get("/?tag=all")
    lengths, seen = [len(names(page))], names(page)
    while page.soup.select("#page-next"):
        page = ada.get(page.link("Older"))
        lengths.append(len(names(page)))
        seen += names(page)
    assert lengths == [50, 50, 20]
    assert sorted(seen) == [f"Application {number:03}" for number in range(120)]
    assert "tag=all" in page.path
    assert len(names(ada.get(page.link("Newest")))) == 50


def test_what_is_down_is_on_the_first_of_many_pages(ada: Visitor, site: Site) -> None:
    down = site.watch("Oldest of all")
    for number in range(60):
        site.watch(f"Application {number:03}")
    site.beat(down, SignalKind.FAIL)
    page = ada.get("/")
    assert page.texts("h2")[:2] == ["Down now", "All applications"]
    assert names(page)[0] == "Oldest of all"
    assert len(names(page)) == 51


def test_the_live_part_is_the_list_of_the_page(ada: Visitor, site: Site) -> None:
    everything(site)
    for query in ("", "?status=down", "?search=one&tag=x", "?before=3"):
        page = ada.get(f"/{query}")
        live = ada.get(str(page.one("#applications")["hx-get"]))
        assert live.status == 200
        assert names(live) == names(page)
        assert not live.soup.select("html")
        # What the address bar shows meanwhile leads to the same page.
        assert names(ada.get(live.headers["hx-replace-url"])) == names(page)


def test_a_live_part_sends_who_is_signed_out_to_sign_in(site: Site) -> None:
    site.add_user()
    page = site.visitor().get(
        "/fragments/applications",
        {"HX-Request": "true", "HX-Current-URL": "https://beats.example.org/?status=down"},
    )
    assert page.status == 401
    assert page.headers["hx-redirect"] == "/sign-in?next=%2F%3Fstatus%3Ddown"


def test_another_project_sees_nothing_of_it(ada: Visitor, site: Site) -> None:
    with site.world.database.write() as connection:
        other = connection.execute(
            insert(tables.projects)
            .values(uuid=uuid4(), name="Other", created_at=clock())
            .returning(tables.projects.c.id)
        ).scalar_one()
    site.watch("Ours")
    theirs = create_application(
        site.world.database,
        other,
        settings_from(name="Theirs", expected_interval=60, schedule=None, grace_period=0),
        now=clock(),
        base_url=BASE_URL,
    )
    assert names(ada.get("/")) == ["Ours"]
    assert ada.get(f"/applications/{theirs.id}").status == 404
