"""The schema is upgraded while heartbeats come in: all of them are stored, and none waits for long.

Somebody reads the outbox for seconds meanwhile, as a backup does. A lock that a migration waits for behind
such a reader would be waited for by everyone else.
"""

import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import Self
from uuid import UUID

import pytest
from sqlalchemy import bindparam, func, insert, select, text, update

from bench import data
from heartbeat_central.domain.errors import Conflict
from heartbeat_central.domain.signal import Signal, SignalKind
from heartbeat_central.storage import (
    concurrently,
    heartbeats,
    migrate,
    tables,
    touches_postgresql,
    touches_sqlite,
)
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.engine_postgresql import wait_for_ever
from heartbeat_central.storage.heartbeats import NewHeartbeat
from heartbeat_central.storage.touch_stores import open_touch_store
from heartbeat_central.storage.touches import Touch, Touches
from heartbeat_central.storage.types import Moment
from tests.faults.conftest import Report
from tests.faults.load import Load
from tests.faults.scene import scene
from tests.support import rows
from tests.support.launcher import Launched
from tests.support.service import ROOT, OwnInterpreter, Service, wait_until
from tests.support.world import on_postgresql

READ = 2.5
"""Seconds that somebody reads."""
PATIENCE = 1.5
"""Seconds that a heartbeat may take on a busy test machine: a migration tries for 0.2 s to get a lock."""


class Writer:
    """A node of the first version, as far as recording goes: its statements need no newer column.

    All but one of its applications are touched, which is what it does with nearly every heartbeat. The last
    one is judged under a lock, with the statements that this took then.
    """

    def __init__(self, url: str, uuids: Sequence[UUID], numbers: Iterator[int]) -> None:
        self.stored: list[str] = []
        self.failures: list[object] = []
        self.longest = 0.0
        self._database = open_database(url)
        self._touches = open_touch_store(self._database)
        self._uuids, self._numbers = uuids, numbers
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._record_on)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(30)
        self._touches.close()
        self._database.close()

    def _record_on(self) -> None:
        while not self._over.wait(0.005):
            batch = [self._signal(uuid) for uuid in self._uuids]
            begun = time.monotonic()
            try:
                self._touch(batch[:-1])
                self._judge(batch[-1])
            except Exception as error:
                self.failures.append(error)
                continue
            self.longest = max(self.longest, time.monotonic() - begun)
            self.stored += [(signal.body or b"").decode() for signal in batch]

    def _touch(self, signals: Sequence[Signal]) -> None:
        ids = {uuid: id_ for uuid, (id_, _) in self._touches.find(self._uuids).items()}
        touches = [Touch(ids[one.uuid], False, one.received_at) for one in signals]
        lost = self._touches.store(Touches(touches, [(ids[one.uuid], one) for one in signals]))
        assert not lost

    def _judge(self, signal: Signal) -> None:
        apps, states = tables.applications, tables.application_states
        with self._database.write() as connection:
            id_ = connection.execute(
                select(apps.c.id)
                .join(states, states.c.application_id == apps.c.id)
                .where(apps.c.uuid == signal.uuid)
                .with_for_update(of=states)
            ).scalar_one()
            heartbeats.insert_many(connection, [NewHeartbeat(id_, signal, None)])
            connection.execute(
                update(states)
                .where(states.c.application_id == id_)
                .values(last_heartbeat_at=signal.received_at)
            )

    def _signal(self, uuid: UUID) -> Signal:
        body = str(next(self._numbers)).encode()
        now = datetime.now(UTC)
        return Signal(
            uuid=uuid, kind=SignalKind.SUCCESS, received_at=now, body=body, body_size=len(body)
        )


@contextmanager
def somebody_reads(database: Database, *names: str, over: threading.Event) -> Iterator[None]:
    """Read these tables in a transaction that goes on until `over`, or the end of the block."""
    reading = threading.Event()

    def read() -> None:
        with database.read() as connection:
            if database.dialect == "postgresql":
                wait_for_ever(connection)
            for name in names:
                connection.execute(select(func.count()).select_from(tables.metadata.tables[name]))
            reading.set()
            over.wait(60)

    reader = threading.Thread(target=read)
    reader.start()
    assert reading.wait(10)
    try:
        yield
    finally:
        over.set()
        reader.join(10)


@contextmanager
def first_version(url: str, *, history: int) -> Iterator[tuple[Database, Sequence[UUID]]]:
    """Yield a database as the first version left it, with eight applications and so many heartbeats."""
    database = open_database(url)
    with database.write() as connection:
        migrate.upgrade_to(connection, "0001")
        project_id = rows.project(connection)
    data.add_applications(database, project_id, 8)
    with database.write() as connection:
        connection.execute(
            text(
                "WITH RECURSIVE one (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM one WHERE n < :many)"
                " INSERT INTO heartbeats (application_id, kind, received_at, method, body_size)"
                " SELECT 8, 0, :at, 'GET', 0 FROM one"
            ).bindparams(bindparam("at", type_=Moment)),
            {"many": history, "at": rows.NOON},
        )
    yield database, [data.uuid_of(number) for number in range(1, 9)]
    database.close()


@pytest.fixture
def touches_as_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first version's touches had one condition less."""
    for module, name in ((touches_postgresql, "_STATEMENT"), (touches_sqlite, "_TRIGGER")):
        now = getattr(module, name)
        as_text = now.decode() if isinstance(now, bytes) else now
        before, found = re.subn(r"\s+AND \((state\.)?extended_at [^)]*\)", "", as_text)
        assert found == 1
        monkeypatch.setattr(module, name, before.encode() if isinstance(now, bytes) else before)


@pytest.mark.usefixtures("touches_as_at_first")
@pytest.mark.parametrize("history", [1, pytest.param(2_000_000, marks=pytest.mark.soak)])
def test_every_migration_from_the_first_on_while_two_nodes_record(
    database_url: str, report: Report, history: int
) -> None:
    pauses: list[float] = []
    over = threading.Event()

    def pause(seconds: float) -> None:
        assert seconds == migrate.PAUSE
        pauses.append(time.monotonic())
        if pauses[-1] - pauses[0] > READ:
            over.set()
        # So that it is tried more often than anybody would.
        threading.Event().wait(0.1)

    numbers = count()
    with first_version(database_url, history=history) as (database, uuids):
        with ExitStack() as stack:
            writers = [
                stack.enter_context(Writer(database_url, uuids, numbers))
                for _ in range(2 if database.dialect == "postgresql" else 1)
            ]
            wait_until(lambda: all(one.stored for one in writers), "the first heartbeats")
            with somebody_reads(database, "deliveries", over=over):
                migrate.upgrade(database, pause=pause)
            known = len(writers[0].stored)
            wait_until(lambda: len(writers[0].stored) > known + 100, "heartbeats afterwards")
        assert migrate.current_revision(database) == migrate.newest_revision()
        assert [failure for one in writers for failure in one.failures] == []
        stored = [body for one in writers for body in one.stored]
        with database.read() as connection:
            body = tables.heartbeats.c.body
            bodies = connection.execute(select(body).where(body.is_not(None))).scalars().all()
        assert sorted(body.decode() for body in bodies) == sorted(stored)
    longest = max(one.longest for one in writers)
    assert longest < PATIENCE
    # It was in the way, or nothing was tried.
    assert pauses or database.dialect == "sqlite"
    report(
        f"{len(stored)} heartbeats beside {history} older ones, all stored; "
        f"the slowest batch took {longest * 1000:.0f} ms"
    )


NEXT_REVISION = '''"""What a version to come may bring.

Revision ID: 9000
Revises: {before}
"""

import sqlalchemy as sa
from alembic import op

from heartbeat_central.storage import concurrently

revision = "9000"
down_revision = "{before}"
works_with = "{before}"
branch_labels = None
depends_on = None


def prepare(connection):
    for partition in concurrently.partitions_of(connection, "heartbeats"):
        concurrently.create_index(
            connection, f"{{partition}}_kind", f'ON "{{partition}}" (kind, received_at)'
        )


def upgrade():
    op.add_column("applications", sa.Column("colour", sa.Text(), nullable=True))
    op.add_column("application_states", sa.Column("mood", sa.Text(), nullable=True))
'''


def next_version(folder: Path) -> Path:
    """Return a copy of the program with one more migration."""
    root = folder / "next"
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "app.py", root)
    versions = root / "src/heartbeat_central/storage/migrations/versions"
    before = migrate.newest_revision()
    (versions / "9000_next.py").write_text(NEXT_REVISION.format(before=before))
    return root


def test_a_node_of_the_next_version_takes_over_from_one_of_this_version(
    postgres_url: str, tmp_path: Path, report: Report
) -> None:
    shared = {"SECRET_KEY": "a secret key of both nodes"}
    with scene(tmp_path, postgres_url, **shared) as world:
        old = world.service
        new = OwnInterpreter(tmp_path / "new", DATABASE_URL=postgres_url, **shared)
        new.program = next_version(tmp_path) / "app.py"
        database = open_database(postgres_url)
        over = threading.Event()
        with world.load() as load, ExitStack() as stack:
            load.wait_for(20)
            stack.enter_context(
                somebody_reads(database, "applications", "application_states", over=over)
            )
            # Two that come at the same time: one of them waits for the other.
            upgrade = new.begin("db", "upgrade")
            new.process = new.begin()
            stack.callback(kill, upgrade)
            stack.callback(kill, new.process)
            wait_until(lambda: "upgrade_waits" in new.log(), "somebody in the way", 40)
            load.wait_for(100)
            assert migrate.current_revision(database) == migrate.newest_revision()
            over.set()
            assert upgrade.wait(40) == 0
            new.wait_until_healthy()
            assert migrate.current_revision(database) == "9000"
            with Load(new.port, world.healthy, padding=1) as more:
                more.wait_for(20)
                load.wait_for(20)
            assert new.stop() == 0
            world.wait_until_told()
        assert load.statuses() == {200}
        assert more.statuses() == {200}
        slowest = max(
            (call.answered_at - call.sent_at).total_seconds()
            for call in load.calls
            if call.answered_at is not None
        )
        assert slowest < PATIENCE
        assert indexes(database, "%_kind") == {True}
        database.close()
        assert old.stop() == 0
        load.calls += more.calls
        found = world.verify(load, crashes=0)
    report(
        f"{load.acknowledged} heartbeats acknowledged, {len(found.beats)} stored; "
        f"the slowest answer took {slowest * 1000:.0f} ms"
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def served_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'served.db'}"
    return str(request.getfixturevalue("postgres_url"))


def test_a_node_of_this_version_restarts_on_the_tables_of_the_next(
    served_url: str, tmp_path: Path
) -> None:
    """So a crash in the middle of a rolling upgrade is a restart, and not the end of that node."""
    newer = OwnInterpreter(tmp_path / "new", DATABASE_URL=served_url)
    newer.program = next_version(tmp_path) / "app.py"
    with Service(tmp_path / "old", DATABASE_URL=served_url) as old:
        application = old.api("POST", "/applications", {"name": "Backup", "expected_interval": 60})
        upgrade = newer.begin("db", "upgrade")
        assert upgrade.wait(40) == 0
        # It goes on, is killed, and comes back.
        assert old.beat(application)["status"] == "ok"
        old.kill()
        old.start()
        assert old.beat(application)["status"] == "ok"
        assert len(old.api("GET", f"/applications/{application['id']}/heartbeats")) == 2
        assert old.request("GET", "/health")[0] == 200
        assert "tables_are_newer" in old.log()
        # So do commands.
        assert "newer version (revision 9000)" in old.attempt("db", "upgrade").stderr
        assert "which this one works with" in old.attempt("doctor").stdout
        assert old.command("apikey", "create", "--scope", "read")
        assert old.stop() == 0

        database = open_database(served_url)
        with database.write() as connection:
            connection.execute(text("UPDATE alembic_version SET works_with = '9000'"))
        database.close()
        for command in (["serve"], ["app", "list"], ["backup", "file"]):
            done = old.attempt(*command)
            assert done.returncode == 1
            assert done.stderr.count("\n") == 1, done.stderr
            assert "The tables are at revision 9000" in done.stderr


def kill(process: "Popen[bytes] | Launched") -> None:
    """End it, should a test have failed before it did."""
    process.kill()
    process.wait(20)


def indexes(database: Database, pattern: str) -> set[bool]:
    """Return whether the indexes of such a name are valid."""
    with database.read() as connection:
        valid = connection.execute(
            text(
                "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
                " WHERE relname LIKE :pattern"
            ),
            {"pattern": pattern},
        ).scalars()
        return set(valid)


@on_postgresql
def test_an_index_whose_building_broke_off_is_built_anew(database: Database) -> None:
    """A unique one can't be built over what is there twice, and stays behind as invalid."""
    definition = "ON users (created_at)"
    with database.write() as connection:
        for email in ("a@b.c", "d@e.f"):
            connection.execute(
                insert(tables.users).values(email=email, password_hash="h", created_at=rows.NOON)
            )
    with pytest.raises(Conflict), database.each_for_itself() as connection:
        connection.execute(text(f"CREATE UNIQUE INDEX CONCURRENTLY broken {definition}"))
    assert indexes(database, "broken") == {False}
    for _ in range(2):
        with database.each_for_itself() as connection:
            concurrently.create_index(connection, "broken", definition)
        assert indexes(database, "broken") == {True}
