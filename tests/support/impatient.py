"""`app.py`, with the times between calls of the watchdog and until silence counts cut short.

SIGUSR1 ends the thread that stores heartbeats, SIGUSR2 the one that starts all jobs.
"""

import ctypes
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_THREADS = {signal.SIGUSR1: "heartbeat-writer", signal.SIGUSR2: "APScheduler"}


def _end_thread(number: int, _: object) -> None:
    for thread in threading.enumerate():
        if thread.name == _THREADS[signal.Signals(number)]:
            assert thread.ident is not None
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
            )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))
    from heartbeat_central.cli.main import main
    from heartbeat_central.services import call_watchdog, check_health

    for number in _THREADS:
        signal.signal(number, _end_thread)
    call_watchdog.PERIOD = timedelta(seconds=0.5)
    check_health.LONGEST_WAIT = timedelta(seconds=2)
    check_health._JOBS = {
        part: (work, job, timedelta(seconds=3))
        for part, (work, job, _) in check_health._JOBS.items()
    }
    main(["serve", *sys.argv[1:]])
