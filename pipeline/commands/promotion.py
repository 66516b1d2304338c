"""Decide who is champion, and look at who decided what."""

import argparse
import sys

from pipeline.commands.output import Commands, say
from pipeline.ground.stage import start_logging


def add(commands: Commands) -> None:
    """Add them to the command line."""
    _add_promote(commands)
    _add_rollback(commands)
    _add_audit(commands)


def _add_promote(commands: Commands) -> None:
    promote = commands.add_parser(
        "promote", help="let a version contend with the champion; the decision goes into audit/"
    )
    promote.add_argument(
        "version",
        nargs="?",
        default="@candidate",
        metavar="VERSION",
        help="a number, or @ and an alias (default: @candidate)",
    )
    promote.add_argument("--reason", default="", help="why, in your words; kept in the audit")
    promote.add_argument(
        "--override",
        action="store_true",
        help="make it champion whatever the gates say; needs --reason",
    )
    promote.add_argument("--json", action="store_true", help="print the decision as JSON")
    promote.set_defaults(run=_promote)


def _add_rollback(commands: Commands) -> None:
    rollback = commands.add_parser(
        "rollback", help="give the alias back to the champion before, without any training"
    )
    rollback.add_argument("--reason", required=True, help="why; kept in the audit")
    rollback.add_argument("--json", action="store_true", help="print the decision as JSON")
    rollback.set_defaults(run=_rollback)


def _add_audit(commands: Commands) -> None:
    audit = commands.add_parser(
        "audit",
        help="who became champion and why; ends with 5 where an entry was altered or removed, or "
        "an alias was moved by hand",
    )
    audit.add_argument("--offline", action="store_true", help="look at the files in audit/ alone")
    audit.add_argument("--json", action="store_true", help="everything, for programs")
    audit.set_defaults(run=_audit)


def _promote(arguments: argparse.Namespace) -> int:
    from pipeline.promotion.audit_commands import refusal, run_promote  # slow to import

    start_logging(sys.stderr)
    text, refused = run_promote(
        arguments.version,
        reason=arguments.reason,
        override=arguments.override,
        is_json=arguments.json,
    )
    say(text)
    if refused:
        raise refusal(arguments.version, refused)
    return 0


def _rollback(arguments: argparse.Namespace) -> int:
    from pipeline.promotion.audit_commands import run_rollback  # slow to import

    start_logging(sys.stderr)
    say(run_rollback(arguments.reason, is_json=arguments.json))
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    from pipeline.promotion.audit_commands import drifted, run_audit  # slow to import

    start_logging(sys.stderr)
    text, wrong = run_audit(is_offline=arguments.offline, is_json=arguments.json)
    say(text)
    if wrong:
        raise drifted(wrong)
    return 0
