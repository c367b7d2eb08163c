"""The service in a process of its own that ends, or stands still, at the step that is asked for."""

import signal
from pathlib import Path

from tests.faults import doomed
from tests.support.service import Service, wait_until


class Doomed(Service):
    """See tests/faults/doomed.py for the steps."""

    program = Path(doomed.__file__)

    def die_at(self, step: str) -> None:
        (self.folder / doomed.DIE_AT).write_text(step)

    def wait_for_death(self) -> None:
        assert self.process is not None
        assert self.process.wait(20) == -signal.SIGKILL

    def stop_at(self, step: str) -> None:
        (self.folder / doomed.STOP_AT).write_text(step)

    def wait_until_stopped(self) -> None:
        assert self.process is not None
        stat = Path(f"/proc/{self.process.pid}/stat")
        wait_until(lambda: ") T " in stat.read_text(), "the process to stand still")
