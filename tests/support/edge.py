"""The real edge on a real server, in a thread of the test."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import uvicorn

from heartbeat_central.ingest.batcher import Batcher, Record
from heartbeat_central.ingest.clients import ClientAddress
from heartbeat_central.ingest.edge import Edge
from heartbeat_central.metrics import Metrics


async def _rest(scope: Any, receive: Any, send: Any) -> None:
    """Stands for all that the edge hands on."""
    body = f"rest {scope['path']} {scope['client'][0]}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(record: Record, *, body_limit: int = 10_000) -> Iterator[str]:
    """Yield the base URL of an edge that records with `record`."""
    stopped: list[bool] = []
    edge = Edge(
        batcher=Batcher(record, on_wake=lambda: None, on_refused=lambda: None, metrics=Metrics()),
        clock=lambda: datetime.now(UTC),
        body_limit=body_limit,
        client_address=ClientAddress([]),
        live=_rest,
        rest=_rest,
        on_start=lambda: None,
        on_stop=lambda: stopped.append(True),
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        config = uvicorn.Config(edge, log_config=None, lifespan="on", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            thread.join(0.01)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(20)
    assert stopped, "what must end after the last heartbeat was told so"
