"""Run one stage: options, params, log, lock, signals, exit code.

A stage's `main` is its own interface: positional parameters are sections of params.yaml by name,
keyword-only parameters are paths, given on the command line as options of the same name.
"""

import argparse
import atexit
import errno
import gc
import getpass
import inspect
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, get_type_hints

from pipeline.ground.errors import (
    IntegrityError,
    Interrupted,
    MachineError,
    ParamsError,
    PipelineError,
)
from pipeline.ground.files import read_json
from pipeline.ground.locks import try_lock, write_holder
from pipeline.ground.params import (
    Section,
    Unchecked,
    in_force,
    load_section,
    load_value,
    named_as_written,
    read_params,
    refuse_unknown_sections,
    settle,
)
from pipeline.ground.processes import die_with_parent, follows

PARAMS = Path("params.yaml")
LOCKS = Path(".rootstock") / "locks"
_RECIPE = "recipe"
FAILURE = Path(".rootstock") / "failure.json"
"""The last failed stage's line and exit code: DVC itself ends with 255 whatever the stage said."""

_ERRNOS = {
    "free space there": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    "mend its access": (errno.EACCES, errno.EPERM, errno.EROFS),
    "use another path": (errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
    "raise the limit of open files, `ulimit -n`": (errno.EMFILE, errno.ENFILE),
    "lower machine.workers, or free memory": (errno.ENOMEM, errno.EAGAIN),
    "look at the disk, or at the network that it is on": (
        errno.EIO,
        errno.ESTALE,
        errno.ENXIO,
        errno.ENODEV,
        errno.EREMOTEIO,
        errno.ENOTCONN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ETIMEDOUT,
        errno.EUCLEAN,
    ),
    "wait for what uses it": (errno.EBUSY, errno.ETXTBSY),
    "use a disk that can do this": (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS),
}
"""What to do about errors that are the machine's, and not our own bugs."""

_REMEDIES = {number: remedy for remedy, numbers in _ERRNOS.items() for number in numbers}


def run_stage(
    main: Callable[..., None], argv: Sequence[str] | None = None, *, settled: bool = False
) -> int:
    """Run a stage's `main` as the whole of a process, and return its exit code.

    Args:
        main: The stage.
        argv: In place of the command line.
        settled: The last option is `--recipe`, the record of the values that stand for `auto`.
    """
    begin_process()
    name = _stage_name(main)
    start_logging(sys.stderr)
    try:
        with signals(name, remedy="run `dvc repro` to go on"):
            arguments = _paths(main, name, argv, settled=settled)
            recipe = arguments.pop(_RECIPE) if settled else None
            with stage_lock(name):
                sections = _sections(main, read_choices(recipe) if recipe else {})
                main(*sections, **arguments)
    except PipelineError as error:
        return _fail(line_of(error), error.exit_code)
    except OSError as error:
        told = machine_error(error, name, then="run again")
        if told is None:
            traceback.print_exc()
            return 1
        return _fail(str(told), told.exit_code)
    except MemoryError:
        return _fail(
            f"{name}: out of memory (lower machine.workers or the batch size)",
            MachineError.exit_code,
        )
    return 0


def line_of(error: PipelineError) -> str:
    """Return what is told of an error; a section of params.yaml is named where it stands."""
    if isinstance(error, ParamsError) and PARAMS.is_file():
        with suppress(ParamsError):
            return str(named_as_written(error, read_params(PARAMS)))
    return str(error)


def machine_error(error: OSError, where: str, *, then: str | None = None) -> MachineError | None:
    """Return an error of the machine with its remedy; None for one that is our own bug.

    Args:
        error: As Python raised it.
        where: What was running; named if the error has no file.
        then: What to do after the remedy.
    """
    remedy = _REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    place = error.filename2 or error.filename or where
    remedy += f", then {then}" if then else ""
    return MachineError(place, os.strerror(error.errno or 0), remedy=remedy)


def begin_process() -> None:
    """Prepare this process: a user name, a home folder, and a quick exit.

    A container may run under a user id that has no name and no home. Python, DVC and MLflow then
    read them from the environment, which child processes inherit.

    The last garbage collection at exit is skipped: it takes a second once torch is loaded.
    """
    atexit.register(gc.freeze)
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        os.environ["USER"] = f"uid-{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"  # as Docker does


def _fail(text: str, exit_code: int) -> int:
    if follows():  # the first process has told it, or all that it knows is that this one is gone
        sys.stderr.write(f"error: rank {os.environ['RANK']}: {text}\n")
        return exit_code
    FAILURE.parent.mkdir(parents=True, exist_ok=True)
    FAILURE.write_text(json.dumps({"text": text, "exit_code": exit_code}), encoding="utf-8")
    sys.stdout.flush()
    sys.stderr.write(f"error: {text}\n")
    sys.stderr.flush()
    return exit_code


def _stage_name(main: Callable[..., None]) -> str:
    spec = inspect.getmodule(main)
    file = getattr(spec, "__file__", None)
    return Path(file).stem if file else main.__module__


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"


def start_logging(stream: Any) -> None:
    """Send the pipeline's log to a stream, as plain lines."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter("%(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("pipeline").setLevel(logging.INFO)
    logging.getLogger("stages").setLevel(logging.INFO)
    # Its readers log what they then raise; the manifest tells it with the file's name.
    logging.getLogger("PIL").setLevel(logging.CRITICAL)


def read_choices(recipe: Path) -> dict[str, Any]:
    """Return the values that the stage `recipe` found, by `section.key`.

    Raises:
        DataError: There is no such record.
        IntegrityError: It is damaged.
    """
    record = read_json(recipe)
    choices = record.get("choices") if isinstance(record, dict) else None
    if not isinstance(choices, dict):
        raise IntegrityError(recipe, "is no record of choices", remedy="run `dvc repro recipe`")
    return choices


def _paths(
    main: Callable[..., None], name: str, argv: Sequence[str] | None, *, settled: bool
) -> dict[str, Path]:
    parser = argparse.ArgumentParser(f"python -m stages.{name}", description=main.__doc__)
    for parameter in inspect.signature(main).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            parser.add_argument(f"--{parameter.name.replace('_', '-')}", type=Path, required=True)
    if settled:
        parser.add_argument(f"--{_RECIPE}", type=Path, required=True)
    return vars(parser.parse_args(argv))


def _sections(main: Callable[..., None], choices: Mapping[str, Any]) -> list[Any]:
    wanted = [
        parameter.name
        for parameter in inspect.signature(main).parameters.values()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    if not wanted:
        return []
    read = read_params(PARAMS)
    refuse_unknown_sections(read, path=PARAMS)
    raw = settle(in_force(read), choices)
    hints = get_type_hints(main)
    sections: list[Any] = []
    problems: list[str] = []
    for name in wanted:
        kind = hints[name]
        if kind is Unchecked:
            sections.append(Unchecked(raw, name, PARAMS, choices))
            continue
        is_section = isinstance(kind, type) and issubclass(kind, Section)
        load = load_section if is_section else load_value
        try:
            sections.append(load(raw, name, kind, path=PARAMS))
        except ParamsError as error:
            problems.append(str(error).removeprefix(f"{PARAMS}: "))
    if problems:
        raise ParamsError(PARAMS, "; ".join(problems))
    return sections


@contextmanager
def signals(name: str, *, remedy: str) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Interrupted`; a stage ends with the process that started it.

    Args:
        name: Of the stage or command.
        remedy: How to go on.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        del frame
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(name, signum, remedy=remedy)

    old = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    for each in old:
        signal.signal(each, stop)
    if "DVC_STAGE" in os.environ:
        die_with_parent(os.getppid())
    try:
        yield
    finally:
        for each, handler in old.items():
            signal.signal(each, handler)


@contextmanager
def stage_lock(name: str) -> Iterator[None]:
    """Hold the lock of a stage in this working tree: DVC does not guard against its own orphans.

    Of processes that torchrun started, the first one holds it.

    Raises:
        MachineError: Another process runs the same stage here, or there are no file locks.
    """
    if follows():
        yield
        return
    path = LOCKS / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as stream:
        if not try_lock(stream, path):
            stream.seek(0)
            raise MachineError(
                path,
                f"stage {name!r} is running already: {stream.read().strip() or 'starting'}",
                remedy="wait for it, or stop it",
            )
        write_holder(stream)
        yield
