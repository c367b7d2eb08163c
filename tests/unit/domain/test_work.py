"""What a process may do."""

from heartbeat_central.domain.work import EVERYTHING, Work


def test_a_process_that_is_told_nothing_else_does_every_kind_of_work() -> None:
    assert set(Work) == EVERYTHING
    assert [work.value for work in Work] == ["record", "web", "monitor"]
