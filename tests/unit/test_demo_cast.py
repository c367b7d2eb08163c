"""The simulated applications of the demo tell the same story at any speed."""

from itertools import takewhile

import pytest

from heartbeat_central.cli.demo.applications import CAST, Actor


@pytest.mark.parametrize("actor", CAST, ids=lambda actor: actor.name)
@pytest.mark.parametrize("speed", [0.5, 1, 2, 4])
def test_a_faster_story_has_the_same_calls_in_less_time(actor: Actor, speed: float) -> None:
    usual = list(takewhile(lambda call: call.at < 100, actor.script()))
    faster = list(takewhile(lambda call: call.at * speed < 100, actor.at_speed(speed).script()))
    assert [(one.path, one.body) for one in faster] == [(one.path, one.body) for one in usual]
    assert [one.at * speed for one in faster] == pytest.approx([one.at for one in usual])
    assert actor.at_speed(speed).interval * speed >= actor.interval
    assert actor.at_speed(speed).grace * speed >= actor.grace


def test_the_plot_tells_the_seconds_of_that_speed() -> None:
    [mail] = [actor for actor in CAST if actor.name == "Mail queue worker"]
    assert mail.at_speed(1) == mail
    assert "hangs after 3 s for 4 s" in mail.at_speed(4).plot
    assert "hangs after 24 s for 32 s" in mail.at_speed(0.5).plot
