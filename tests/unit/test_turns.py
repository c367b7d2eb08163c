"""Who waits for the one writer of SQLite gets it in turn."""

import threading

from heartbeat_central.storage.turns import Turns
from tests.support.service import wait_until


def waiting(turns: Turns) -> int:
    return len(turns._hurried) + len(turns._patient)


def test_goes_to_those_who_wait_in_the_order_in_which_they_came() -> None:
    turns, order = Turns(), list[int]()

    def take(number: int) -> None:
        with turns.turn():
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(10)]
    with turns.turn():
        for number, thread in enumerate(threads):
            thread.start()
            wait_until(lambda n=number: waiting(turns) > n, "the thread to wait")  # type: ignore[misc]
    with turns.turn():
        assert order == list(range(10)), "who asks again comes after those who wait"
    for thread in threads:
        thread.join()


def test_is_free_again_after_an_error() -> None:
    turns = Turns()
    try:
        with turns.turn():
            raise ValueError
    except ValueError:
        pass
    with turns.turn():
        pass


def test_never_lets_two_in_at_once() -> None:
    turns, inside, most = Turns(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(500):
            with turns.turn():
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (inside, most) == (0, 1)


def test_those_in_a_hurry_get_every_second_turn() -> None:
    turns, order = Turns(), list[str]()

    def take(name: str) -> None:
        with turns.turn(hurried=name.startswith("hurried")):
            order.append(name)

    names = ["a", "b", "c", "hurried 1", "hurried 2", "hurried 3", "hurried 4"]
    threads = [threading.Thread(target=take, args=(name,)) for name in names]
    with turns.turn():
        for number, thread in enumerate(threads):
            thread.start()
            wait_until(lambda n=number: waiting(turns) > n, "the thread to wait")  # type: ignore[misc]
    for thread in threads:
        thread.join()
    assert order == ["hurried 1", "a", "hurried 2", "b", "hurried 3", "c", "hurried 4"]
