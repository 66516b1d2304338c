"""Run the pipeline, and the MLflow UI, in the foreground."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pipeline.commands.data import REVIEW
from pipeline.commands.output import Commands, say
from pipeline.commands.summary import summarize
from pipeline.doctor.preflight import preflight, refuse_conflict
from pipeline.fsck.edited import keep_edited
from pipeline.ground.errors import MachineError, ParamsError
from pipeline.ground.files import read_json
from pipeline.ground.params import load_section, read_params
from pipeline.ground.processes import QUIET, end_with_children
from pipeline.ground.stage import FAILURE, PARAMS
from pipeline.raw.params import DataParams

_DVC_USAGE, _DVC_FAILED = 254, (251, 252, 253, 255)
"""What DVC ends with: arguments that it does not know, and everything else."""


_PULL = "--pull"
_REPORT = Path("artifacts/clean/report.json")

_UI_HOST = "rootstock.localhost"
"""This machine by a name of its own: on `localhost` MLflow's page opens its assistant by itself."""

_COLUMNS = (
    "In the table of runs, `Columns` adds what tells runs apart: the metrics accuracy or mae, the "
    "params train.strategy, optim.lr, train.epochs; `Views`, `Save as new view` keeps the choice."
)

_UI_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Nothing here uses the job runners, which take seven processes of 250 MB."""


def add(commands: Commands) -> None:
    """Add them to the command line."""
    _add_repro(commands)
    _add_ui(commands)


def _add_repro(commands: Commands) -> None:
    repro = commands.add_parser(
        "repro",
        help="look at the raw data, run `dvc repro`, say what was made; further arguments are "
        "passed on to `dvc repro`",
    )
    repro.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait so long for another that runs here (default: 0)",
    )
    repro.set_defaults(run=lambda arguments: _repro(arguments.rest, wait_s=arguments.wait))


def _add_ui(commands: Commands) -> None:
    ui = commands.add_parser("ui", help="open the MLflow UI on the runs of this repository")
    ui.add_argument("--port", type=int, default=5000, help="on 127.0.0.1 (default: 5000)")
    ui.set_defaults(run=lambda arguments: _ui(arguments.port))


def _repro(dvc_args: list[str], *, wait_s: float) -> int:
    from pipeline.doctor.repro_lock import repro_lock  # slow to import

    refuse_conflict(PARAMS)
    read_params(PARAMS)  # nothing is written where there is no project
    with repro_lock(wait_s):
        preflight()
        _keep_edited()
        start, start_s = time.monotonic(), time.time()
        code = _run_dvc(dvc_args, wait_s)
        if _PULL in dvc_args:
            _refuse_damaged(start_s)
        if code == 0 and _pin_placed():
            code = _run_dvc(dvc_args, wait_s)
    if code != 0:
        return _tell_failure(code, is_pulling=_PULL in dvc_args)
    elapsed_s = time.monotonic() - start
    say(summarize(elapsed_s=elapsed_s, changed=_not_run() if dvc_args else []))
    return 0


def _not_run() -> list[str]:
    """Return the stages that have to run still; none where DVC cannot say."""
    from pipeline.diff.metrics_diff import changed_stages  # slow to import

    try:
        return changed_stages(Path())
    except MachineError:
        return []


def _pin_placed() -> bool:
    """Write down where small classes got an item in train; return whether that is new.

    So an item never moves: without the file, the next item of its class may take its place.
    """
    from pipeline.manifest.pins import add_pins  # slow to import

    if not _REPORT.exists():
        return False
    data = load_section(read_params(PARAMS), "data", DataParams, path=PARAMS)
    file, new = add_pins(REVIEW, Path(data.path), read_json(_REPORT))
    if new:
        sys.stderr.write(
            f"{file}: {new} items of small classes keep their place in train from now "
            "on; commit the file. `clean` runs once more, and reads it\n"
        )
    return bool(new)


def _run_dvc(dvc_args: list[str], wait_s: float) -> int:
    """Run `dvc repro`; again, where a DVC that was started meanwhile stood in its way and ended."""
    from pipeline.doctor.repro_lock import wait_for_dvc  # slow to import

    while True:
        FAILURE.unlink(missing_ok=True)
        code = run_program([sys.executable, "-m", "dvc", "repro", *dvc_args])
        is_refused = code in _DVC_FAILED and not FAILURE.exists()
        if not is_refused or not wait_for_dvc(wait_s):
            return code


def _refuse_damaged(since_s: float) -> None:
    from pipeline.fsck.check import machine_params, refuse_damaged  # slow to import

    refuse_damaged(since_s, machine_params())


def _keep_edited() -> None:
    for path, kept in keep_edited():
        sys.stderr.write(
            f"warning: {path}: was edited after `dvc repro` made it, which may now "
            f"replace it (a copy is kept: {kept})\n"
        )


def _tell_failure(code: int, *, is_pulling: bool) -> int:
    """Repeat the failed stage's own line as the last one, and give its exit code."""
    if not FAILURE.exists():
        if code == _DVC_USAGE:
            raise ParamsError("dvc repro", "does not know these arguments", remedy="see above")
        if code in _DVC_FAILED:
            told = "its own message is above"
            if is_pulling:
                told += "; what a remote lacks is brought by `dvc push` where it is"
            raise MachineError("dvc", "could not run", remedy=told)
        return code
    failure: dict[str, Any] = read_json(FAILURE)
    sys.stderr.write(f"error: {failure['text']}\n")
    return int(failure["exit_code"])


def _ui(port: int) -> int:
    from pipeline.track.connection import SERVERS, address_kind, prepare, redact, tracking_uri

    uri = tracking_uri()
    if address_kind(uri) in SERVERS:
        say(f"The runs are on the tracking server: {redact(uri)}\n")
        return 0
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise MachineError(
                "rootstock ui",
                "something listens there already",
                field="--port",
                got=port,
                remedy="choose another port",
            )
    prepare(uri)
    say(f"MLflow UI: http://{_UI_HOST}:{port} (Ctrl-C ends it)\n{_COLUMNS}\n")
    return run_program([sys.executable, "-m", *_ui_command(uri, port)], _UI_ENVIRONMENT)


def _ui_command(uri: str, port: int) -> list[str]:
    hosts = [f"{host}:{port}" for host in (_UI_HOST, "localhost", "127.0.0.1", "[::1]")]
    return [
        "mlflow",
        "ui",
        "--backend-store-uri",
        uri,
        "--port",
        str(port),
        "--workers",
        "1",
        "--allowed-hosts",
        ",".join(hosts),
        "--cors-allowed-origins",
        ",".join(f"http://{host}" for host in hosts),
    ]


def run_program(command: list[str], environment: dict[str, str] | None = None) -> int:
    """Run a program of this environment in the foreground; Ctrl-C reaches it by the terminal.

    Args:
        command: The program and its arguments.
        environment: Variables to set for it.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    with subprocess.Popen(
        command, env=os.environ | QUIET | (environment or {}) | {"PATH": path}
    ) as process:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:
                    continue
        finally:
            end_with_children(process)
