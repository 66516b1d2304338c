"""The command `rootstock`: thin, each subcommand a few calls into the library."""

import argparse
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.data.items import DataParams
from pipeline.doctor.findings import Finding
from pipeline.doctor.preflight import preflight, refuse_conflict
from pipeline.errors import IntegrityError, MachineError, ParamsError, PipelineError
from pipeline.files import read_json
from pipeline.fsck.edited import keep_edited
from pipeline.params import load_section, read_params
from pipeline.processes import QUIET, end_with_children
from pipeline.stage import FAILURE, PARAMS, start_logging
from pipeline.summary import summarize
from pipeline.suspects.table import REASONS
from pipeline.suspects.template import review_template

REVIEW = Path("review")
_DVC_USAGE, _DVC_FAILED = 254, (251, 252, 253, 255)
"""What DVC ends with: arguments that it does not know, and everything else."""


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    parser = argparse.ArgumentParser("rootstock", description="Transfer learning, traced.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_repro, _add_doctor, _add_fsck, _add_ui, _add_tune, _add_data,
                _add_review, _add_promote, _add_rollback, _add_audit, _add_sync, _add_lineage,
                _add_reproduce):  # fmt: skip
        add(commands)
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command != "repro":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = [each for each in rest if each != "--"]
    try:
        return int(arguments.run(arguments))
    except PipelineError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _add_repro(commands: _Commands) -> None:
    repro = commands.add_parser(
        "repro",
        help="look at the raw data, run `dvc repro`, say what was made; further arguments are "
        "passed on to `dvc repro`",
    )
    repro.add_argument("--wait", type=float, default=0.0, metavar="SECONDS",
                       help="wait so long for another that runs here (default: 0)")  # fmt: skip
    repro.set_defaults(run=lambda arguments: _repro(arguments.rest, wait_s=arguments.wait))


def _add_doctor(commands: _Commands) -> None:
    doctor = commands.add_parser(
        "doctor", help="look at params, data, disk, weights, device, MLflow and DVC before any work"
    )
    doctor.add_argument("--fix", action="store_true", help="mend what a crash left behind")
    doctor.add_argument("--remote", action="store_true", help="try DVC's default remote, too")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)


def _add_fsck(commands: _Commands) -> None:
    fsck = commands.add_parser(
        "fsck", help="hash the outputs here and in DVC's cache, and compare with the lock files"
    )
    fsck.add_argument("--all", action="store_true",
                      help="also the objects that every branch and tag names")  # fmt: skip
    fsck.add_argument("--cache", action="store_true", help="also every other object in the cache")
    fsck.add_argument("--fix", action="store_true",
                      help="move damaged objects of the cache to .rootstock/damaged/")  # fmt: skip
    fsck.add_argument("--json", action="store_true", help="print JSON")
    fsck.set_defaults(run=_fsck)


def _add_ui(commands: _Commands) -> None:
    ui = commands.add_parser("ui", help="open the MLflow UI on the runs of this repository")
    ui.add_argument("--port", type=int, default=5000, help="on 127.0.0.1 (default: 5000)")
    ui.set_defaults(run=lambda arguments: _ui(arguments.port))


def _add_tune(commands: _Commands) -> None:
    search = commands.add_parser("tune", help="search better params, on validation data")
    search.add_argument("--trials", type=int, help="in place of tune.trials")
    search.add_argument("--apply", action="store_true", help="write the winner into params.yaml")
    search.set_defaults(run=lambda arguments: _tune(arguments.trials, apply=arguments.apply))


def _add_data(commands: _Commands) -> None:
    data = commands.add_parser("data", help="look at how the data changed")
    diff = data.add_subparsers(dest="data_command", required=True, metavar="COMMAND").add_parser(
        "diff",
        help="compare the data of a revision with those in the working tree, after `clean`",
    )
    diff.add_argument("revision", nargs="?", default="HEAD", metavar="REV",
                      help="a commit, branch or tag (default: HEAD)")  # fmt: skip
    diff.add_argument("--json", action="store_true", help="everything, for programs")
    diff.add_argument("--sheet", type=Path, metavar="FILE", help="draw what changed, as a PNG")
    diff.add_argument("--fail-on-moved", action="store_true",
                      help="end with 3 where an item changed its split")  # fmt: skip
    diff.set_defaults(run=_data_diff)


def _add_review(commands: _Commands) -> None:
    review = commands.add_parser("review", help="rows for review/<name>.csv, to decide on suspects")
    review.add_argument("--reason", choices=REASONS, default="label", help="default: label")
    review.add_argument("--first", type=int, default=20, help="rows at most (default: 20)")
    review.add_argument("--test", action="store_true", help="the test split, in place of the rest")
    review.add_argument("--append", action="store_true", help="write them into the file, undecided")
    review.set_defaults(run=_review)


def _add_promote(commands: _Commands) -> None:
    promote = commands.add_parser(
        "promote", help="let a version contend with the champion; the decision goes into audit/"
    )
    promote.add_argument("version", nargs="?", default="@candidate", metavar="VERSION",
                         help="a number, or @ and an alias (default: @candidate)")  # fmt: skip
    promote.add_argument("--reason", default="", help="why, in your words; kept in the audit")
    promote.add_argument(
        "--override", action="store_true",
        help="make it champion whatever the gates say; needs --reason",
    )  # fmt: skip
    promote.add_argument("--json", action="store_true", help="print the decision as JSON")
    promote.set_defaults(run=_promote)


def _add_rollback(commands: _Commands) -> None:
    rollback = commands.add_parser(
        "rollback", help="give the alias back to the champion before, without any training"
    )
    rollback.add_argument("--reason", required=True, help="why; kept in the audit")
    rollback.add_argument("--json", action="store_true", help="print the decision as JSON")
    rollback.set_defaults(run=_rollback)


def _add_audit(commands: _Commands) -> None:
    audit = commands.add_parser(
        "audit",
        help="who became champion and why; ends with 5 where an entry was altered or removed, or "
        "an alias was moved by hand",
    )
    audit.add_argument("--offline", action="store_true", help="look at the files in audit/ alone")
    audit.add_argument("--json", action="store_true", help="everything, for programs")
    audit.set_defaults(run=_audit)


def _promote(arguments: argparse.Namespace) -> int:
    from pipeline.track.audit_commands import refusal, run_promote  # slow to import

    start_logging(sys.stderr)
    text, refused = run_promote(arguments.version, reason=arguments.reason,
                                override=arguments.override, is_json=arguments.json)  # fmt: skip
    sys.stdout.write(text)
    sys.stdout.flush()
    if refused:
        raise refusal(arguments.version, refused)
    return 0


def _rollback(arguments: argparse.Namespace) -> int:
    from pipeline.track.audit_commands import run_rollback  # slow to import

    start_logging(sys.stderr)
    sys.stdout.write(run_rollback(arguments.reason, is_json=arguments.json))
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    from pipeline.track.audit_commands import drifted, run_audit  # slow to import

    start_logging(sys.stderr)
    text, wrong = run_audit(is_offline=arguments.offline, is_json=arguments.json)
    sys.stdout.write(text)
    sys.stdout.flush()
    if wrong:
        raise drifted(wrong)
    return 0


def _add_sync(commands: _Commands) -> None:
    sync = commands.add_parser(
        "sync",
        help="rebuild MLflow from git's history, DVC's cache and local journals; what is there "
        "stays",
    )
    sync.add_argument("--dry-run", action="store_true", help="only say what would be made")
    sync.add_argument("--json", action="store_true", help="print JSON")
    sync.set_defaults(run=_sync)


_WHAT = (
    "models:/NAME@ALIAS, models:/NAME/VERSION, a run (id, its beginning, or name), or "
    "artifacts/evaluate/metrics.json (default: the result in the working tree)"
)


def _add_lineage(commands: _Commands) -> None:
    lineage = commands.add_parser(
        "lineage", help="from a number back to commit, params, data, weights, and who promoted it"
    )
    lineage.add_argument("what", nargs="?", metavar="WHAT", help=_WHAT)
    lineage.add_argument("--json", action="store_true", help="everything, for programs")
    lineage.set_defaults(run=_lineage)


def _add_reproduce(commands: _Commands) -> None:
    reproduce = commands.add_parser(
        "reproduce",
        help="make a result again in a clean worktree, from raw data and weights, and compare; "
        "ends with 5 where it differs; writes nothing to MLflow",
    )
    reproduce.add_argument("what", nargs="?", metavar="WHAT", help=_WHAT)
    reproduce.add_argument("--json", action="store_true", help="print the verdict as JSON")
    reproduce.set_defaults(run=_reproduce)


def _lineage(arguments: argparse.Namespace) -> int:
    from pipeline.track.trace import trace  # slow to import, both
    from pipeline.track.tracetext import as_json, as_text

    found = trace(Path(), arguments.what)
    text = json.dumps(as_json(found), indent=2) + "\n" if arguments.json else as_text(found)
    sys.stdout.write(text)
    return 0


def _reproduce(arguments: argparse.Namespace) -> int:
    from pipeline.reproduce.reproduce import reproduce  # slow to import

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and clean up
    verdict = reproduce(Path().resolve(), arguments.what, progress=sys.stderr)
    text = json.dumps(verdict.as_json(), indent=2) if arguments.json else verdict.as_text()
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    verdict.raise_if_different()
    return 0


def _data_diff(arguments: argparse.Namespace) -> int:
    from pipeline.data.compare import compare_data, refuse_moved  # slow to import

    text, diff = compare_data(
        Path(), arguments.revision, as_json=arguments.json, sheet=arguments.sheet
    )
    sys.stdout.write(text)
    sys.stdout.flush()
    if arguments.fail_on_moved:
        refuse_moved(diff)
    return 0


def _repro(dvc_args: list[str], *, wait_s: float) -> int:
    from pipeline.doctor.oneatatime import repro_lock  # slow to import

    refuse_conflict(PARAMS)
    read_params(PARAMS)  # nothing is written where there is no project
    with repro_lock(wait_s):
        preflight()
        _keep_edited()
        FAILURE.unlink(missing_ok=True)
        start = time.monotonic()
        code = _run([sys.executable, "-m", "dvc", "repro", *dvc_args])
    if code != 0:
        return _tell_failure(code)
    sys.stdout.write(summarize(elapsed_s=time.monotonic() - start))
    return 0


def _keep_edited() -> None:
    for path, kept in keep_edited():
        sys.stderr.write(f"warning: {path}: was edited after `dvc repro` made it, which may now "
                         f"replace it (a copy is kept: {kept})\n")  # fmt: skip


def _tell_failure(code: int) -> int:
    """Repeat the failed stage's own line as the last one, and give its exit code."""
    if not FAILURE.exists():
        if code == _DVC_USAGE:
            raise ParamsError("dvc repro", "does not know these arguments", remedy="see above")
        if code in _DVC_FAILED:
            raise MachineError("dvc", "could not run", remedy="its own message stands above")
        return code
    failure: dict[str, Any] = read_json(FAILURE)
    sys.stderr.write(f"error: {failure['text']}\n")
    return int(failure["exit_code"])


def _doctor(arguments: argparse.Namespace) -> int:
    from pipeline.doctor import findings  # slow to import, all three
    from pipeline.doctor.examine import Options, examine

    found = []
    for each in examine(Options(fix=arguments.fix, remote=arguments.remote)):
        found.append(each)
        if not arguments.json:
            sys.stdout.write(findings.as_line(each) + "\n")
            sys.stdout.flush()
    sys.stdout.write(findings.as_json(found) if arguments.json else findings.summary(found))
    sys.stdout.flush()
    return _tell_first(found)


def _fsck(arguments: argparse.Namespace) -> int:
    from pipeline.doctor import findings  # slow to import, all three
    from pipeline.fsck.check import Scope, check_files, machine_params

    scope = Scope(every_revision=arguments.all, whole_cache=arguments.cache, fix=arguments.fix)
    found, _ = findings.gather("fsck", check_files(scope, machine_params()))
    for each in found if not arguments.json else ():
        sys.stdout.write(findings.as_line(each) + "\n")
    levels = [each.level for each in found]
    told = (f"{levels.count('error')} with other bytes or unreadable, {levels.count('warning')} "
            "missing or not compared\n")  # fmt: skip
    sys.stdout.write(findings.as_json(found) if arguments.json else told)
    sys.stdout.flush()
    return _tell_first(found)


def _tell_first(found: Sequence[Finding]) -> int:
    """Repeat the first error as the last line, and give its exit code."""
    first = next((each for each in found if each.level == "error"), None)
    if first is None:
        return 0
    sys.stderr.write(f"error: {first.line()}\n")
    return first.exit_code


def _tune(trials: int | None, *, apply: bool) -> int:
    from pipeline.tune.search import tune  # slow to import

    if trials is not None and trials < 1:
        raise ParamsError("rootstock tune", "must be 1 or more", field="--trials", got=trials)
    start_logging(sys.stderr)
    sys.stdout.write(tune(trials=trials, apply=apply))
    return 0


def _review(options: argparse.Namespace) -> int:
    raw = read_params(PARAMS)
    data = load_section(raw, "data", DataParams, path=PARAMS)
    if options.first < 1:
        raise ParamsError("rootstock review", "must be 1 or more", field="--first",
                          got=options.first)  # fmt: skip
    text = review_template(
        REVIEW, Path(data.path), reason=options.reason, first=options.first, of_test=options.test,
        append=options.append,
    )  # fmt: skip
    sys.stdout.write(text)
    return 0


def _sync(arguments: argparse.Namespace) -> int:
    from pipeline.track.sync import Sync, as_json, as_line, summary  # slow to import, both
    from pipeline.tune.restore import restore_searches

    start_logging(sys.stderr)
    found = []
    sync = Sync(Path(), dry_run=arguments.dry_run)
    for each in itertools.chain(sync.run(), restore_searches(dry_run=arguments.dry_run)):
        found.append(each)
        if not arguments.json:
            sys.stdout.write(as_line(each) + "\n")
            sys.stdout.flush()
    sys.stdout.write(as_json(found) if arguments.json else summary(found))
    sys.stdout.flush()
    wrong = next((each for each in found if each.is_wrong), None)
    if wrong is not None:
        raise IntegrityError(wrong.version, wrong.note)
    return 0


def _ui(port: int) -> int:
    from pipeline.track.tracking import (  # slow to import, all
        TrackingParams,
        ensure_schema,
        redact,
        tracking_uri,
    )
    from pipeline.track.view import view_address

    uri = tracking_uri()
    if uri.startswith(("http://", "https://")):
        sys.stdout.write(f"The runs are on the tracking server: {redact(uri)}\n")
        return 0
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise MachineError(
                "rootstock ui", "something listens there already", field="--port", got=port,
                remedy="choose another port",
            )  # fmt: skip
    if uri.startswith("sqlite:///"):
        ensure_schema(uri)
    command = ["mlflow", "ui", "--backend-store-uri", uri, "--port", str(port)]
    name = load_section(read_params(PARAMS), "tracking", TrackingParams, path=PARAMS).experiment
    address = view_address(f"http://127.0.0.1:{port}", uri, name)
    sys.stdout.write(f"MLflow UI: {address} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    return _run([sys.executable, "-m", *command])


def _run(command: list[str]) -> int:
    """Run a program of this environment in the foreground; Ctrl-C reaches it by the terminal."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    with subprocess.Popen(command, env=os.environ | QUIET | {"PATH": path}) as process:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:
                    continue
        finally:
            end_with_children(process)


if __name__ == "__main__":
    raise SystemExit(main())
