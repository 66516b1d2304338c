"""What `rootstock repro` looks at before DVC starts; the doctor looks at it too."""

import hashlib
import shutil
from pathlib import Path

from pipeline.ground.errors import MachineError, ParamsError
from pipeline.ground.files import write_text
from pipeline.ground.params import in_force, load_section, read_params, refuse_unknown_sections
from pipeline.ground.stage import PARAMS
from pipeline.raw.params import DataParams
from pipeline.raw.unsafe_entries import refuse_unsafe_entries
from pipeline.repo.git import has_commit
from pipeline.track.connection import refuse_percent_sign, tracking_uri

STATE = Path(".rootstock")

_SEAL = STATE / "params.seal"
"""Names the params and the code with which all of params.yaml was found right."""


def preflight() -> None:
    """Look at params.yaml, git, the raw data and the lock files; keep a copy of the latter.

    Raises:
        ParamsError: params.yaml or a path in it is wrong, or a lock file is in conflict.
        DataError: The raw folder holds what DVC must not meet.
        MachineError: A lock file is cut or damaged, MLflow cannot open its database here, or git
            cannot read the repository: the result would be recorded without its commit.
    """
    refuse_conflict(PARAMS)
    raw = in_force(read_params(PARAMS))
    refuse_unknown_sections(raw, path=PARAMS)
    data = load_section(raw, "data", DataParams, path=PARAMS)
    for field in ("path", "labels"):
        look_for_data(field, Path(getattr(data, field)))
        refuse_conflict(dvc_file(Path(getattr(data, field))))
    refuse_unsafe_entries(Path(data.path))
    has_commit(Path())
    for lock in lock_files():
        check_lock(lock)
        back_up(lock)
    refuse_percent_sign(tracking_uri())
    refuse_wrong_params()


def refuse_wrong_params() -> None:
    """Check all sections of params.yaml, unless they were checked as they are.

    The check imports all that the pipeline computes with, which takes seconds.

    Raises:
        ParamsError: Something is wrong; all of it is told.
    """
    seal = _seal()
    if _SEAL.exists() and _SEAL.read_text(encoding="utf-8") == seal:
        return
    from pipeline.doctor.params import examine_params  # slow to import

    _, errors = examine_params(PARAMS)
    if errors:
        raise ParamsError(
            PARAMS, "; ".join(str(each).removeprefix(f"{PARAMS}: ") for each in errors)
        )
    write_text(_SEAL, seal)


def _seal() -> str:
    digest = hashlib.sha256(PARAMS.read_bytes())
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def look_for_data(field: str, place: Path) -> None:
    """Refuse a data path that is neither there nor made or tracked by DVC.

    Raises:
        ParamsError: It is so.
    """
    if not (place.exists() or dvc_file(place) or graph_file(place)):
        raise ParamsError(
            PARAMS,
            "no such file or folder",
            field=f"data.{field}",
            got=str(place),
            remedy="correct the path, or `dvc pull` it",
        )


def dvc_file(place: Path) -> Path | None:
    """Return the `.dvc` file that tracks a path or a folder above it, if any."""
    files = (Path(f"{each}.dvc") for each in (place, *place.parents))
    return next((each for each in files if each.is_file()), None)


def graph_file(place: Path) -> Path | None:
    """Return the `data/<name>/dvc.yaml` with a stage that makes a path, if any."""
    graphs = sorted(Path("data").glob("*/dvc.yaml"))
    return next((each for each in graphs if str(place) in each.read_text(encoding="utf-8")), None)


def lock_files() -> list[Path]:
    """Return the lock files that are there: of the pipeline, its side branches and data sets."""
    found = [Path("dvc.lock"), *sorted(Path().glob("*/dvc.lock"))]
    return [each for each in [*found, *sorted(Path("data").glob("*/dvc.lock"))] if each.is_file()]


def refuse_conflict(file: Path | None) -> None:
    """Refuse params.yaml or a `*.dvc` file that git left in conflict.

    Raises:
        ParamsError: It is so.
    """
    if file is None or not file.is_file():
        return
    if not any(each.startswith(b"<<<<<<< ") for each in file.read_bytes().splitlines()):
        return
    remedy = "choose among the lines between the markers, then `git add` it"
    if file.suffix == ".dvc":
        remedy = f"run `git checkout --ours {file}` or `--theirs`, `git add {file}`, `dvc checkout`"
    raise ParamsError(file, "has the markers of an unresolved merge", remedy=remedy)


def check_lock(lock: Path) -> None:
    """Check that DVC can read a lock file; a cut one stops every DVC command.

    Raises:
        ParamsError: git left it in conflict.
        MachineError: It is cut or damaged: DVC does not write it atomically.
    """
    text = lock.read_text(encoding="utf-8", errors="replace")
    if "<<<<<<< " in text:
        raise ParamsError(
            lock,
            "has the markers of an unresolved merge",
            remedy=f"run `git checkout --ours {lock}` or `--theirs`, then `rootstock repro`, "
            f"which makes what that side lacks, and `git add {lock}`",
        )
    if not (text.endswith("\n") and _is_sound(lock)):  # the rest of a cut one may be YAML
        raise MachineError(
            lock,
            "is cut or damaged",
            remedy=f"run `rootstock doctor --fix`, or `git checkout {lock}`, then `dvc repro`",
        )


def _is_sound(lock: Path) -> bool:
    try:
        return isinstance(read_params(lock).get("stages"), dict)
    except ParamsError:
        return False


def backup_of(lock: Path) -> Path:
    """Return the place of the copy of a lock file."""
    return STATE / "backup" / lock


def back_up(lock: Path) -> None:
    """Keep a copy of a sound lock file."""
    backup = backup_of(lock)
    backup.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(lock, backup)
