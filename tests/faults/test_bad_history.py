"""Rows of the history that can't be read: pages, the API, rollups, pruning and backups go on without them."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from heartbeat_central.domain.digest import Digest
from heartbeat_central.domain.rollup import Span
from heartbeat_central.domain.state import Shown
from heartbeat_central.domain.view import ApplicationView
from heartbeat_central.services.prune_history import prune_history
from heartbeat_central.services.read_history import (
    deliveries_page,
    heartbeat_json,
    heartbeats_page,
    incidents_page,
)
from heartbeat_central.services.record_signals import Outcome
from heartbeat_central.services.tell_blind_windows import tell_blind_windows
from heartbeat_central.storage import rollups, tables
from heartbeat_central.storage.engine import open_database
from heartbeat_central.storage.outbox import DeliveryStatus
from tests.support.backups import Filled, backup_of, empty_database, fill, restore
from tests.support.service import Service
from tests.support.world import BASE_URL, World, at, on_postgresql, on_sqlite, signal

HOUR = 3600
DAY = 24 * HOUR
BAD: dict[str, dict[str, str]] = {
    "kind": {"": "kind = 99"},
    "time": {"sqlite": "received_at = 'noon'", "postgresql": "received_at = 'infinity'"},
    "early": {"sqlite": "received_at = -9e18", "postgresql": "received_at = '-infinity'"},
    "far": {
        "sqlite": "received_at = 9000000000000000000",
        "postgresql": "received_at = '20000-01-01 00:00:00+00'",
    },
    "duration": {"": "duration = 9000000000000000000"},
    "run": {"sqlite": "rid = 'x', duration = 'long'"},
    "text": {"sqlite": "user_agent = CAST(x'ff' AS TEXT), method = x'00', body = 'text'"},
    "whose": {"sqlite": "application_id = 'nobody'"},
}
NO_TIME = {"time", "early", "far", "whose"}


def spoiled(world: World, name: str) -> ApplicationView:
    """Return an application with five successes, the third of which holds what can't be read."""
    by_dialect = BAD[name]
    values = by_dialect.get("") or by_dialect.get(world.database.dialect)
    if values is None:
        # PostgreSQL takes none of these: what it may hold instead.
        values = "kind = -1, duration = -5"
    application = world.application()
    for second in range(1, 6):
        world.beat(application, second)
    with world.database.write() as connection:
        connection.execute(
            text(f"UPDATE heartbeats SET {values} WHERE id = (SELECT min(id) + 2 FROM heartbeats)")
        )
    return application


@pytest.mark.parametrize("name", BAD)
def test_the_page_shows_the_others_and_of_it_what_can_be_read(world: World, name: str) -> None:
    application = spoiled(world, name)
    where = (world.database, world.project_id, application.id)
    beats = heartbeats_page(*where, limit=10)
    is_left_out = name in NO_TIME and (name != "whose" or world.database.dialect == "sqlite")
    assert len(beats) == (4 if is_left_out else 5)
    assert [json.dumps(heartbeat_json(beat)) for beat in beats]
    # From page to page as well.
    first = heartbeats_page(*where, limit=2)
    rest = heartbeats_page(*where, limit=9, before=(first[-1].received_at, first[-1].id))
    assert [*first, *rest] == beats
    if name == "kind":
        assert [beat.label for beat in beats].count("unknown") == 1


@pytest.mark.parametrize("name", BAD)
def test_the_rollups_count_the_others_and_go_on(world: World, name: str) -> None:
    application = spoiled(world, name)
    world.roll_up(2 * HOUR)
    world.beat(application, 2 * HOUR + 1)
    world.roll_up(4 * HOUR)
    with world.database.read() as connection:
        hours = rollups.between(
            connection, Span.HOUR, application.id, since=at(0), until=at(4 * HOUR)
        )
    counted = {start: one.successes for start, one in hours.items()}
    whole = name == "duration" or (name in ("run", "text") and world.database.dialect == "sqlite")
    assert counted == {at(0): 5 if whole else 4, at(2 * HOUR): 1}
    assert all(one.runs == 0 for one in hours.values())


@on_sqlite
def test_what_has_no_time_hides_no_old_rows_from_pruning(world: World) -> None:
    application = spoiled(world, "time")
    with world.database.write() as connection:
        connection.execute(text("UPDATE heartbeats SET received_at = 'x' WHERE id = 1"))
    world.roll_up(2 * HOUR)
    world.beat(application, 40 * DAY)
    world.roll_up(40 * DAY + HOUR)
    while prune_history(world.database, now=at(40 * DAY + 2 * HOUR), keep_days=30).more:
        pass
    with world.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM heartbeats")).scalar() == 1


@pytest.mark.parametrize("name", BAD)
def test_a_backup_holds_the_others_and_can_be_restored(
    world: World, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiled(world, name)
    content = backup_of(world.database)
    told = capsys.readouterr().out
    with empty_database("sqlite", tmp_path) as target:
        restore(target, content, world.secret_box)
        with target.read() as connection:
            query = text("SELECT id, received_at FROM heartbeats ORDER BY id")
            rows = connection.execute(query).all()
    # Those that are no more than odd are kept as they are.
    taken_by_sqlite_alone = name in ("run", "text", "whose")
    odd = name in ("kind", "duration") or (
        taken_by_sqlite_alone and world.database.dialect == "postgresql"
    )
    assert len(rows) == 5
    assert ("row_unreadable" in told) is not odd
    if not odd:
        assert f"'id': '{rows[2].id}'" in told


def test_the_command_says_that_something_is_missing(tmp_path: Path) -> None:
    service = Service(tmp_path)
    url = f"sqlite:///{tmp_path / 'data' / 'heartbeat-central.db'}"
    service.command("app", "add", "Backup", "--interval", "60")
    database = open_database(url)
    with database.write() as connection:
        connection.execute(text("UPDATE application_states SET armed_at = 'noon'"))
    database.close()
    done = service.attempt("backup", str(tmp_path / "backup.gz"))
    assert done.returncode == 0
    assert "In 1 of the rows something can't be read" in done.stderr
    assert "row_unreadable" in done.stdout + done.stderr


@on_postgresql
def test_rollups_with_no_time_are_left_out_of_a_backup(world: World, tmp_path: Path) -> None:
    application = world.application()
    world.beat(application, 1)
    world.roll_up(2 * HOUR)
    with world.database.write() as connection:
        for moment in ("'infinity'", "'-infinity'"):
            connection.execute(
                text(
                    "INSERT INTO hourly_rollups SELECT application_id, "
                    f"{moment}, first_success_at, last_success_at, longest_gap, run_time,"
                    " longest_run, down, successes, failures, runs FROM hourly_rollups LIMIT 1"
                )
            )
    content = backup_of(world.database)
    with empty_database("sqlite", tmp_path) as target:
        restore(target, content, world.secret_box)
        with target.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM hourly_rollups")).scalar() == 1


def test_everything_in_a_backup_can_be_spoiled(world: World, tmp_path: Path) -> None:
    """Every time in every table at once: a backup is made, and goes into a database again."""
    filled: Filled = fill(world)
    never = {"sqlite": "'never'", "postgresql": "'infinity'"}[world.database.dialect]
    with world.database.write() as connection:
        for table, column in (
            ("delivery_attempts", "finished_at"),
            ("alerts", "created_at"),
            ("deliveries", "due_at"),
            ("incidents", "closed_at"),
            ("users", "created_at"),
            ("api_keys", "revoked_at"),
            ("daily_rollups", "last_success_at"),
            ("projects", "created_at"),
            ("channels", "updated_at"),
        ):
            found = connection.execute(text(f"UPDATE {table} SET {column} = {never}"))
            assert found.rowcount > 0, table
    content = backup_of(world.database)
    with empty_database("sqlite", tmp_path) as target:
        restore(target, content, filled.world.secret_box)
        with target.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM delivery_attempts")).scalar()


BAD_OUTAGES: dict[str, dict[str, str]] = {
    "began": {"sqlite": "opened_at = 'noon'", "postgresql": "opened_at = 'infinity'"},
    "began long ago": {"sqlite": "opened_at = -9e18", "postgresql": "opened_at = '-infinity'"},
    "heard": {
        "sqlite": "last_heartbeat_at = x'00'",
        "postgresql": "last_heartbeat_at = 'infinity'",
    },
    "over": {"sqlite": "closed_at = 'noon'", "postgresql": "closed_at = 'infinity'"},
    "far": {"sqlite": "closed_at = 2e17", "postgresql": "closed_at = '8000-01-01 00:00:00+00'"},
}


@pytest.mark.parametrize("name", BAD_OUTAGES)
def test_an_outage_whose_times_cant_be_read_ends_and_costs_no_other_anything(
    world: World, name: str
) -> None:
    channel = world.webhook("http://127.0.0.1:9/")
    bad, good = (world.application(one, channels=[channel]) for one in ("bad", "good"))
    assert world.detect(71).went_down == 2
    spoil_outage(world, bad, BAD_OUTAGES[name][world.database.dialect])
    is_listed = not name.startswith("began")
    listed = incidents_page(world.database, world.project_id, limit=10)
    assert len(listed) == 1 + is_listed
    # In one batch.
    sent = world.record([signal(bad.uuid, 80), signal(good.uuid, 80)])
    assert sent.outcomes == [Outcome.STORED] * 2
    assert world.look(bad, 81).status is world.look(good, 81).status is Shown.UP
    world.roll_up(2 * HOUR)
    world.beat(good, 2 * HOUR + 1)
    world.roll_up(4 * HOUR)
    with world.database.read() as connection:
        hours = rollups.between(connection, Span.HOUR, good.id, since=at(0), until=at(4 * HOUR))
        counted = connection.execute(text("SELECT count(*) FROM hourly_rollups")).scalar_one()
    assert hours[at(0)].down == timedelta(seconds=10)
    assert hours[at(2 * HOUR)].successes == 1
    assert counted < 10


def spoil_outage(world: World, application: ApplicationView, values: str) -> None:
    with world.database.write() as connection:
        connection.execute(
            text(f"UPDATE incidents SET {values} WHERE application_id = {application.id}")
        )


@pytest.mark.parametrize("name", ["began", "heard", "over"])
def test_a_digest_of_a_storm_lists_it_with_the_others(world: World, name: str) -> None:
    channel = world.webhook("http://127.0.0.1:9/")
    made = [world.application(f"app {number}", channels=[channel]) for number in range(12)]
    assert world.detect(76).went_down == 12
    spoil_outage(world, made[3], BAD_OUTAGES[name][world.database.dialect])
    assert world.digest(80) == 1
    (claimed,) = world.claim(81)
    assert claimed.alert.digest is not None
    listed = {one.name for one in claimed.alert.digest.applications()}
    assert listed >= {one.name for one in made if one is not made[3]}


def test_a_digest_of_a_blind_window_lists_the_others(world: World) -> None:
    channel = world.webhook("http://127.0.0.1:9/")
    once = {"kind": "oncalendar", "expression": f"{at(30):%F %T}", "timezone": "UTC"}
    bad = world.application("bad", channels=[channel], schedule=once)
    world.beat(bad, 31)
    down = world.application("down", channels=[channel])
    world.beat(world.application("lost", channels=[channel], interval=600), 10)
    moments = {
        "sqlite": [str(int(at(second).timestamp()) * 10**6) for second in (40, 640)],
        "postgresql": [f"'{at(second).isoformat()}'" for second in (40, 640)],
    }[world.database.dialect]
    with world.database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO blind_windows (id, started_at, ended_at, cause, digest_due_at)"
                f" VALUES (1, {moments[0]}, {moments[1]}, 'stopped', {moments[1]})"
            )
        )
    world.detect(641)
    assert world.detect(711).deadlines == [at(710)]
    spoil_outage(world, down, BAD_OUTAGES["heard"][world.database.dialect])
    assert tell_blind_windows(world.database, now=at(712), base_url=BASE_URL) == 1
    with world.database.read() as connection:
        told = select(tables.alerts.c.snapshot).where(tables.alerts.c.kind == "digest")
        (snapshot,) = connection.execute(told).scalars()
    listed = [one.name for one in Digest.from_json(snapshot["digest"]).applications()]
    assert listed == ["down", "lost"]


def test_a_delivery_of_an_unknown_status_is_shown_as_given_up(world: World) -> None:
    channel = world.webhook("http://127.0.0.1:9/")
    for name in ("bad", "good"):
        world.application(name, channels=[channel])
    world.detect(71)
    with world.database.write() as connection:
        connection.execute(
            text("UPDATE deliveries SET status = 'odd' WHERE id = (SELECT min(id) FROM deliveries)")
        )
    shown = deliveries_page(world.database, world.project_id, channel, limit=9)
    assert [one.status for one in shown] == [DeliveryStatus.PENDING, DeliveryStatus.DEAD]
    assert len(world.claim(72)) == 1
