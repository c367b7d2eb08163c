"""PostgreSQL crashes, is full up, or the network to it fails, while clients call."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.faults.conftest import Report
from tests.faults.proxy import Proxy
from tests.faults.scene import scene
from tests.support.missing import missing
from tests.support.postgres import PostgresMissing, Server
from tests.support.service import wait_until

MOST_CONNECTIONS = 30


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL of this module's own, which may be stopped."""
    try:
        own = Server(max_connections=str(MOST_CONNECTIONS))
    except PostgresMissing as reason:
        missing(str(reason))
    with own as running:
        yield running


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.port) as between:
        yield between


@pytest.fixture
def url(server: Server, proxy: Proxy) -> str:
    """The address of an empty database, by way of the proxy."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS away WITH (FORCE)")
        connection.execute("CREATE DATABASE away")
    parts = urlsplit(server.url)
    return urlunsplit(parts._replace(netloc=f"postgres@127.0.0.1:{proxy.port}", path="/away"))


Fault = Callable[[Server, Proxy], Iterator[None]]
"""Begins before it yields and is over after it."""


def crash(server: Server, proxy: Proxy) -> Iterator[None]:
    server.halt("immediate")
    yield
    server.resume()


def black_hole(server: Server, proxy: Proxy) -> Iterator[None]:
    proxy.black_hole()
    yield
    proxy.heal()


def answers_swallowed(server: Server, proxy: Proxy) -> Iterator[None]:
    proxy.black_hole("to_client")
    yield
    proxy.heal()


def frozen(server: Server, proxy: Proxy) -> Iterator[None]:
    proxy.freeze()
    yield
    proxy.heal()


def cut(server: Server, proxy: Proxy) -> Iterator[None]:
    proxy.cut()
    yield
    proxy.heal()


def slow(server: Server, proxy: Proxy) -> Iterator[None]:
    proxy.delay(1.0)
    yield
    proxy.heal()


def full_up(server: Server, proxy: Proxy) -> Iterator[None]:
    """Every connection is taken by others when the service has just lost its own."""
    with ExitStack() as taken:
        proxy.cut()
        try:
            while True:
                taken.enter_context(psycopg.connect(server.url))
        except psycopg.OperationalError as error:
            assert "too many clients" in str(error)  # noqa: PT017  the end that is waited for
        proxy.heal()
        yield


EVERYDAY = (crash, black_hole, full_up)
ALL = (crash, black_hole, answers_swallowed, frozen, cut, slow, full_up)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("faults", "seconds"),
    [(EVERYDAY, 0.2), pytest.param(ALL * 2, 6.0, marks=pytest.mark.soak, id="soak")],
)
def test_while_it_is_away_there_are_503s_and_nothing_else(
    server: Server,
    proxy: Proxy,
    url: str,
    tmp_path: Path,
    report: Report,
    faults: tuple[Fault, ...],
    seconds: float,
) -> None:
    recovered: dict[str, float] = {}
    with scene(tmp_path, url) as world:
        with world.load() as load:
            load.wait_for(50)
            for fault in faults:
                with contextmanager(fault)(server, proxy):
                    load.wait_for_failure()
                    if fault is crash:
                        assert "database" in world.service.failing()
                    pass_time(seconds)
                took = load.wait_for(1)
                recovered[fault.__name__] = max(took, recovered.get(fault.__name__, 0))
            world.wait_until_told()
            wait_until(lambda: not world.service.failing(), "/health to name nothing any more")
            # Once it has ended, connections are refused.
            assert load.statuses() == {200, 503}
            assert world.service.stop() == 0
        found = world.verify(load, crashes=len(faults))
    # Two and five seconds are promised; a test machine that is busy elsewhere gets more.
    assert load.longest_refusal < 4
    assert max(recovered.values()) < 15
    report(
        f"{len(faults)} faults of PostgreSQL: {load.acknowledged} acknowledged, "
        f"{len(found.beats)} stored; refused within {load.longest_refusal:.2f} s; stored again "
        + ", ".join(f"{took:.1f} s after {name}" for name, took in recovered.items())
    )


def pass_time(seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
