"""`python app.py`, which ends or stands still at the step that a test names.

The test writes the step into the file `die-at` (SIGKILL, as a machine that loses its power) or `stop-at`
(SIGSTOP, as one that is frozen) in the current folder. Nothing of the service knows of it: the functions
that do the steps are replaced where they are put together.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

STEPS = (
    "noticed, before the commit",
    "noticed, after the commit",
    "claimed, before the commit",
    "claimed, after the commit",
    "before it is sent",
    "after it is sent",
    "before it is marked",
    "marked, before the commit",
    "marked, after the commit",
)
DIE_AT = Path("die-at")
STOP_AT = Path("stop-at")

_transaction = threading.local()


def reached(step: str) -> None:
    """End or stand still here and now when this is the step."""
    for path, number in ((DIE_AT, signal.SIGKILL), (STOP_AT, signal.SIGSTOP)):
        if step and path.exists() and path.read_text() == step:
            # Once: the next life, or the same one, goes on.
            path.unlink()
            os.kill(os.getpid(), number)


def doomed(
    do: Callable[..., Any], *, before: str = "", commit: str = "", after: str = ""
) -> Callable[..., Any]:
    """Return what does the same, and may end before it, after it, or before its transaction commits."""

    def step(*arguments: Any, **named: Any) -> Any:
        reached(before)
        _transaction.step = commit
        try:
            done = do(*arguments, **named)
        finally:
            _transaction.step = ""
        found_nothing = done == [] or getattr(done, "alerts_added", 1) == 0
        if not found_nothing:
            reached(after)
        return done

    return step


def run() -> None:
    from sqlalchemy import Connection, Engine, event

    from app import run as serve
    from heartbeat_central.alerts.webhook.plugin import WebhookPlugin
    from heartbeat_central.monitor import dispatcher, jobs, ledger

    @event.listens_for(Engine, "commit")
    def commits(connection: Connection) -> None:
        if connection.get_execution_options().get("heartbeat_central_write"):
            reached(getattr(_transaction, "step", ""))

    def replace(where: object, name: str, **steps: str) -> None:
        setattr(where, name, doomed(getattr(where, name), **steps))

    replace(jobs, "detect_missed", commit=STEPS[0], after=STEPS[1])
    replace(dispatcher, "claim_due", commit=STEPS[2], after=STEPS[3])
    replace(WebhookPlugin, "send", before=STEPS[4], after=STEPS[5])
    replace(ledger, "record_outcomes", before=STEPS[6], commit=STEPS[7], after=STEPS[8])
    serve()


if __name__ == "__main__":
    run()
