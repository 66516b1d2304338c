"""The front process: one address, one service, and an orderly end."""

import asyncio
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import uvicorn
from fastapi import FastAPI

from pipeline.ground.errors import MachineError, ParamsError
from pipeline.serving.connection import patient_for
from pipeline.serving.replicas.service import Service

log = logging.getLogger(__name__)

_BACKLOG = 256
_KEEP_ALIVE_S = 30
_HEAD_S = 10.0
"""For the head of a request."""

_GRACE_S = 5.0
"""On top of a request's own time, for those in flight when the server ends."""


@dataclass(frozen=True)
class Address:
    """Where to listen; port 0: any that is free."""

    host: str
    port: int


def listen(address: Address) -> socket.socket:
    """Take the address, before anything slow is done.

    Raises:
        ParamsError: There is no such host.
        MachineError: It is taken, or not one of this machine.
    """
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, where = found[0]
        # By its protocol asyncio knows that it is TCP, and sends each answer at once: else the
        # second half of one waits some 40 ms for the client's word that it has the first.
        taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(where)
        taken.listen(_BACKLOG)
    except (socket.gaierror, UnicodeError) as error:  # not found, or no name of a host at all
        raise ParamsError(
            "rootstock serve",
            "no such host",
            field="--host",
            got=address.host,
            remedy="name an address of this machine",
        ) from error
    except OSError as error:
        raise MachineError(
            "rootstock serve",
            f"cannot listen there: {os.strerror(error.errno or 0)}",
            field="--host and --port",
            got=f"{address.host}:{address.port}",
            remedy="choose another port, or end what listens there",
        ) from error
    return taken


def allow_many_connections() -> None:
    """Let this process open as many files as it may: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def address_of(taken: socket.socket) -> str:
    """Return the URL of a socket that listens."""
    host, port = taken.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    app: FastAPI,
    service: Service,
    taken: socket.socket,
    *,
    timeout_s: float,
    ready: Callable[[], None],
) -> int:
    """Answer until a signal comes; give the exit code.

    Args:
        app: What answers.
        service: Opened here, while the address answers already.
        taken: Of `listen`.
        timeout_s: Of a request.
        ready: Called when the first version is loaded.

    Raises:
        PipelineError: The first version cannot be loaded.
    """
    allow_many_connections()
    stopped: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        del frame
        stopped.append(signum)

    # uvicorn has handlers of its own while it runs, and calls these when it has ended.
    old = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    config = uvicorn.Config(
        app,
        http=patient_for(min(timeout_s, _HEAD_S)),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(timeout_s + _GRACE_S),
    )
    try:
        with taken:
            asyncio.run(_run(uvicorn.Server(config), service, taken, ready))
    finally:
        for each, handler in old.items():
            signal.signal(each, handler)
    return 128 + stopped[0] if stopped else 0


async def _run(
    server: uvicorn.Server, service: Service, taken: socket.socket, ready: Callable[[], None]
) -> None:
    async def load() -> None:
        await service.open()
        ready()

    answering = asyncio.create_task(server.serve(sockets=[taken]))
    loading = asyncio.create_task(load())
    try:
        await asyncio.wait({answering, loading}, return_when=asyncio.FIRST_COMPLETED)
        if loading.done() and (error := loading.exception()):
            server.should_exit = True
            await answering
            raise error
        await answering
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        await service.close(_GRACE_S)
