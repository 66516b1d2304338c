"""Between MLflow and the history: rebuild it, trace a number, make a result again."""

import argparse
import itertools
import json
import signal
import sys
from pathlib import Path

from pipeline.commands.output import Commands, say
from pipeline.ground.errors import IntegrityError
from pipeline.ground.stage import start_logging

_WHAT = (
    "models:/NAME@ALIAS, models:/NAME/VERSION, a run (id, its beginning, or name), or "
    "artifacts/evaluate/metrics.json (default: the result in the working tree)"
)


def add(commands: Commands) -> None:
    """Add them to the command line."""
    _add_sync(commands)
    _add_lineage(commands)
    _add_reproduce(commands)


def _add_sync(commands: Commands) -> None:
    sync = commands.add_parser(
        "sync",
        help="rebuild MLflow from git's history, DVC's cache and local journals; what is there "
        "stays",
    )
    sync.add_argument("--dry-run", action="store_true", help="only say what would be made")
    sync.add_argument("--json", action="store_true", help="print JSON")
    sync.set_defaults(run=_sync)


def _add_lineage(commands: Commands) -> None:
    lineage = commands.add_parser(
        "lineage", help="from a number back to commit, params, data, weights, and who promoted it"
    )
    lineage.add_argument("what", nargs="?", metavar="WHAT", help=_WHAT)
    lineage.add_argument("--json", action="store_true", help="everything, for programs")
    lineage.set_defaults(run=_lineage)


def _add_reproduce(commands: Commands) -> None:
    reproduce = commands.add_parser(
        "reproduce",
        help="make a result again in a clean worktree, from raw data and weights, and compare; "
        "ends with 5 where it differs; writes nothing to MLflow",
    )
    reproduce.add_argument("what", nargs="?", metavar="WHAT", help=_WHAT)
    reproduce.add_argument("--json", action="store_true", help="print the verdict as JSON")
    reproduce.set_defaults(run=_reproduce)


def _sync(arguments: argparse.Namespace) -> int:
    from pipeline.past.sync import Sync, as_json, as_line, summary  # slow to import, both
    from pipeline.tune.restore import restore_searches

    start_logging(sys.stderr)
    found = []
    sync = Sync(Path(), dry_run=arguments.dry_run)
    for each in itertools.chain(sync.run(), restore_searches(dry_run=arguments.dry_run)):
        found.append(each)
        if not arguments.json:
            say(as_line(each) + "\n")
    say(as_json(found) if arguments.json else summary(found))
    wrong = next((each for each in found if each.is_wrong), None)
    if wrong is not None:
        raise IntegrityError(wrong.version, wrong.note)
    return 0


def _lineage(arguments: argparse.Namespace) -> int:
    from pipeline.past.trace import trace  # slow to import, both
    from pipeline.past.trace_text import as_json, as_text

    found = trace(Path(), arguments.what)
    text = json.dumps(as_json(found), indent=2) + "\n" if arguments.json else as_text(found)
    say(text)
    return 0


def _reproduce(arguments: argparse.Namespace) -> int:
    from pipeline.reproduce.run import reproduce  # slow to import

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and clean up
    verdict = reproduce(Path().resolve(), arguments.what, progress=sys.stderr)
    text = json.dumps(verdict.as_json(), indent=2) if arguments.json else verdict.as_text()
    say(text + "\n")
    verdict.raise_if_different()
    return 0
