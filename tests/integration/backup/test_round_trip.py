"""A backup holds everything, comes from either database and goes into either."""

import io
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select, text

from heartbeat_central.domain.errors import NotFound
from heartbeat_central.services import manage_accounts
from heartbeat_central.services.backup_file import BackupReader
from heartbeat_central.services.manage_applications import delete_application
from heartbeat_central.services.record_signals import Outcome
from heartbeat_central.storage import migrate, partitions
from heartbeat_central.storage.dump_rows import column_type
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.tables import heartbeats, metadata, rollup_progress
from tests.support.backups import (
    DAY,
    PASSWORD,
    SECRET,
    Filled,
    backup_of,
    empty_database,
    restore,
    rows_of,
    seen_through_the_api,
)
from tests.support.world import START, World, at, signal


def test_everything_is_the_same_in_the_other_database(filled: Filled, target: Database) -> None:
    before = seen_through_the_api(filled.world, filled.key)
    backup = backup_of(filled.world.database)
    assert SECRET.encode() not in backup
    restore(target, backup, filled.world.secret_box)

    restored = World(target)
    assert rows_of(target) == rows_of(filled.world.database)
    assert seen_through_the_api(restored, filled.key) == before
    assert migrate.current_revision(target) == migrate.newest_revision()
    assert manage_accounts.sign_in(target, "ada@example.com", PASSWORD, now=START)
    restored.close()


def test_a_restored_service_goes_on_where_the_other_was(filled: Filled, target: Database) -> None:
    world = filled.world
    gone = world.application("made and deleted just before the backup")
    delete_application(world.database, world.project_id, gone.id, now=at(60))
    highest = max(
        beat["id"]
        for path, beats in seen_through_the_api(world, filled.key).items()
        if path.endswith("/heartbeats?limit=1000")
        for beat in beats
    )
    restore(target, backup_of(world.database), world.secret_box)

    # The service opens it anew: `restore` had it for itself alone.
    target.close()
    url = target.engine.url.render_as_string(hide_password=False)
    with closing(open_database(url)) as database:
        restored = World(database)
        made = restored.application("new")
        assert made.id > gone.id, "an id that was given once is never given again"
        assert restored.beat(made, 200) is Outcome.STORED
        with database.read() as connection:
            newest = connection.execute(select(heartbeats).order_by(heartbeats.c.id.desc())).first()
            progress = connection.execute(select(rollup_progress)).one()
        assert newest is not None
        assert newest.application_id == made.id
        assert newest.id > highest
        assert newest.id > progress.rolled_id, "or it would never get into the rollups"
        # The alerts that waited are sent, the leased one once its lease is over.
        assert restored.claim(135)
        restored.close()


def test_old_history_gets_its_partitions(
    world: World, postgres_server: str, tmp_path: Path
) -> None:
    application = world.application()
    world.record([signal(application.uuid, -days * DAY) for days in (400, 30, 1, 0)])
    with empty_database("postgresql", tmp_path) as target:
        restore(target, backup_of(world.database), world.secret_box)
        with target.read() as connection:
            days = partitions.existing_days(connection)
            unplaced = connection.execute(text("SELECT count(*) FROM heartbeats_default")).scalar()
    assert set(days) == {at(-days * DAY).date() for days in (400, 30, 1, 0)}
    assert unplaced == 0


def test_a_backup_made_under_load_holds_what_was_accepted_before(world: World) -> None:
    application = world.application()
    accepted: list[int] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            number = len(accepted)
            world.record([signal(application.uuid, number * 0.001)] * 10)
            accepted.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(accepted) < 20:
            threading.Event().wait(0.01)
        before = len(accepted)
        read = BackupReader(io.BytesIO(backup_of(world.database)))
        after = len(accepted)
    finally:
        stop.set()
        writer.join()
    rows = [
        row for section, batch in read.batches() if section.table == "heartbeats" for row in batch
    ]
    assert 10 * before <= len(rows) <= 10 * (after + 1)
    assert len(rows) % 10 == 0, "a transaction is in the snapshot as a whole"


def test_a_backup_of_an_empty_database_says_so(target: Database) -> None:
    with pytest.raises(NotFound, match="no tables"):
        backup_of(target)


def test_every_column_there_is_can_be_written() -> None:
    for table in metadata.sorted_tables:
        for column in table.columns:
            assert column_type(column.type)
