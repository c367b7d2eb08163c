"""What a process answers that does one kind of work, when it is asked for another."""

from heartbeat_central.domain.work import Work
from heartbeat_central.ingest.responses import Receive, Scope, Send, respond_with_problem

_DOES = {
    Work.RECORD: "takes heartbeats only; the pages and the REST API are at `serve --only web`",
    Work.MONITOR: "notices and tells only; heartbeats are taken at `serve --only record`, and the "
    "pages and the REST API are at `serve --only web`",
}
_ROUTED_HERE = ("/heartbeat/", "/ping/")
"""What the reverse proxy sends to those who record; what they don't know there, nobody knows."""


class Elsewhere:
    """Answers 421 (Misdirected Request, RFC 9110): no 404, for what was asked for may well exist."""

    def __init__(self, does: Work) -> None:
        self._does = does

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if self._does is Work.RECORD and scope["path"].startswith(_ROUTED_HERE):
            await respond_with_problem(scope, send, 404, "there is nothing at this address")
            return
        await respond_with_problem(scope, send, 421, f"this process {_DOES[self._does]}")
