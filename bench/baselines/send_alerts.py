"""Two other ways to send 1,000 alerts, timed by the same receivers.

`python -m bench.baselines.send_alerts bare|commits DATABASE_URL` reads a JSON list of URLs, answers
`ready`, and begins at the next line.

bare: our HTTP client on as many threads as the service has senders, nothing stored: the most that
sending could reach. commits: 20 workers as many a job queue has them, each with one claim and one
commit, one request on a new connection, and one outcome and one commit for each alert.
"""

import json
import sys
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, text, update

from bench.sample import BODY
from heartbeat_central.alerts.http import HttpClient, HttpRequest
from heartbeat_central.storage.engine import Database, open_database

BARE_THREADS = 128
WORKERS = 20

_outbox = Table(
    "outbox",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("url", String),
    Column("status", String),
)


def bare(urls: list[str], begin: Callable[[], None]) -> None:
    client = HttpClient(allow_private=True)
    with ThreadPoolExecutor(BARE_THREADS) as pool:
        begin()
        list(pool.map(lambda url: client.send(HttpRequest(url=url, body=BODY)), urls))


def commits(database: Database, urls: list[str], begin: Callable[[], None]) -> None:
    with database.write() as connection:
        connection.execute(text("DROP TABLE IF EXISTS outbox"))
        _outbox.create(connection)
        connection.execute(insert(_outbox), [{"url": url, "status": "pending"} for url in urls])
    with ThreadPoolExecutor(WORKERS) as pool:
        begin()
        for _ in range(WORKERS):
            pool.submit(_work, database)


def _work(database: Database) -> None:
    while True:
        with database.write() as connection:
            row = connection.execute(
                select(_outbox)
                .where(_outbox.c.status == "pending")
                .order_by(_outbox.c.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).one_or_none()
            if row is None:
                return
            connection.execute(
                update(_outbox).where(_outbox.c.id == row.id).values(status="sending")
            )
        with urllib.request.urlopen(row.url, BODY, timeout=10) as response:
            response.read()
        with database.write() as connection:
            connection.execute(update(_outbox).where(_outbox.c.id == row.id).values(status="sent"))


def main() -> None:
    kind, url = sys.argv[1:]
    urls = json.loads(sys.stdin.readline())

    def begin() -> None:
        print("ready", flush=True)
        sys.stdin.readline()

    if kind == "bare":
        bare(urls, begin)
        return
    database = open_database(url, pool_size=WORKERS)
    commits(database, urls, begin)
    database.close()


if __name__ == "__main__":
    main()
