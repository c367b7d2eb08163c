"""A restore: what it refuses, what it leaves alone, and what it brings up to date."""

import io
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection, select

from heartbeat_central.domain.backup import Row
from heartbeat_central.domain.errors import BackupRefused, Conflict, StorageUnavailable
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.domain.state import Shown
from heartbeat_central.services.backup_file import BackupReader
from heartbeat_central.services.manage_applications import get_application
from heartbeat_central.services.prove_reception import reception_proven_until
from heartbeat_central.services.record_signals import Outcome
from heartbeat_central.storage import migrate
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.outbox import DeliveryStatus
from heartbeat_central.storage.secrets import SecretBox
from heartbeat_central.storage.tables import heartbeats, incidents, metadata, rollup_progress
from tests.support.backups import (
    DAY,
    SECRET,
    Sample,
    backup_of,
    empty_database,
    restore,
    rewritten,
    rows_of,
    with_rows,
)
from tests.support.process import Process
from tests.support.receivers.http import HttpReceiver
from tests.support.world import BASE_URL, START, World, at, signal


def fill_first_revision(connection: Connection) -> None:
    """Make the tables of the first version, with an application that is down, and five heartbeats."""
    migrate.upgrade_to(connection, "0001")

    def add(table: str, **values: object) -> None:
        connection.execute(metadata.tables[table].insert().values(values))

    add("projects", id=3, uuid=UUID(int=3), name="Default", created_at=START)
    times = {"created_at": START, "updated_at": START}
    plan = {"expected_interval": 60, "grace_period": 0, "expect_first_heartbeat": True}
    names = {"name": "old", "slug": "old", "description": "", "tags": ["x"]}
    add("applications", id=8, project_id=3, uuid=UUID(int=8), **names, **plan, **times)
    add("application_states", application_id=8, status="down", armed_at=START)
    add("incidents", id=4, project_id=3, application_id=8, reason="missed", opened_at=at(60))
    for number in range(5):
        add(
            "heartbeats",
            id=number + 10,
            application_id=8,
            kind=0,
            received_at=at(-number * DAY),
            method="POST",
            body_size=0,
        )


def test_a_backup_of_an_older_version_is_brought_up_to_date(
    database_url: str, target: Database
) -> None:
    old = open_database(database_url)
    with old.write() as connection:
        fill_first_revision(connection)
    backup = backup_of(old)
    old.close()
    assert BackupReader(io.BytesIO(backup)).header.schema == "0001"

    restore(target, backup, SecretBox(["any"]))
    assert migrate.current_revision(target) == migrate.newest_revision()
    restored = World(target)
    assert restored.project_id == 3
    with target.read() as connection:
        found = connection.execute(select(heartbeats.c.received_at)).scalars()
        assert set(found) == {at(-number * DAY) for number in range(5)}
        assert connection.execute(select(rollup_progress.c.rolled_id)).scalar_one() == 0
    (made,) = restored.record([signal(UUID(int=8), 70)]).outcomes
    assert made is Outcome.STORED
    assert get_application(target, 3, 8, now=at(70), base_url=BASE_URL).status is Shown.UP
    assert restored.application("new").id == 9
    restored.close()
    assert reception_proven_until(target) == START, "since then it is blind, so nobody is told"


@pytest.mark.parametrize("days", [0.001, 1, 30])
def test_an_old_backup_raises_no_alarm_for_those_who_are_alive(
    world: World, tmp_path: Path, days: float
) -> None:
    process = Process(world.database)
    process.beat(0)
    healthy, dead = world.application("healthy"), world.application("dead")
    world.beat(healthy, 30)
    world.beat(dead, 31)
    process.beat(35)
    later = days * DAY
    with empty_database("sqlite", tmp_path) as target:
        restore(target, backup_of(world.database), world.secret_box)
        restored = World(target)
        Process(target).beat(later)
        restored.detect(later)
        assert restored.look(healthy, later).status is not Shown.DOWN
        restored.beat(healthy, later + 55)
        restored.detect(later + 69.9)
        assert open_incidents(target) == []
        restored.detect(later + 70.1)
        assert open_incidents(target) == [(dead.id, at(later + 70))]
        restored.close()


def open_incidents(database: Database) -> list[tuple[int, datetime]]:
    with database.read() as connection:
        rows = connection.execute(select(incidents).where(incidents.c.closed_at.is_(None)))
        return [(row.application_id, row.opened_at) for row in rows]


def test_a_backup_of_a_newer_version_is_refused(sample: Sample, target: Database) -> None:
    backup = rewritten(sample.backup, schema="9999", program="9.0.0")
    with pytest.raises(BackupRefused, match=r"version 9\.0\.0 .* newer one"):
        restore(target, backup, sample.secret_box)


# --- what must not be lost ---------------------------------------------------------------------


def test_what_a_database_holds_is_lost_only_when_told_to(sample: Sample, target: Database) -> None:
    backup = sample.backup
    migrate.upgrade(target)
    other = World(target)
    kept = other.application("made here")
    other.beat(kept, 1)
    other.close()
    before = rows_of(target)
    with pytest.raises(Conflict, match=r"applications: 1\).*--replace"):
        restore(target, backup, sample.secret_box)
    assert rows_of(target) == before

    restore(target, backup, sample.secret_box, replace=True)
    assert rows_of(target) == sample.rows


@pytest.mark.parametrize(
    ("table", "rows", "reason"),
    [
        ("users", [(1, "a@b.c", "x", START), (1, "b@b.c", "x", START)], "does not take"),
        ("users", [(1, "a@b.c", None, START)], "does not take"),
        ("users", [(2**70, "a@b.c", "x", START)], "does not take"),
        ("members", [(1, 77, "owner")], "does not take"),
        ("secrets", [(1,)], "no version had"),
    ],
)
def test_a_restore_that_fails_half_way_changes_nothing(
    world: World, table: str, rows: list[Row], reason: str
) -> None:
    """Made on purpose: it is whole, and yet no database takes it."""
    world.beat(world.application(), 1)
    world.webhook("https://example.com/")
    # Its recorder has a connection of its own, as that of a service.
    world.close()
    before = rows_of(world.database)
    backup = with_rows(backup_of(world.database), table, rows)
    with pytest.raises(BackupRefused, match=reason):
        restore(world.database, backup, world.secret_box, replace=True)
    assert rows_of(world.database) == before
    again = World(world.database)
    assert again.beat(again.application("next"), 2) is Outcome.STORED
    again.close()


def test_a_database_that_a_service_works_with_is_left_alone(
    sample: Sample, target: Database
) -> None:
    backup = sample.backup
    migrate.upgrade(target)
    url = target.engine.url.render_as_string(hide_password=False)
    target.close()
    # As the command opens it.
    service, alone = open_database(url), open_database(url, alone=True)
    try:
        service.ping()
        with pytest.raises((Conflict, StorageUnavailable), match=r"other session|locked"):
            restore(alone, backup, sample.secret_box)
    finally:
        service.close()
        alone.close()
    assert rows_of(target)["applications"] == []


# --- secrets -----------------------------------------------------------------------------------


def test_secrets_are_sealed_anew_where_the_key_is_another(world: World, tmp_path: Path) -> None:
    with HttpReceiver() as receiver, empty_database("sqlite", tmp_path) as target:
        application = world.application(channels=[world.webhook(f"{receiver.url}/{SECRET}")])
        world.beat(application, 1, SignalKind.FAIL)
        box = SecretBox(["the key of the new place, and no other"])
        contents = restore(target, backup_of(world.database), box, former=world.secret_box)
        assert contents.unopened == 0

        restored = World(target)
        restored.secret_box = box
        (claimed,) = restored.claim(2)
        assert restored.send(claimed, 2) is DeliveryStatus.DELIVERED
        assert receiver.requests[0].target == f"/{SECRET}"
        restored.close()


def test_secrets_that_no_key_opens_are_counted_and_kept(sample: Sample, target: Database) -> None:
    contents = restore(target, sample.backup, SecretBox(["another key"]))
    assert contents.unopened == 1
    assert rows_of(target)["channels"] == sample.rows["channels"], "the lost key may be found again"
