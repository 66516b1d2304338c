"""Take items out for good, and search what still holds them."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.data import REVIEW
from pipeline.commands.output import Commands, say
from pipeline.ground.errors import IntegrityError, MachineError, ParamsError
from pipeline.ground.params import Task, Unchecked, in_force, load_section, load_value, read_params
from pipeline.ground.stage import PARAMS
from pipeline.raw.params import DataParams

if TYPE_CHECKING:
    from pipeline.forgetting.forget import Project
    from pipeline.manifest.forgotten import Forgetting

_COMMAND = "rootstock forget"


def add(commands: Commands) -> None:
    """Add it to the command line."""
    forget = commands.add_parser(
        "forget",
        help="take items out of the raw data and of all later runs, by one committed decision; "
        "then search or clear what still holds them",
    )
    forget.add_argument("what", nargs="*", metavar="ITEM", help="an id or its beginning, or a path")
    forget.add_argument(
        "--group", action="append", default=[], metavar="NAME", help="all items of a group"
    )
    forget.add_argument("--reason", default="", help="why; it is committed, so name nobody")
    forget.add_argument("--by", metavar="NAME", help="who decides (default: git's user.name)")
    forget.add_argument("--dry-run", action="store_true", help="only say what would be done")
    forget.add_argument(
        "--purge",
        action="store_true",
        help="delete what the cache, the remotes and MLflow still have of forgotten items",
    )
    forget.add_argument(
        "--check",
        action="store_true",
        help="search project, cache, remotes and MLflow for forgotten items; ends with 5 where "
        "anything is left",
    )
    forget.set_defaults(run=_forget)


def _forget(options: argparse.Namespace) -> int:
    from pipeline.forgetting.forget import forget, make_plan  # slow to import, all
    from pipeline.forgetting.told import plan_text, steps_text
    from pipeline.reviewing.decisions import reviewer

    if options.check or options.purge:
        return _look(options)
    if not (options.what or options.group):
        raise ParamsError(_COMMAND, "must be given an item, --group, --purge or --check")
    project = _project()
    plan = make_plan(project, options.what, options.group)
    say(plan_text(plan))
    if options.dry_run:
        say("a dry run: nothing was changed\n")
        return 0
    file = forget(project, plan, by=options.by or reviewer(), reason=options.reason)
    say(steps_text(file))
    return 0


def _look(options: argparse.Namespace) -> int:
    """Search for what is forgotten, or delete what is left of it."""
    from pipeline.forgetting.purge import plan_purge, purge  # slow to import, all
    from pipeline.forgetting.search import search
    from pipeline.forgetting.told import found_text, purge_text
    from pipeline.forgetting.traces import traces_file
    from pipeline.manifest.forgotten import read_forgettings

    if options.group or (options.check and options.purge):
        raise ParamsError(_COMMAND, "--purge and --check each stand alone, or with ids")
    decisions = [
        each
        for each in read_forgettings(REVIEW)
        if not options.what or any(_is_meant(word, each) for word in options.what)
    ]
    if not decisions:
        raise ParamsError(_COMMAND, "no decision in review/forgotten is on it", got=options.what)
    found = search(Path(), REVIEW, decisions)
    if options.purge:
        plan = plan_purge(Path(), found.hits)
        say(purge_text(plan))
        if options.dry_run:
            say("a dry run: nothing was changed\n")
        else:
            purge(Path(), plan)
        return 0
    say(found_text(found))
    if found.hits:
        first = found.hits[0]
        raise IntegrityError(
            first.name,
            f"{first.what}; {len(found.hits)} such places",
            remedy="`rootstock forget --purge`; delete yourself what it leaves",
        )
    for each in decisions:
        traces_file(each.name).unlink(missing_ok=True)  # it has paths, and nothing is left to find
    return 0


def _is_meant(word: str, decision: "Forgetting") -> bool:
    return any(each.startswith(word.lower()) for each, _ in decision.items)


def _project() -> "Project":
    from pipeline.forgetting.forget import Project
    from pipeline.modality.types.params import IgnoreParams

    raw = in_force(read_params(PARAMS))
    return Project(
        task=load_value(raw, "task", Task, path=PARAMS),
        data=load_section(raw, "data", DataParams, path=PARAMS),
        ignore=Unchecked(raw, "clean", PARAMS).check_keys(IgnoreParams).ignore,
        review=REVIEW,
        add=_dvc_add,
    )


def _dvc_add(path: Path) -> None:
    command = [sys.executable, "-m", "dvc", "add", "--quiet", str(path)]
    if subprocess.run(command, check=False).returncode:
        raise MachineError(
            "dvc add", "could not run; its message is above", remedy=f"`dvc add {path}` yourself"
        )
