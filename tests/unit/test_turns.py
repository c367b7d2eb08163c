"""Who waits for the one writer of SQLite gets it in turn."""

import threading

from heartbeat_central.storage.turns import Turns
from tests.support.service import wait_until


def waiting(turns: Turns) -> int:
    return len(turns._waiting)


def test_goes_to_those_who_wait_in_the_order_in_which_they_came() -> None:
    turns, order = Turns(), list[int]()

    def take(number: int) -> None:
        with turns:
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(10)]
    with turns:
        for number, thread in enumerate(threads):
            thread.start()
            wait_until(lambda n=number: waiting(turns) > n, "the thread to wait")  # type: ignore[misc]
    with turns:
        assert order == list(range(10)), "who asks again comes after those who wait"
    for thread in threads:
        thread.join()


def test_is_free_again_after_an_error() -> None:
    turns = Turns()
    try:
        with turns:
            raise ValueError
    except ValueError:
        pass
    with turns:
        pass


def test_never_lets_two_in_at_once() -> None:
    turns, inside, most = Turns(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(500):
            with turns:
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (inside, most) == (0, 1)
