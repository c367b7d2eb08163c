"""The same server and edge with nothing behind them: the most that recording could reach.

`python -m bench.baselines.constant PORT`
"""

import sys
from datetime import UTC, datetime
from typing import Any

from heartbeat_central.domain.signal import Signal
from heartbeat_central.ingest import server
from heartbeat_central.ingest.clients import ClientAddress
from heartbeat_central.ingest.edge import Edge
from heartbeat_central.services.record_signals import Outcome


class AnswersAtOnce:
    """Stands where the batcher stands, and stores nothing."""

    def start(self) -> None:
        pass

    async def submit(self, signal: Signal) -> Outcome:
        return Outcome.STORED

    async def stop(self) -> None:
        pass


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    raise NotImplementedError("the constant answers heartbeats alone")


def main() -> None:
    stand_in: Any = AnswersAtOnce()
    edge = Edge(
        batcher=stand_in,
        clock=lambda: datetime.now(UTC),
        body_limit=10_000,
        client_address=ClientAddress(()),
        live=_nothing,
        rest=_nothing,
        on_start=lambda: None,
        on_stop=lambda: None,
    )
    server.run(edge, host="127.0.0.1", port=int(sys.argv[1]), on_stopping=lambda: None)


if __name__ == "__main__":
    main()
