"""Fixtures for injected faults."""

from collections.abc import Callable

import pytest

from tests.integration.conftest import world

__all__ = ["world"]

Report = Callable[[str], None]
"""Tells a figure of a soak to whoever watches it run."""


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Report:
    def say(figures: str) -> None:
        if request.node.get_closest_marker("soak"):
            with capsys.disabled():
                print(f"\n  {figures}")

    return say
