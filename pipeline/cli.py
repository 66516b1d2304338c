"""The command `rootstock`: thin, each subcommand a few calls into the library."""

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence

from pipeline.commands import (
    checking,
    data,
    export,
    history,
    predict,
    promotion,
    running,
    search,
    serve,
)
from pipeline.errors import MachineError, PipelineError
from pipeline.stage import MACHINE_ERRNOS, end_soon


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    end_soon()
    _write_any_character()
    parser = argparse.ArgumentParser("rootstock", description="Transfer learning, traced.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = (running, checking, data, search, promotion, predict, serve, export, history)
    for module in modules:
        module.add(commands)
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command != "repro":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = [each for each in rest if each != "--"]
    try:
        return int(arguments.run(arguments))
    except PipelineError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except OSError as error:
        if error.errno not in (*MACHINE_ERRNOS, errno.EISDIR):
            raise
        where = error.filename2 or error.filename or arguments.command
        sys.stderr.write(f"error: {where}: {os.strerror(error.errno)}\n")
        return MachineError.exit_code
    except KeyboardInterrupt:
        return 130


def _write_any_character() -> None:
    """Escape what the terminal's encoding lacks, rather than fail on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    raise SystemExit(main())
