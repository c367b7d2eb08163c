"""Who watches the watcher: an address that is called while all is well here, and hears nothing else.

Silence there is an alarm. So it is called only when heartbeats can be stored, the silent are looked for
and alerts go out, by the same judgement as `/health`.
"""

from collections.abc import Callable
from datetime import timedelta

import structlog

from heartbeat_central.alerts.http import HttpClient, HttpRequest
from heartbeat_central.domain.errors import DeliveryFailure
from heartbeat_central.services.check_health import Health

PERIOD = timedelta(minutes=1)
"""Between two calls."""
RETRY = timedelta(seconds=5)
"""After one that was left out, or failed: whoever waits should not wait longer than needed."""
TIMEOUT = 5.0
"""Seconds for a call."""

log = structlog.get_logger(__name__)


class Watchdog:
    """Calls one address. Used by one thread at a time."""

    def __init__(self, http: HttpClient, url: str, *, check: Callable[[], Health]) -> None:
        self._http = http
        self._url = url
        self._check = check
        self._had_failed = False

    def call(self) -> timedelta:
        """Call it if all is well; return in what time to do so again.

        A call that fails is a line of the log and no alert: whoever is called tells of the silence.
        """
        reason = self._why_not() or self._try()
        if reason is None:
            if self._had_failed:
                log.info("watchdog_called_again")
            self._had_failed = False
            return PERIOD
        if not self._had_failed:
            # Once, not every five seconds: /health tells how it goes on.
            log.warning("watchdog_not_called", reason=reason)
        self._had_failed = True
        return min(RETRY, PERIOD)

    def _why_not(self) -> str | None:
        failing = [
            f"{name}: {part.detail}" for name, part in self._check().parts.items() if not part.ok
        ]
        return "; ".join(failing) or None

    def _try(self) -> str | None:
        try:
            answer = self._http.send(HttpRequest(method="GET", url=self._url), timeout=TIMEOUT)
        except DeliveryFailure as failure:
            return str(failure)
        return None if answer.status < 300 else f"it answered with status {answer.status}"
