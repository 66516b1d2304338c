"""The command `rootstock`: thin, each subcommand a few calls into the library."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.commands import (
    checking,
    data,
    export,
    forget,
    history,
    predict,
    promotion,
    running,
    search,
    serve,
)
from pipeline.ground.errors import MachineError, PipelineError
from pipeline.ground.processes import sharing_cores
from pipeline.ground.stage import begin_process, line_of, machine_error
from pipeline.repo.state import find_project

_ANYWHERE = ("predict", "serve", "export")
"""Commands that need no project: a model and items will do."""

_STAYS = ("predict",)
"""Commands that run where the user stands: their rows name the files as they were given."""

_MAY_BE_PATHS = ("model", "what")
"""Arguments that are paths or names of other things."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code."""
    begin_process()
    os.environ.update(sharing_cores())
    _write_any_character()
    parser = command_line()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command != "repro":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = [each for each in rest if each != "--"]
    try:
        _go_to_project(arguments)
        return int(arguments.run(arguments))
    except PipelineError as error:
        sys.stderr.write(f"error: {line_of(error)}\n")
        return error.exit_code
    except OSError as error:
        told = machine_error(error, arguments.command)
        if told is None:
            raise
        sys.stderr.write(f"error: {told}\n")
        return told.exit_code
    except KeyboardInterrupt:
        return 130


def command_line() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    parser = argparse.ArgumentParser("rootstock", description="Transfer learning, traced.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = (running, checking, data, search, promotion, predict, serve, export, history, forget)
    for module in modules:
        module.add(commands)
    return parser


def _go_to_project(arguments: argparse.Namespace) -> None:
    """Enter the folder of the project that the user stands in, as git and DVC do.

    Paths that were given are relative to where the user stands, and stay so.

    Raises:
        MachineError: There is no project here, and the command needs one.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError as error:
        raise MachineError(
            os.environ.get("PWD", "."), "this folder was removed", remedy="`cd` into another"
        ) from error
    root = find_project(here)
    if root is None and arguments.command not in _ANYWHERE and not Path("params.yaml").exists():
        raise MachineError(
            here,
            "is in no project: neither it nor a folder above has params.yaml and dvc.yaml",
            remedy="`cd` into a clone, or restore them with `git checkout params.yaml dvc.yaml`",
        )
    if root in (None, here) or arguments.command in _STAYS:
        return
    for name, value in vars(arguments).items():
        if isinstance(value, Path) or (name in _MAY_BE_PATHS and _is_path(value)):
            setattr(arguments, name, type(value)(_from(root, here, value)))
    arguments.rest = [
        _from(root, here, each) if _is_target(each) else each for each in arguments.rest
    ]
    os.chdir(root)


def _is_path(value: object) -> bool:
    return isinstance(value, str) and os.path.lexists(value)


def _is_target(word: str) -> bool:
    """Return whether an argument of `dvc repro` is a file of DVC, with a stage or without."""
    file = word.partition(":")[0]
    return Path(file).suffix in (".yaml", ".dvc") and os.path.lexists(file)


def _from(root: Path, here: Path, path: str | Path) -> str:
    """Return a path, which begins where the user stands, as one that begins at the project."""
    return os.path.relpath(os.path.normpath(here / path), root)


def _write_any_character() -> None:
    """Escape what the terminal's encoding lacks, rather than fail on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    raise SystemExit(main())
