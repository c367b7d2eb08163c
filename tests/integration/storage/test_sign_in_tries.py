"""Sign-ins that were tried, counted by subject and forgotten by age."""

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection

from heartbeat_central.storage import sign_in_tries
from heartbeat_central.storage.engine import Database
from tests.support.rows import at

ADA, BOB = b"\xff" * 32, b"\x00" * 32


def test_tries_are_counted_by_subject_and_only_after_the_given_moment(
    connection: Connection,
) -> None:
    for second in (0, 10, 10, 20):
        sign_in_tries.add(connection, ADA, now=at(second))
    sign_in_tries.add(connection, BOB, now=at(20))
    counted = {
        since: sign_in_tries.count(connection, ADA, since=at(since)) for since in (-1, 0, 10, 20)
    }
    assert counted == {-1: 4, 0: 3, 10: 1, 20: 0}
    assert sign_in_tries.count(connection, BOB, since=at(0)) == 1


def test_what_is_removed_is_what_no_count_since_then_sees(connection: Connection) -> None:
    for second in (0, 10, 20):
        sign_in_tries.add(connection, ADA, now=at(second))
    assert sign_in_tries.remove_older(connection, at(10)) == 2
    assert sign_in_tries.count(connection, ADA, since=at(-1)) == 1
    assert sign_in_tries.remove_older(connection, at(10)) == 0


def test_processes_count_a_subject_one_after_the_other(database: Database) -> None:
    """Look, then add: without the lock all of them would see that there is room for one more."""
    begin = threading.Barrier(4)

    def try_once(_: int) -> bool:
        begin.wait(10)
        with database.write() as connection:
            sign_in_tries.lock(connection, ADA)
            if sign_in_tries.count(connection, ADA, since=at(-1)) >= 1:
                return False
            sign_in_tries.add(connection, ADA, now=at(0))
            return True

    with ThreadPoolExecutor(4) as nodes:
        assert sorted(nodes.map(try_once, range(4))) == [False, False, False, True]
