"""Look at the surroundings before any work, and at the bytes afterwards."""

import argparse
import sys
from collections.abc import Sequence

from pipeline.commands.output import Commands, say
from pipeline.ground.findings import Finding


def add(commands: Commands) -> None:
    """Add them to the command line."""
    _add_doctor(commands)
    _add_fsck(commands)


def _add_doctor(commands: Commands) -> None:
    doctor = commands.add_parser(
        "doctor", help="look at params, data, disk, weights, device, MLflow and DVC before any work"
    )
    doctor.add_argument("--fix", action="store_true", help="mend what a crash left behind")
    doctor.add_argument("--remote", action="store_true", help="try DVC's default remote, too")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)


def _add_fsck(commands: Commands) -> None:
    fsck = commands.add_parser(
        "fsck",
        help="hash the outputs here, in DVC's cache and in audit/, and compare with what "
        "is recorded",
    )
    fsck.add_argument(
        "--all", action="store_true", help="also the objects of every branch, tag and experiment"
    )
    fsck.add_argument("--cache", action="store_true", help="also every other object in the cache")
    fsck.add_argument(
        "--fix",
        action="store_true",
        help="move damaged objects of the cache to .rootstock/damaged/",
    )
    fsck.add_argument("--json", action="store_true", help="print JSON")
    fsck.set_defaults(run=_fsck)


def _doctor(arguments: argparse.Namespace) -> int:
    from pipeline.doctor.data_process import looking_at_data
    from pipeline.ground import findings

    found = []
    with looking_at_data() as data:
        from pipeline.doctor.examine import Options, examine  # takes seconds to import

        for each in examine(Options(fix=arguments.fix, remote=arguments.remote), data):
            found.append(each)
            if not arguments.json:
                say(findings.as_line(each) + "\n")
    say(findings.as_json(found) if arguments.json else findings.summary(found))
    return _tell_first(found)


def _fsck(arguments: argparse.Namespace) -> int:
    from pipeline.fsck.check import Scope, check_files, machine_params
    from pipeline.ground import findings  # slow to import, all three

    scope = Scope(every_revision=arguments.all, whole_cache=arguments.cache, fix=arguments.fix)
    found, _ = findings.gather("fsck", check_files(scope, machine_params()))
    for each in found if not arguments.json else ():
        say(findings.as_line(each) + "\n")
    levels = [each.level for each in found]
    told = (
        f"{levels.count('error')} with other bytes or unreadable, {levels.count('warning')} "
        "missing or not compared\n"
    )
    say(findings.as_json(found) if arguments.json else told)
    return _tell_first(found)


def _tell_first(found: Sequence[Finding]) -> int:
    """Repeat the first error as the last line, and give its exit code."""
    first = next((each for each in found if each.level == "error"), None)
    if first is None:
        return 0
    sys.stderr.write(f"error: {first.line()}\n")
    return first.exit_code
