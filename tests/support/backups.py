"""Databases worth backing up, backups of them, and what must be the same afterwards."""

import contextlib
import dataclasses
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from heartbeat_central.api.context import ApiContext
from heartbeat_central.domain.application import settings_from
from heartbeat_central.domain.backup import ColumnType, Header, Row, Section
from heartbeat_central.domain.signal import SignalKind
from heartbeat_central.services import manage_accounts, manage_api_keys, manage_applications
from heartbeat_central.services.back_up import back_up
from heartbeat_central.services.backup_file import BackupReader, BackupWriter
from heartbeat_central.services.deliver_alerts import Sender
from heartbeat_central.services.restore_backup import Contents, inspect_backup, restore_backup
from heartbeat_central.storage.dump import snapshot
from heartbeat_central.storage.engine import Database, open_database
from heartbeat_central.storage.outbox import DeliveryStatus
from heartbeat_central.storage.secrets import SecretBox
from tests.integration.api.conftest import served_app
from tests.support import postgres
from tests.support.receivers.http import HttpReceiver
from tests.support.world import BASE_URL, START, World, at, signal

DAY = 24 * 3600
PASSWORD = "correct horse battery staple"
SECRET = "the-token-of-the-hook"
TEXTS = ("Nächtliches Backup", "emoji 🫀, quotes ' \" \\ and\nnewlines", "x" * 200)


@contextlib.contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[Database]:
    """Yield an empty database of one of the two kinds; a PostgreSQL must be running."""
    with contextlib.ExitStack() as stack:
        if kind == "sqlite":
            url = f"sqlite:///{folder / 'restored.sqlite3'}"
        else:
            url = stack.enter_context(postgres.fresh_database())
        database = open_database(url)
        stack.callback(database.close)
        yield database


@dataclass
class Filled:
    """A world with something of everything in it."""

    world: World
    key: str
    """Of the REST API."""


@dataclass
class Sample:
    """A backup, and what must be there when it is restored."""

    backup: bytes
    key: str
    """Of the REST API."""
    secret_box: SecretBox
    rows: dict[str, list[str]]


def fill(world: World) -> Filled:
    """Give a world something of everything: each state, kind of signal, outcome and odd text."""
    project, database = world.project_id, world.database
    with HttpReceiver() as receiver:
        hook = world.webhook(f"{receiver.url}/{SECRET}")
        _live_a_day(world, hook)
    manage_accounts.create_first_account(database, "ada@example.com", PASSWORD, now=START)
    manage_accounts.sign_in(database, "ada@example.com", PASSWORD, now=START)
    key, _ = manage_api_keys.create_api_key(database, project, "scripts", "write", now=START)
    _, revoked = manage_api_keys.create_api_key(database, project, "old", "read", now=START)
    manage_api_keys.revoke_api_key(database, project, revoked.id, now=at(5))
    world.roll_up(2 * 3600)
    return Filled(world, key)


def _live_a_day(world: World, hook: int) -> None:
    for text in TEXTS:
        world.application(text, tags=["a", text[:20]], description=text, channels=[hook])
    cron = settings_from(
        name="cron",
        expected_interval=None,
        schedule={"kind": "cron", "expression": "30 2 * * *", "timezone": "Europe/Vienna"},
        grace_period=3600,
    )
    manage_applications.create_application(
        world.database, world.project_id, cron, channels=[], now=START, base_url=BASE_URL
    )
    paused = world.application("paused")
    manage_applications.pause_application(
        world.database, world.project_id, paused.id, now=at(1), base_url=BASE_URL
    )
    steady = world.application("steady")
    for days in (-40, -3, -1):
        world.record([signal(steady.uuid, days * DAY + second) for second in range(0, 300, 60)])
    rid = UUID(int=7)
    world.beat(steady, 10, SignalKind.START, rid=rid)
    world.beat(steady, 12.345678, rid=rid, body=bytes(range(256)), body_size=9999, method="GET")
    world.beat(steady, 20, SignalKind.LOG, body="grüße\x00".encode(), remote_address="::1")
    recovers = world.application("recovers", channels=[hook])
    world.beat(recovers, 30, SignalKind.FAIL, exit_status=3, user_agent="curl/8")
    for claimed in world.claim(31):
        assert world.send(claimed, 31) is DeliveryStatus.DELIVERED
    world.beat(recovers, 40)
    for claimed in world.claim(41):
        world.send(claimed, 41)
    gone = world.application("deleted")
    world.beat(gone, 50)
    manage_applications.delete_application(world.database, world.project_id, gone.id, now=at(60))
    # What has no heartbeat goes down now; its alerts wait in the outbox, one of them leased.
    world.detect(100)
    world.claim(101, most=1)


def backup_of(database: Database) -> bytes:
    """Return a backup."""
    file = io.BytesIO()
    back_up(database, file, now=START, on_progress=lambda _done, _total: None)
    return file.getvalue()


def restore(
    database: Database,
    backup: bytes,
    box: SecretBox,
    *,
    former: SecretBox | None = None,
    replace: bool = False,
) -> Contents:
    """Restore a backup as the command does, which has a SQLite file to itself."""
    stream = io.BytesIO(backup)
    contents = inspect_backup(
        stream, [box] if former is None else [box, former], on_progress=lambda _: None
    )
    url = database.engine.url.render_as_string(hide_password=False)
    database.close()
    alone = open_database(url, alone=True)
    try:
        restore_backup(
            alone,
            stream,
            contents,
            box=box,
            former=former,
            replace=replace,
            on_progress=lambda _: None,
        )
    finally:
        alone.close()
    return contents


def rows_of(database: Database) -> dict[str, list[str]]:
    """Return the rows of every table that is backed up, sorted.

    Without the processes that took heartbeats: after a restore, all of them have ended.
    """
    with snapshot(database) as taken:
        return {
            section.table: sorted(_plain(row) for row in taken.rows(section))
            for section in taken.sections()
            if section.table != "nodes"
        }


def _plain(row: Sequence[Any]) -> str:
    # JSONB keeps no order of keys.
    return repr([json.dumps(one, sort_keys=True) if isinstance(one, dict) else one for one in row])


def seen_through_the_api(world: World, key: str) -> dict[str, Any]:
    """Return all that the REST API tells, 2 minutes after START, page by page."""
    app = served_app(
        ApiContext(
            sender=Sender(world.database, world.registry, world.secret_box, world.outbound),
            base_url=BASE_URL,
            clock=lambda: at(120),
            doorbell=lambda: None,
        )
    )
    client = app.test_client()

    def get(path: str) -> Any:
        answer = client.get(f"/api{path}", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200, answer.text
        assert "next" not in answer.headers.get("Link", "")
        return json.loads(answer.text)

    applications, channels = get("/applications?limit=1000"), get("/channels?limit=1000")
    paths = ["/incidents?limit=1000"]
    paths += [f"/applications/{one['uuid']}" for one in applications]
    paths += [f"/applications/{one['id']}/heartbeats?limit=1000" for one in applications]
    paths += [f"/applications/{one['id']}/incidents?limit=1000" for one in applications]
    paths += [f"/channels/{one['id']}/deliveries?limit=1000" for one in channels]
    return {
        "applications": applications,
        "channels": channels,
        **{path: get(path) for path in paths},
    }


def with_rows(backup: bytes, table: str, rows: list[Row]) -> bytes:
    """Return a backup that has other rows in one table, and counts and checksum to match."""
    reader = BackupReader(io.BytesIO(backup))
    sections: dict[str, Section] = {}
    content: dict[str, list[Row]] = {}
    for section, batch in reader.batches():
        sections[section.table] = section
        content.setdefault(section.table, []).extend(batch)
    if table not in sections:
        sections[table] = Section(table=table, columns={"id": ColumnType.INTEGER}, last_id=None)
    content[table] = rows
    return written(reader.header, [(sections[name], content[name]) for name in sections])


def rewritten(backup: bytes, **header: Any) -> bytes:
    """Return a backup with another header."""
    reader = BackupReader(io.BytesIO(backup))
    changed = dataclasses.replace(reader.header, **header)
    return written(changed, list(reader.batches()))


def written(header: Header, sections: Sequence[tuple[Section, Sequence[Row]]]) -> bytes:
    """Return a backup of these tables."""
    file = io.BytesIO()
    with BackupWriter(file, header) as writer:
        for section, rows in sections:
            list(writer.write(section, rows))
    return file.getvalue()
