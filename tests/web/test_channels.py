"""Channels on the pages: the form that a plugin's schema draws, secrets, tests and deliveries."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from heartbeat_central.alerts.registry import BUILT_IN
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.services.manage_channels import list_channels
from heartbeat_central.storage import channels
from tests.support.receivers.http import HttpReceiver, respond
from tests.support.visitor import Page, Visitor
from tests.support.world import START, signal
from tests.web.conftest import ON_SQLITE, Site, clock
from tests.web.test_applications import facts

pytestmark = ON_SQLITE

SECRET = "whsec_b3VyLW93bi1zaWduaW5nLXNlY3JldA=="
NEEDED: dict[str, dict[str, str]] = {
    "email": {"config.to_email": "ops@example.com"},
    "slack": {"config.webhook_url": "https://hooks.slack.com/services/T1/B2/token"},
    "discord": {"config.webhook_url": "https://discord.com/api/webhooks/12/token"},
    "sms": {"config.to_number": "+15551234567"},
    "webhook": {"config.url": "https://example.com/hook"},
    "apprise": {"config.url": "ntfy://example.com/topic"},
}


@pytest.fixture
def hook() -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        yield receiver


def add(visitor: Visitor, type_: str, **values: Any) -> Page:
    form = visitor.get(f"/channels/new/{type_}")
    given = {"name": "Ops", **NEEDED[type_], **values}
    return visitor.submit(form, "Add channel", given)


def add_hook(visitor: Visitor, url: str, **values: Any) -> Page:
    page = add(visitor, "webhook", **{"config.url": url, **values})
    assert page.status == 200, page.errors
    return page


def config(site: Site) -> dict[str, Any]:
    """What is stored of the newest channel, its secrets in clear."""
    with site.world.database.read() as connection:
        [channel] = channels.page(connection, site.world.project_id, limit=1)
    opened = site.world.secret_box.open(channel.sealed_config)
    return json.loads(json.dumps(opened))


def test_lets_people_choose_among_all_plugins(ada: Visitor, site: Site) -> None:
    page = ada.get(ada.get("/channels").link("Add the first channel"))
    assert page.heading == "Where should alerts go?"
    assert page.texts(".tile-name") == [plugin.label for plugin in BUILT_IN]
    for tile in page.soup.select(".tile"):
        form = ada.get(str(tile["href"]))
        assert form.status == 200
        assert form.soup.select("[name=name]")


@pytest.mark.parametrize("type_", NEEDED)
def test_adds_a_channel_of_every_type(ada: Visitor, site: Site, type_: str) -> None:
    assert {plugin.type for plugin in BUILT_IN} == NEEDED.keys()
    page = add(ada, type_)
    assert page.heading == "Ops"
    assert page.alerts == ["Ops is saved. Send a test to see that it arrives."]
    assert "Nothing was sent yet" in page.text
    for name, value in NEEDED[type_].items():
        assert config(site)[name.removeprefix("config.")] == value
    # What was left empty is left out, and what is shown can be saved as it is.
    before = config(site)
    page = ada.submit(ada.get(page.link("Edit")), "Save")
    assert page.alerts == ["Ops is saved."]
    assert config(site) == before


@pytest.mark.parametrize("plugin", BUILT_IN, ids=lambda plugin: plugin.type)
def test_the_form_has_a_field_for_each_key_and_hides_secrets(ada: Visitor, plugin: Any) -> None:
    page = ada.get(f"/channels/new/{plugin.type}")
    fields = plugin.Config.model_fields
    shown = [str(one["name"]) for one in page.soup.select("[name^='config.']")]
    assert shown == [f"config.{name}" for name in fields]
    for name, spec in fields.items():
        one = page.one(f"[name='config.{name}']")
        assert one.has_attr("required") == spec.is_required() or one.name == "textarea"
        label = page.one(f"label[for='{one['id']}']")
        assert label.get_text().split(" optional")[0].strip() == spec.title
        assert ("optional" in label.get_text()) == (not spec.is_required())
        if spec.description:
            assert page.soup.select(f"[id='{one['aria-describedby']}']")


def test_says_what_is_wrong_beside_the_field(ada: Visitor) -> None:
    page = add(
        ada,
        "webhook",
        **{
            "name": "",
            "config.url": "ftp://example.com",
            "config.secret": SECRET,
            "config.headers": "X-Good: yes\nContent-Length: 5",
        },
    )
    assert page.status == 400
    assert page.errors.keys() == {"name", "config.url", "config.headers"}
    assert "Content-Length" in page.errors["config.headers"]
    # Nothing that was typed is lost.
    assert page.one("[name='config.url']")["value"] == "ftp://example.com"
    assert page.one("[name='config.headers']").get_text() == "X-Good: yes\nContent-Length: 5"
    again = ada.submit(
        page,
        "Add channel",
        {"name": "Hook", "config.url": "https://example.com/", "config.headers": "X-Good: yes"},
    )
    assert again.heading == "Hook"


def test_a_line_that_is_no_header_is_told(ada: Visitor) -> None:
    page = add(ada, "webhook", **{"config.headers": "nonsense"})
    assert page.errors == {"config.headers": "Must have one Name: value on each line."}


def test_secrets_are_masked_and_kept_until_they_are_changed(ada: Visitor, site: Site) -> None:
    page = add(
        ada,
        "webhook",
        **{"config.secret": SECRET, "config.headers": "Authorization: Bearer t0ken\nX-Y: why"},
    )
    for path in (page.path, f"{page.path}/edit", "/channels", f"/fragments{page.path}"):
        shown = ada.get(path).body.decode()
        assert SECRET not in shown
        assert "t0ken" not in shown
    assert facts(page)["Signing secret"] == "********"
    assert facts(page)["Headers"] == "Authorization: ******** X-Y: ********"

    form = ada.get(f"{page.path}/edit")
    assert form.one("[name='config.secret']")["type"] == "password"
    ada.submit(form, "Save", {"config.url": "https://example.com/new"})
    assert config(site) == {
        "url": "https://example.com/new",
        "secret": SECRET,
        "headers": {"Authorization": "Bearer t0ken", "X-Y": "why"},
    }
    ada.submit(form, "Save", {"config.headers": "Authorization: ********\nX-Y: because"})
    assert config(site)["headers"] == {"Authorization": "Bearer t0ken", "X-Y": "because"}
    ada.submit(form, "Save", {"config.secret": ""})
    assert "secret" not in config(site) or config(site)["secret"] is None


def test_a_form_that_is_wrong_shows_no_stored_secret(ada: Visitor, site: Site) -> None:
    page = add(ada, "webhook", **{"config.secret": SECRET})
    wrong = ada.submit(ada.get(f"{page.path}/edit"), "Save", {"config.url": "nonsense"})
    assert wrong.status == 400
    assert SECRET not in wrong.body.decode()


def test_a_test_tells_what_the_receiver_said(ada: Visitor, site: Site, hook: HttpReceiver) -> None:
    page = add_hook(ada, hook.url)
    page = ada.submit(page, "Send a test")
    assert page.alerts == ["The test was delivered: HTTP 200: ok"]
    assert json.loads(hook.requests[0].body)["event"] == "test"
    [row] = page.texts("#channel tbody tr")
    assert "Test" in row
    assert "Delivered" in row

    hook.answer = respond(410, b"<b>gone</b> for good")
    page = ada.submit(page, "Send a test")
    assert page.alerts[0] == "The test was not delivered."
    assert "Given up" in page.texts("#channel tbody tr")[0]
    assert page.alerts[1].startswith("Last error:")
    assert "410" in page.alerts[1]
    assert "gone for good" in page.alerts[1]
    assert "410" in ada.get("/channels").text


def test_a_test_to_nobody_says_so(ada: Visitor) -> None:
    page = add_hook(ada, "http://127.0.0.1:9/")
    page = ada.submit(page, "Send a test")
    assert page.alerts[0] == "The test was not delivered."
    assert page.alerts[1] == "Last error: no connection to 127.0.0.1:9: Connection refused"


def test_shows_deliveries_and_what_they_were_about(
    ada: Visitor, site: Site, hook: HttpReceiver
) -> None:
    page = add_hook(ada, hook.url)
    channel_id = int(page.path.rpartition("/")[2])
    named = site.watch("Payments", channels=[channel_id])
    gone = site.watch("Old import", channels=[channel_id])
    for one in (named, gone):
        site.beat(one, SignalKind.FAIL)
    ada.submit(ada.get(f"/applications/{gone.id}/delete"), "Delete application")
    rows = ada.get(page.path).texts("#channel tbody tr")
    assert len(rows) == 2
    assert "Down: deleted application" in rows[0]
    assert "Down: Payments" in rows[1]
    assert "Waiting" in rows[1]
    assert ada.get(page.path).link("Payments") == f"/applications/{named.id}"


def test_deliveries_go_on_page_by_page(ada: Visitor, site: Site, hook: HttpReceiver) -> None:
    page = add_hook(ada, hook.url)
    view = site.watch(channels=[int(page.path.rpartition("/")[2])])
    now = clock()
    site.world.record(
        [
            signal(view.uuid, 0, SignalKind.FAIL if n % 2 == 0 else SignalKind.SUCCESS)
            for n in range(60)
        ],
    )
    page = ada.get(page.path)
    rows = [len(page.soup.select("#channel tbody tr"))]
    while page.soup.select("#page-next"):
        live = ada.get(str(page.one("#channel")["hx-get"]))
        assert live.texts("time") == page.texts("time")
        page = ada.get(page.link("Older"))
        rows.append(len(page.soup.select("#channel tbody tr")))
    assert rows == [25, 25, 10]
    assert len(ada.get(page.link("Newest")).soup.select("#channel tbody tr")) == 25
    assert clock() - now < timedelta(minutes=1)


def test_turns_off_and_on(ada: Visitor, site: Site) -> None:
    page = add_hook(ada, "http://127.0.0.1:9/")
    page = ada.submit(ada.get(page.link("Edit")), "Save", {"is_active": False})
    assert page.heading == "Ops Off"
    assert ada.get("/channels").texts(".status") == ["Off"]
    page = ada.submit(ada.get(page.link("Edit")), "Save", {"is_active": True})
    assert page.heading == "Ops"


def test_asks_before_it_deletes(ada: Visitor, site: Site) -> None:
    page = add_hook(ada, "http://127.0.0.1:9/")
    asked = ada.get(page.link("Delete"))
    assert asked.heading == "Delete Ops?"
    gone = ada.submit(asked, "Delete channel")
    assert gone.alerts == ["Ops is deleted."]
    assert "Nobody is alerted yet" in gone.text
    assert ada.get(page.path).status == 404


def test_the_list_goes_on_page_by_page(ada: Visitor, site: Site) -> None:
    for number in range(60):
        site.world.webhook("http://127.0.0.1:9/", f"Hook {number:02}")
    page = ada.get("/channels")
    first = page.texts(".name")
    live = ada.get(str(page.one("#channels")["hx-get"]))
    assert live.texts(".name") == first
    page = ada.get(page.link("Older"))
    assert sorted(first + page.texts(".name")) == [f"Hook {number:02}" for number in range(60)]
    live = ada.get(str(page.one("#channels")["hx-get"]))
    assert live.texts(".name") == page.texts(".name")
    assert ada.get("/channels?before=1").text.count("No older channels") == 1


@pytest.mark.parametrize("type_", ["nope", "..", "%00", "email%2f", "🔥", "x" * 1000])
def test_a_type_that_is_none_has_no_form(ada: Visitor, type_: str) -> None:
    from urllib.parse import quote

    path = type_ if "%" in type_ or type_ == ".." else quote(type_)
    assert ada.get(f"/channels/new/{path}").status == 404


def test_a_channel_whose_plugin_is_gone_can_be_seen_and_deleted(ada: Visitor, site: Site) -> None:
    page = add_hook(ada, "http://127.0.0.1:9/")
    channel_id = int(page.path.rpartition("/")[2])
    from sqlalchemy import update

    from heartbeat_central.storage import tables

    with site.world.database.write() as connection:
        connection.execute(update(tables.channels).values(type="pager"))
    for path in ("/channels", page.path):
        assert "pager" in ada.get(path).text
    assert ada.get(f"{page.path}/edit").status == 404
    gone = ada.submit(ada.get(f"{page.path}/delete"), "Delete channel")
    assert gone.alerts == ["Ops is deleted."]
    left = list_channels(
        site.world.database,
        site.world.project_id,
        registry=site.world.registry,
        secret_box=site.world.secret_box,
    )
    assert channel_id not in [one.id for one in left]


class TestDeadLetters:
    @pytest.fixture
    def broken(self, hook: HttpReceiver) -> HttpReceiver:
        hook.answer = respond(404, b"no such hook")
        return hook

    def fail(self, site: Site, channel_id: int, name: str = "Backup") -> None:
        """Let an application go down whose alert is refused for good."""
        application = site.watch(name, channels=[channel_id])
        site.beat(application, SignalKind.FAIL)
        self.send(site)

    def send(self, site: Site) -> None:
        seconds = (clock() - START).total_seconds()
        for claimed in site.world.claim(seconds):
            site.world.send(claimed, seconds)

    def test_one_can_be_tried_again_from_the_channel(
        self, ada: Visitor, site: Site, broken: HttpReceiver
    ) -> None:
        channel = site.world.webhook(broken.url)
        self.fail(site, channel)
        page = ada.get(f"/channels/{channel}")
        assert "Given up" in page.text
        assert "no such hook" in page.text

        broken.answer = respond()
        page = ada.submit(page, "Retry now")
        assert page.path == f"/channels/{channel}"
        assert page.alerts[0] == "It is being sent again; its outcome shows at the channel."
        assert len(site.rings) == 1
        self.send(site)
        page = ada.get(f"/channels/{channel}")
        assert "Delivered" in page.text
        assert "Retry now" not in page.text

    def test_the_dashboard_leads_to_all_of_them(
        self, ada: Visitor, site: Site, broken: HttpReceiver
    ) -> None:
        ops, night = site.world.webhook(broken.url, "Ops"), site.world.webhook(broken.url, "Night")
        self.fail(site, ops, "Mail")
        assert ada.get("/").alerts == ["1 alert could not be delivered"]
        self.fail(site, night, "Shop")
        page = ada.get("/")
        assert page.alerts == ["2 alerts could not be delivered"]

        page = ada.get(page.link("2 alerts could not be delivered"))
        assert page.heading == "Undelivered alerts"
        assert page.texts("td.about:nth-child(2)")[0].startswith("Down: Shop")
        assert page.texts("td.about:nth-child(3)") == ["Night", "Ops"]

        broken.answer = respond()
        page = ada.submit(page, "Retry now")
        assert page.path == "/undelivered"
        self.send(site)
        assert ada.get("/").alerts == ["1 alert could not be delivered"]

    def test_a_channel_that_works_again_is_no_worry_any_more(
        self, ada: Visitor, site: Site, broken: HttpReceiver
    ) -> None:
        channel = site.world.webhook(broken.url)
        self.fail(site, channel)
        broken.answer = respond()
        ada.submit(ada.get(f"/channels/{channel}"), "Send a test")
        assert ada.get("/").alerts == []
        assert "Down: Backup" in ada.get("/undelivered").text, "but it is not forgotten"

    def test_what_is_being_sent_again_already_is_left_alone(
        self, ada: Visitor, site: Site, broken: HttpReceiver
    ) -> None:
        channel = site.world.webhook(broken.url)
        self.fail(site, channel)
        page = ada.get(f"/channels/{channel}")
        ada.submit(page, "Retry now")
        assert ada.submit(page, "Retry now").alerts[0].startswith("This delivery is pending")

    def test_a_failed_test_is_no_undelivered_alert(
        self, ada: Visitor, site: Site, broken: HttpReceiver
    ) -> None:
        channel = site.world.webhook(broken.url)
        site.watch()
        ada.submit(ada.get(f"/channels/{channel}"), "Send a test")
        assert ada.get("/").alerts == []
        assert "Every alert has arrived" in ada.get("/undelivered").text

    def test_none_are_told_as_none(self, ada: Visitor, site: Site) -> None:
        assert "Every alert has arrived" in ada.get("/undelivered").text
