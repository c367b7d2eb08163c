"""`app.py`, with the times between calls of the watchdog and until silence counts cut short."""

import sys
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))
    from heartbeat_central.cli.main import main
    from heartbeat_central.services import call_watchdog, check_health

    call_watchdog.PERIOD = timedelta(seconds=0.5)
    check_health.LONGEST_WAIT = timedelta(seconds=2)
    check_health._JOBS = {
        part: (work, job, timedelta(seconds=3))
        for part, (work, job, _) in check_health._JOBS.items()
    }
    main(["serve", *sys.argv[1:]])
