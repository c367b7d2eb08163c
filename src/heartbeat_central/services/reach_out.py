"""Asks one address that the operator chose, to know whether this node can reach the world itself."""

from collections.abc import Callable

import structlog

from heartbeat_central.alerts.http import HttpClient, HttpRequest
from heartbeat_central.domain.errors import PermanentFailure, TemporaryFailure

TIMEOUT = 3.0
"""Seconds for the whole exchange; a digest waits for it."""

log = structlog.get_logger(__name__)


def reach_check(http: HttpClient, url: str | None) -> Callable[[], bool]:
    """Return what tells whether `url` answers, whatever it says; always true when `url` is None."""

    def reaches_out() -> bool:
        if url is None:
            return True
        try:
            http.send(HttpRequest(method="GET", url=url), timeout=TIMEOUT)
        except TemporaryFailure as failure:
            log.warning("reach_check_failed", reason=str(failure))
            return False
        except PermanentFailure as failure:
            # An address that can never be asked tells nothing about the network.
            log.warning("reach_check_impossible", reason=str(failure))
        return True

    return reaches_out
