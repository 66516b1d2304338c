"""A registered version in a process of its own, with its own code: the program that runs there.

    python -I resident_main.py SOCKET

`resident.py` starts it and says what to load. It imports nothing of `pipeline` but the version's
own: two versions never meet in one process. Standard input is the lifeline: it ends with whoever
started this, and so does this process, whatever it is doing.

Messages (`frames.py`), asked and answered one at a time:

    {"op": "load", ...}                      {"description": {...}}
    {"op": "predict", "pad": ...}, then      {"rows": [...]} for each batch, then {"done": true}
      {} with items, then {"end": true}
    {"op": "explain"} with an item           {"answer": {...}}

Instead of an answer there may be {"error": ..., "exit_code": ...}: what a user can mend. An item
that cannot be explained is one; with every other error the process ends, and with our own bugs it
leaves a traceback.
"""

import os
import runpy
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

_HERE = Path(__file__).resolve().parent
_PACKAGE = _HERE.parents[1]
frames = runpy.run_path(str(_HERE / "frames.py"))


def main(stream: BinaryIO) -> None:
    """Load what is asked for, and answer until the other end is gone."""
    with suppress(EOFError), _telling(stream):
        asked, _ = frames["receive"](stream)
        engine = load(asked)
        description = {"explains": True} | engine.describe()
        description["explains"] = description["explains"] and hasattr(engine, "explain")
        frames["send"](stream, {"description": description})
        while True:
            message, parts = frames["receive"](stream)
            answer(engine, stream, message, parts)


@contextmanager
def _telling(stream: BinaryIO) -> Iterator[None]:
    """Send what a user can mend, and raise the rest."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        frames["send"](stream, {"error": str(error), "exit_code": error.exit_code})


def load(asked: dict[str, Any]) -> Any:
    """Load a version by its own code.

    Raises:
        RuntimeError: Other code than its own would run.
    """
    isolation = runpy.run_path(str(_HERE / "isolation.py"))
    code = Path(asked["code"]).resolve()
    if code != _PACKAGE.parent:
        isolation["leave_repository"](_PACKAGE.parent)
    sys.path.insert(0, str(code))
    isolation["check_home"](code)
    model, bundle = Path(asked["model"]), Path(asked["bundle"])
    if not (code / "pipeline" / "model" / "engine.py").exists():
        pyfunc = runpy.run_path(str(_HERE / "pyfunc.py"))
        return pyfunc["PyfuncEngine"](Path(asked["folder"]), bundle)

    from pipeline.model.engine import DecodeLimits, Engine

    limits = DecodeLimits(asked["most"], asked["seconds"])
    return Engine.load(
        model, bundle, decoders=asked["decoders"], device=asked["device"], limits=limits
    )


def answer(engine: Any, stream: BinaryIO, message: dict[str, Any], parts: list[bytes]) -> None:
    """Answer one request."""
    if message["op"] == "predict":
        files = _files(stream)
        for rows in engine.stream(files, pad=message["pad"]):
            frames["send"](stream, {"rows": rows})
        frames["send"](stream, {"done": True})
    elif message["op"] == "explain" and not hasattr(engine, "explain"):
        text = "explain: this version was registered before explanations, and has none"
        frames["send"](stream, {"error": text, "exit_code": 2})
    elif message["op"] == "explain":
        with _telling(stream):
            frames["send"](stream, {"answer": engine.explain(parts[0])})
    else:
        raise RuntimeError(f"no such request: {message['op']!r}")


def _files(stream: BinaryIO) -> Iterator[bytes]:
    while True:
        message, parts = frames["receive"](stream)
        yield from parts
        if message.get("end"):
            return


def _end_with_lifeline() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)  # the decoders end as their pipes close


if __name__ == "__main__":
    threading.Thread(target=_end_with_lifeline, daemon=True).start()
    connection = socket.socket(fileno=int(sys.argv[1]))
    main(cast(BinaryIO, connection.makefile("rwb")))
