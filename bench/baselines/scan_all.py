"""The plain way to notice: load every application, judge each, commit each outage on its own."""

import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from bench.baselines.commit_per_request import Application, Incident, engine_for


def sweep(url: str) -> float:
    """Open an incident for every application that is overdue; return the seconds it took."""
    engine = engine_for(url, threads=1)
    begun = time.perf_counter()
    # Kept after each commit: else it would load every application once more, one by one.
    with Session(engine, expire_on_commit=False) as session:
        now = datetime.now(UTC)
        for application in session.scalars(select(Application)).all():
            last = application.last_heartbeat
            if last is None or application.status == "down":
                continue
            last = last if last.tzinfo else last.replace(tzinfo=UTC)
            deadline = last + timedelta(seconds=application.expected_interval)
            if deadline > now:
                continue
            application.status = "down"
            session.add(Incident(application_id=application.id, opened_at=deadline))
            session.commit()
    took = time.perf_counter() - begun
    engine.dispose()
    return took
