"""One application on the pages: registering, looking, changing, pausing and deleting it."""

import re
from typing import Any

import pytest

from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.services.list_applications import list_applications
from heartbeat_central.services.manage_applications import get_application
from tests.support.visitor import Page, Visitor
from tests.web.conftest import BASE_URL, ON_SQLITE, Site, clock

pytestmark = ON_SQLITE


def facts(page: Page) -> dict[str, str]:
    """What the summary says, by label."""
    return dict(
        zip(page.texts(".facts dt"), page.texts(".facts dd"), strict=True),
    )


def register(visitor: Visitor, **values: Any) -> Page:
    form = visitor.get("/applications/new")
    return visitor.submit(form, "Register application", {"name": "Nightly backup", **values})


def stored(site: Site) -> Any:
    """The newest application."""
    [view, *_] = list_applications(
        site.world.database, site.world.project_id, now=clock(), base_url=BASE_URL
    )
    return view


@pytest.mark.parametrize(
    ("given", "schedule", "interval", "shown"),
    [
        (
            {"kind": "interval", "interval": "90", "interval_unit": "seconds"},
            None,
            90,
            "every 1 min 30 s",
        ),
        (
            {"kind": "interval", "interval": "1,5", "interval_unit": "hours"},
            None,
            5400,
            "every 1 h 30 min",
        ),
        (
            {"kind": "interval", "interval": "7", "interval_unit": "days"},
            None,
            604_800,
            "every 7 d",
        ),
        (
            {"kind": "cron", "expression": " 30 2 * * 1-5 ", "timezone": "Europe/Vienna"},
            {"kind": "cron", "expression": "30 2 * * 1-5", "timezone": "Europe/Vienna"},
            None,
            "30 2 * * 1-5 (Europe/Vienna)",
        ),
        (
            {"kind": "cron", "expression": "@daily"},
            {"kind": "cron", "expression": "@daily", "timezone": "UTC"},
            None,
            "@daily (UTC)",
        ),
        (
            {
                "kind": "oncalendar",
                "expression": "Mon..Fri 02:30",
                "timezone": "America/New_York",
            },
            {
                "kind": "oncalendar",
                "expression": "Mon..Fri 02:30",
                "timezone": "America/New_York",
            },
            None,
            "Mon..Fri 02:30 (America/New_York)",
        ),
    ],
    ids=["seconds", "a decimal comma", "days", "cron", "cron alias", "OnCalendar"],
)
def test_registers_with_every_kind_of_schedule(
    ada: Visitor,
    site: Site,
    given: dict[str, str],
    schedule: dict[str, str] | None,
    interval: int | None,
    shown: str,
) -> None:
    page = register(ada, grace="10", grace_unit="minutes", **given)
    assert page.heading == "Nightly backup New"
    assert facts(page)["Schedule"] == shown
    assert facts(page)["Grace period"] == "10 min"
    view = stored(site)
    assert (view.schedule, view.expected_interval, view.grace_period) == (schedule, interval, 600)
    assert site.rings, "the monitor sleeps on, though a deadline is nearer now"
    # The form for changing it shows the same again.
    form = ada.get(page.link("Edit"))
    again = ada.submit(form, "Save")
    assert facts(again)["Schedule"] == shown
    assert stored(site).schedule == schedule


def test_registers_with_all_there_is_to_say(ada: Visitor, site: Site) -> None:
    hook, other = site.world.webhook("http://127.0.0.1:9/", "Hook"), site.world.webhook("http://x/")
    page = register(
        ada,
        tags=" production, night ,, production",
        description="First line\nSecond <b>line</b>",
        expect_first_heartbeat=False,
        channels=[str(hook)],
    )
    view = stored(site)
    assert view.tags == ("production", "night")
    assert view.description == "First line\nSecond <b>line</b>"
    assert view.expect_first_heartbeat is False
    assert view.channels == (hook,)
    assert facts(page)["Alerts go to"] == "Hook"
    assert "Second <b>line</b>" in page.text
    assert page.texts(".tags .tag") == ["production", "night"]
    assert other not in view.channels


def test_every_channel_is_chosen_beforehand(ada: Visitor, site: Site) -> None:
    """Silence about silence is what nobody wants."""
    ids = {site.world.webhook("http://x/", "One"), site.world.webhook("http://x/", "Two")}
    register(ada)
    assert set(stored(site).channels) == ids


def test_says_that_nobody_hears_of_it(ada: Visitor, site: Site) -> None:
    assert "There is no channel yet" in ada.get("/applications/new").text
    assert facts(register(ada))["Alerts go to"] == "nobody"
    hook = site.world.webhook("http://x/", "Hook")
    view = site.watch("Other", channels=[hook])
    form = ada.get(f"/channels/{hook}/edit")
    ada.submit(form, "Save", {"is_active": False})
    assert facts(ada.get(f"/applications/{view.id}"))["Alerts go to"] == "Hook (off)"


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"name": ""}, {"name"}),
        ({"name": "x" * 201}, {"name"}),
        ({"interval": "0"}, {"interval"}),
        ({"interval": "-5"}, {"interval"}),
        ({"interval": "soon"}, {"interval"}),
        ({"interval": ""}, {"interval"}),
        ({"interval": "0.0001"}, {"interval"}),
        ({"interval": "nan"}, {"interval"}),
        ({"interval": "1e400"}, {"interval"}),
        ({"interval": "9" * 400}, {"interval"}),
        ({"grace": "-1"}, {"grace"}),
        ({"grace": "x"}, {"grace"}),
        ({"kind": "cron", "expression": ""}, {"expression"}),
        ({"kind": "cron", "expression": "0 0 31 2 *"}, {"expression"}),
        ({"kind": "cron", "expression": "61 * * * *"}, {"expression"}),
        ({"kind": "oncalendar", "expression": "whenever"}, {"expression"}),
        (
            {"kind": "cron", "expression": "* * * * *", "timezone": "Mars/Base"},
            {"timezone"},
        ),
        ({"tags": "x" * 200}, {"tags"}),
        ({"description": "x" * 20_000}, {"description"}),
        ({"name": "", "interval": "x", "grace": "y"}, {"name", "interval", "grace"}),
    ],
)
def test_says_what_is_wrong_beside_it_and_loses_nothing(
    ada: Visitor, site: Site, given: dict[str, str], wrong: set[str]
) -> None:
    page = register(ada, **given)
    assert page.status == 400
    assert set(page.errors) == wrong
    for message in page.errors.values():
        assert message[0].isupper() or message[0] == "'", message
        assert message.endswith("."), message
    assert "Not saved yet" in page.alerts[0]
    for name in given:
        shown = page.one(f"[name={name}]")
        if name not in ("kind", "description"):
            assert shown["value"] == given[name]
            assert (name in wrong) == (shown.get("aria-invalid") == "true")
    assert page.one(f"[name=kind][value={given.get('kind', 'interval')}]").has_attr("checked")
    assert ada.get("/").text.count("Nightly backup") == 0


@pytest.mark.parametrize(
    "channels", [["99"], ["9" * 18], ["9" * 30], ["-1"], ["x"], ["1; DROP TABLE channels"]]
)
def test_a_channel_that_is_none_is_refused_or_left_out(
    ada: Visitor, site: Site, channels: list[str]
) -> None:
    form = ada.get("/applications/new")
    token = str(form.one("main [name=csrf_token]")["value"])
    page = ada.post(
        "/applications/new",
        {"csrf_token": token, "name": "X", "interval": "60", "channels": channels},
    )
    assert page.status in (200, 400)
    if page.status == 200:
        assert stored(site).channels == ()


def test_shows_url_copy_button_and_snippets(ada: Visitor, site: Site) -> None:
    view = site.watch()
    page = ada.get(f"/applications/{view.id}")
    assert page.one("#heartbeat-url")["value"] == f"{BASE_URL}/heartbeat/{view.uuid}"
    assert page.one("[data-copy='#heartbeat-url']").get_text(strip=True) == "Copy"
    assert page.texts("[role=tab]") == ["curl", "cron", "Python", "Docker", "systemd"]
    for name in ("curl", "cron", "python", "docker", "systemd"):
        assert f"/heartbeat/{view.uuid}" in page.one(f"#snippet-{name}").get_text()
        assert page.soup.select(f"[data-copy='#snippet-{name}']")
    # Open as long as nothing came; out of the way afterwards.
    assert page.one("details.send").has_attr("open")
    site.beat(view)
    assert not ada.get(f"/applications/{view.id}").one("details.send").has_attr("open")


def test_shows_its_history(ada: Visitor, site: Site) -> None:
    view = site.watch(age=4000)
    site.beat(view, SignalKind.START, ago=90)
    site.beat(view, ago=30, body=b"4,213 files", body_size=11, method="POST")
    site.beat(view, SignalKind.LOG, ago=20, body=b"a\nb", body_size=3)
    site.beat(view, SignalKind.FAIL, ago=10, exit_status=3)
    page = ada.get(f"/applications/{view.id}")
    assert page.heading == "Nightly backup Down".replace("Nightly backup", "Backup")
    assert page.texts("#history .signal") == ["Failure (3)", "Log", "Success", "Start"]
    rows = page.texts("#history table:last-of-type tbody tr")
    assert "4,213 files" in rows[2]
    assert "1 min" in rows[2]
    # On a busy machine it takes some seconds until the page is made.
    assert re.fullmatch("[1-5][0-9] s ago", facts(page)["Down since"])
    [incident] = page.texts("#history table:first-of-type tbody tr")
    assert "The application reported a failure (exit status 3)" in incident
    assert "Down" in incident


def test_history_goes_on_page_by_page(ada: Visitor, site: Site) -> None:
    view = site.watch(age=4000)
    for number in range(60):
        kind = SignalKind.FAIL if number % 2 else SignalKind.SUCCESS
        site.beat(view, kind, ago=100 - number, body=f"No {number:02}".encode(), body_size=5)
    page = ada.get(f"/applications/{view.id}")
    bodies = [page.texts("#history .preview")]
    while page.soup.select("#beats-next"):
        page = ada.get(str(page.one("#beats-next")["href"]).partition("#")[0])
        bodies.append(page.texts("#history .preview"))
    assert [len(one) for one in bodies] == [25, 25, 10]
    assert [text for one in bodies for text in one] == [f"No {n:02}" for n in reversed(range(60))]

    page = ada.get(f"/applications/{view.id}")
    incidents = 0
    while True:
        incidents += len(page.soup.select("#history table:first-of-type tbody tr"))
        if not page.soup.select("#outages-next"):
            break
        page = ada.get(str(page.one("#outages-next")["href"]).partition("#")[0])
    assert incidents == 30


def test_the_live_part_shows_what_the_page_shows(ada: Visitor, site: Site) -> None:
    view = site.watch(age=4000)
    for number in range(30):
        site.beat(view, ago=100 - number)
    page = ada.get(f"/applications/{view.id}")
    older = str(page.one("#beats-next")["href"]).partition("#")[0]
    for address in (f"/applications/{view.id}", older):
        page = ada.get(address)
        live = ada.get(str(page.one("#summary")["hx-get"]))
        assert not live.soup.select("html")
        assert live.texts("#history time") == page.texts("#history time")
        assert live.texts("h1") == page.texts("h1")


def test_changes_what_is_given_and_keeps_the_rest(ada: Visitor, site: Site) -> None:
    hook = site.world.webhook("http://x/", "Hook")
    view = site.watch(
        "Backup", interval=7200, tags=["night"], description="Why\n\nand how", channels=[hook]
    )
    form = ada.get(f"/applications/{view.id}/edit")
    page = ada.submit(form, "Save", {"name": "Backup of the shop"})
    assert (page.heading, page.alerts) == (
        "Backup of the shop New",
        ["Backup of the shop is saved."],
    )
    changed = stored(site)
    assert changed.name == "Backup of the shop"
    for name in ("uuid", "expected_interval", "grace_period", "tags", "description", "channels"):
        assert getattr(changed, name) == getattr(view, name)


def test_pauses_and_resumes(ada: Visitor, site: Site) -> None:
    view = site.watch()
    site.beat(view)
    page = ada.submit(ada.get(f"/applications/{view.id}"), "Pause")
    assert page.heading == "Backup Paused"
    assert page.alerts == ["Paused: its heartbeats are kept, and nobody is alerted."]
    assert facts(page)["Next expected"] == "–"
    site.rings.clear()
    page = ada.submit(page, "Resume")
    assert page.heading == "Backup New"
    assert page.alerts == ["Resumed: silence counts from now on."]
    assert site.rings


def test_asks_before_it_deletes(ada: Visitor, site: Site) -> None:
    view = site.watch()
    page = ada.get(ada.get(f"/applications/{view.id}").link("Delete"))
    assert page.heading == "Delete Backup?"
    assert "Its heartbeat URL stops working at once, and its history is deleted." in page.text
    assert ada.get(page.link("Cancel")).heading == "Backup New"

    gone = ada.submit(page, "Delete application")
    assert gone.alerts == ["Backup is deleted."]
    assert "Nothing is watched yet" in gone.text
    assert ada.get(f"/applications/{view.id}").status == 404
    # A second click on a button that was still on the screen.
    assert ada.submit(page, "Delete application").status == 404


def test_a_form_for_what_somebody_else_has_deleted(ada: Visitor, site: Site) -> None:
    view = site.watch()
    form = ada.get(f"/applications/{view.id}/edit")
    ada.submit(ada.get(f"/applications/{view.id}/delete"), "Delete application")
    page = ada.submit(form, "Save", {"name": "Too late"})
    assert (page.status, page.heading) == (404, "Nothing here")


def test_the_database_keeps_what_the_form_said(ada: Visitor, site: Site) -> None:
    register(ada, name="  Spaces around  ")
    view = stored(site)
    assert view.name == "Spaces around"
    assert get_application(
        site.world.database, site.world.project_id, view.uuid, now=clock(), base_url=BASE_URL
    ).slug.startswith("spaces-around")
