"""`rootstock review` from its start to its summary: a server for one person on this machine."""

import os
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from pipeline.ground.errors import MachineError
from pipeline.ground.params import Task, load_section
from pipeline.ground.stage import PARAMS
from pipeline.manifest.manifest import KEPT
from pipeline.manifest.review import review_file
from pipeline.modality.reading import reader
from pipeline.raw.visible import safe_line
from pipeline.reviewing.app import Desk, make_app
from pipeline.reviewing.cases import Queue, find_cases
from pipeline.reviewing.decisions import Decisions
from pipeline.reviewing.gate import Gate
from pipeline.reviewing.neighbors import Nearest
from pipeline.reviewing.sources import ARTIFACTS, read_sources
from pipeline.reviewing.views import Views

USUAL_PORT = 8700
_HOST = "127.0.0.1"
_BACKLOG = 64
_GRACE_S = 2
_DOOR = Path(".rootstock") / "review.html"
"""Leads the browser to the page: an address on its command line could be read by others."""


@dataclass(frozen=True)
class Data:
    """What is reviewed.

    Attributes:
        raw: The data folder.
        review: The folder of decisions.
        task: What labels are.
        params: All of params.yaml.
    """

    raw: Path
    review: Path
    task: Task
    params: dict[str, Any]


def run(
    data: Data, *, by: str, port: int | None, opens_browser: bool, say: Callable[[str], None]
) -> int:
    """Show the page until a signal comes; return the exit code.

    Args:
        data: What is reviewed.
        by: Who decides.
        port: On 127.0.0.1; 0: any that is free; None: the usual one, else any.
        opens_browser: Whether a browser may be started.
        say: Prints.

    Raises:
        DataError: `clean` never ran, or the review file is wrong.
        MachineError: The port is taken.
    """
    decisions = Decisions(review_file(data.review, data.raw), safe_line(by))
    known = decisions.read()
    queue = find_cases(read_sources(data.task))
    if not queue.cases:
        kept = int((queue.sources.manifest["status"] == KEPT).sum())
        say(
            f"nothing to review: {kept} items are kept, and nothing speaks against them"
            + "".join(f"; {note}" for note in queue.notes)
            + "\n"
        )
        return 0
    part = reader(queue.sources.modality)
    look = part.look(load_section(data.params, "clean", part.params, path=PARAMS))
    views = Views(data.raw, queue.sources.modality, look)
    desk = Desk(decisions.path.stem, queue, decisions, views, Nearest(ARTIFACTS))
    try:
        with _listen(port) as taken:
            return _show(
                desk, taken, opens_browser=opens_browser, open_now=_left(queue, known), say=say
            )
    finally:
        views.close()


def _left(queue: Queue, decided: Container[str]) -> int:
    """Count the cases in which nothing is decided."""
    ids = list(queue.sources.manifest["id"])
    return sum(not any(ids[row] in decided for row in case.rows) for case in queue.cases)


def _show(
    desk: Desk,
    taken: socket.socket,
    *,
    opens_browser: bool,
    open_now: int,
    say: Callable[[str], None],
) -> int:
    token, port = secrets.token_urlsafe(24), taken.getsockname()[1]
    address = f"http://{_HOST}:{port}/#token={token}"
    tunnel = f"  from your own machine: ssh -L {port}:{_HOST}:{port} ..., then the same address"
    lines = [
        f"{open_now} of {len(desk.queue.cases)} cases to decide for {desk.decisions.path}, as "
        f"{desk.decisions.by}",
        *desk.queue.notes,
        f"  {address}",
        *([tunnel] if os.environ.get("SSH_CONNECTION") else []),
        "Each decision is saved at once; Ctrl-C ends it.",
    ]
    say("\n".join(lines) + "\n")
    config = uvicorn.Config(
        Gate(make_app(desk), token),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    with _door(address, opens_browser), _until_stopped() as stopped:
        uvicorn.Server(config).run(sockets=[taken])
    left = _left(desk.queue, desk.decisions.read())
    then = ": run `git add review && dvc repro`" if desk.decisions.settled else ""
    say(f"\n{desk.decisions.summary()}, {left} left{then}\n")
    return 128 + stopped[0] if stopped else 0


@contextmanager
def _until_stopped() -> Iterator[list[int]]:
    """Collect the signals that end the server; uvicorn raises them again when it has ended."""
    stopped: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        del frame
        stopped.append(signum)

    old = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for each, handler in old.items():
            signal.signal(each, handler)


def _listen(port: int | None) -> socket.socket:
    """Take a port of this machine.

    Raises:
        MachineError: It is taken.
    """
    if port is None:
        with suppress(MachineError):
            return _listen(USUAL_PORT)
        return _listen(0)
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((_HOST, port))
        taken.listen(_BACKLOG)
    except OSError as error:
        taken.close()
        raise MachineError(
            "rootstock review",
            f"cannot listen there: {os.strerror(error.errno or 0)}",
            field="--port",
            got=port,
            remedy="choose another port, or leave it out",
        ) from error
    return taken


@contextmanager
def _door(address: str, opens_browser: bool) -> Iterator[None]:
    """Open the page in a browser where there is a screen; leave no file behind."""
    has_screen = sys.platform != "linux" or any(
        os.environ.get(each) for each in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if not (opens_browser and has_screen):
        yield
        return
    _DOOR.parent.mkdir(exist_ok=True)
    _DOOR.unlink(missing_ok=True)
    _DOOR.touch(0o600, exist_ok=False)
    _DOOR.write_text(
        f'<!doctype html><meta http-equiv="refresh" content="0;url={address}">', "utf-8"
    )
    threading.Thread(target=webbrowser.open, args=(_DOOR.resolve().as_uri(),), daemon=True).start()
    try:
        yield
    finally:
        _DOOR.unlink(missing_ok=True)
