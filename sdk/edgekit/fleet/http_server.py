"""The HTTP server in the event loop that everything else runs in."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn

from edgekit.fleet.static_files import App

#: How long answers that have begun may take when the server stops, in seconds.
_PATIENCE_S = 3
_BACKLOG = 1024


class _Server(uvicorn.Server):
    """uvicorn without its hands on the signals: they belong to whoever runs the whole server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing."""
        yield


@contextlib.asynccontextmanager
async def serving_http(app: App, bound: socket.socket, ended: asyncio.Event) -> AsyncIterator[None]:
    """Serve *app* on the socket *bound* while the block runs; answers that have begun are ended after it.

    *ended* is set when the server ends by itself, which is a fault: leaving the block then raises it.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_PATIENCE_S,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]), name="http")
    task.add_done_callback(lambda _: ended.set())
    try:
        while not server.started and not task.done():
            await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        await task
