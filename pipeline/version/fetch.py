"""A model by what people call it, as a folder on this machine, whole and unaltered.

models:/<name>@<alias>   models:/<name>/<version>   a run   a folder, such as artifacts/train

A registered version is downloaded once, to `.rootstock/models`. A folder with model.safetensors and
bundle.json predicts with the present code, and a version with its own.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pipeline
from pipeline.ground.errors import IntegrityError, ParamsError, TrackingError
from pipeline.ground.files import md5_file, read_json, replacing_folder, sha256_file, write_json
from pipeline.modality.table import read_modality
from pipeline.repo.state import scratch_folder
from pipeline.track.connection import redact, tracking_uri, translated_errors
from pipeline.version.lookup import Lookup
from pipeline.version.registry import MODEL

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

_WEIGHTS, _BUNDLE = "model.safetensors", "bundle.json"
_CONTENTS = "contents.json"
"""Of a downloaded folder: `dvc.model`, and the SHA-256 of every file by its path."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:")
_NUMBERED = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>\d+)")
_MD5_DIGITS = 12


@dataclass(frozen=True)
class Resolved:
    """What a name stands for at the moment.

    Attributes:
        uri: `models:/<name>/<version>`, or a folder as it was given.
        name: Of the registered model; None for a folder.
        version: Its number; None for a folder.
        md5: Of the weights: `dvc.model`.
    """

    uri: str
    name: str | None
    version: str | None
    md5: str

    @property
    def key(self) -> str:
        """Differs where another version is meant."""
        return f"{self.uri} {self.md5}"

    @property
    def shown_version(self) -> str:
        """As answers name it."""
        return self.version or self.md5[:_MD5_DIGITS]


@dataclass(frozen=True)
class ModelFolder(Resolved):
    """A model on this machine.

    Attributes:
        folder: All of it.
        model: The model.safetensors.
        bundle: The bundle.json.
    """

    folder: Path
    model: Path
    bundle: Path

    @property
    def code(self) -> Path:
        """The folder that holds the `pipeline` package which predicts: a version's own, or ours."""
        has_own = (self.folder / "MLmodel").is_file()
        return self.folder / "code" if has_own else Path(pipeline.__file__).parents[1]

    @property
    def modality(self) -> str:
        """What its items are."""
        return read_modality(read_json(self.bundle))


def resolve(what: str) -> Resolved:
    """Return what a name stands for now, without a download.

    Without the server, a version named by its number is the one in `.rootstock/models`.

    Raises:
        ParamsError: There is no such model.
        TrackingError: The server is away.
    """
    if (folder := _local(what)) is not None:
        return folder
    try:
        return _look_up(what)
    except TrackingError as error:
        if (found := _downloaded(what)) is None:
            raise
        log.warning("%s; %s is taken as it was downloaded before", error, what)
        return found


def _look_up(what: str) -> Resolved:
    try:
        found = Lookup().by_name(what)
    except TrackingError as error:
        if error.__cause__ is None:
            raise
        raise TrackingError(
            redact(tracking_uri()),
            f"cannot be asked for {what}: {error.__cause__}",
            remedy="start it, correct MLFLOW_TRACKING_URI, or name a folder, or by its number a "
            "version that was downloaded before",
        ) from error
    if found.version is None:
        raise ParamsError(
            what,
            "must have a registered version, and this run has none",
            remedy="see the models in `make ui`",
        )
    return _resolved(found.version)


def fetch_model(what: str) -> ModelFolder:
    """Return the folder of what a name stands for now: `resolve`, then `fetch`."""
    return fetch(resolve(what))


def fetch(resolved: Resolved) -> ModelFolder:
    """Return a model's folder; one that was downloaded before is taken.

    Raises:
        IntegrityError: A file is not the one that was registered, or that was downloaded.
        TrackingError: The server is away.
    """
    if isinstance(resolved, ModelFolder):
        return resolved
    target = _home() / f"{resolved.name}-{resolved.version}-{resolved.md5[:_MD5_DIGITS]}"
    if not target.exists():
        _download(resolved, target)
    _check(target)
    return _model_folder(target, resolved)


def _home() -> Path:
    return scratch_folder() / "models"


def _local(what: str) -> ModelFolder | None:
    folder = Path(what)
    if what.startswith("models:"):
        return None
    if not folder.is_dir():
        _refuse_path(what)
        return None
    is_logged = (folder / "MLmodel").is_file()
    place = "artifacts/" if is_logged else ""
    for name in (_WEIGHTS, _BUNDLE):
        if not (folder / place / name).is_file():
            raise ParamsError(
                folder,
                f"must hold {place}{_WEIGHTS} and {place}{_BUNDLE}, and has no {place}{name}",
                remedy="run `dvc pull --with-deps publish` or `dvc repro`, or name a registered "
                "model: models:/<name>@<alias>",
            )
    if is_logged:
        md5 = md5_file(folder / place / _WEIGHTS)
        return _model_folder(folder, Resolved(what, None, None, md5))
    return ModelFolder(
        uri=what,
        name=None,
        version=None,
        md5=md5_file(folder / _WEIGHTS),
        folder=folder,
        model=folder / _WEIGHTS,
        bundle=folder / _BUNDLE,
    )


def _refuse_path(what: str) -> None:
    """Refuse a path that is no folder, before it is looked for among runs.

    Raises:
        ParamsError: It is a file, or names what is not there.
    """
    is_file = Path(what).is_file()
    if is_file or ("/" in what and not _ADDRESS.match(what)):
        raise ParamsError(
            what,
            f"must be a folder with {_WEIGHTS} and {_BUNDLE}, and "
            + ("is a file" if is_file else "is not there"),
            remedy="name such a folder, as artifacts/train, or models:/<name>@<alias>",
        )


def _model_folder(folder: Path, resolved: Resolved) -> ModelFolder:
    return ModelFolder(
        uri=resolved.uri,
        name=resolved.name,
        version=resolved.version,
        md5=resolved.md5,
        folder=folder,
        model=folder / "artifacts" / _WEIGHTS,
        bundle=folder / "artifacts" / _BUNDLE,
    )


def _resolved(version: "ModelVersion") -> Resolved:
    uri = f"models:/{version.name}/{version.version}"
    md5 = version.tags.get(MODEL)
    if md5 is None:
        raise ParamsError(
            uri,
            f"must be a version that `publish` made: it has no tag {MODEL}",
            remedy="see the models in `make ui`",
        )
    return Resolved(uri, str(version.name), str(version.version), str(md5))


def _download(resolved: Resolved, target: Path) -> None:
    """Download a version's folder, whole or not at all.

    Raises:
        IntegrityError: Its weights are not those that were registered.
        TrackingError: The server is away, or lacks files.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    lookup = Lookup()
    log.info("downloading %s to %s", resolved.uri, target)
    with replacing_folder(target) as scratch, translated_errors(lookup.uri):
        try:
            download_artifacts(
                artifact_uri=resolved.uri, dst_path=str(scratch), tracking_uri=lookup.uri
            )
            if not (scratch / "artifacts" / _WEIGHTS).exists():
                # of a folder that is gone MLflow downloads nothing, and says nothing
                raise FileNotFoundError(f"it has no artifacts/{_WEIGHTS}")
        except (MlflowException, OSError) as error:
            raise TrackingError(
                redact(lookup.uri),
                f"cannot give the files of {resolved.uri}: {error}",
                remedy="see that its artifact folder is there",
            ) from error
        md5 = md5_file(scratch / "artifacts" / _WEIGHTS)
        if md5 != resolved.md5:
            raise IntegrityError(
                resolved.uri,
                f"must hold the weights that were registered, md5 {resolved.md5}",
                field=_WEIGHTS,
                got=md5,
                remedy="its artifacts were altered on the server; `rootstock sync` registers the "
                "result again",
            )
        write_json(scratch / _CONTENTS, {MODEL: md5, "files": _digests(scratch)})


def _digests(folder: Path) -> dict[str, str]:
    """Return the digests of all files but our own list, and what an import may have left."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _CONTENTS and path.suffix != ".pyc"
    }


def _check(folder: Path) -> None:
    recorded, present = read_json(folder / _CONTENTS)["files"], _digests(folder)
    for path in sorted({*recorded, *present}):
        if recorded.get(path) != present.get(path):
            raise IntegrityError(
                folder / path,
                "is not as it was downloaded",
                remedy=f"remove {folder}; it is downloaded again",
            )


def _downloaded(what: str) -> Resolved | None:
    """Find a version that was downloaded before; None where there is none, or several."""
    match = _NUMBERED.fullmatch(what)
    if match is None:
        return None
    name, version = match["name"], match["version"]
    known = re.compile(rf"{re.escape(name)}-{version}-[0-9a-f]{{{_MD5_DIGITS}}}")
    found = [path for path in _home().glob("*") if known.fullmatch(path.name)]
    if len(found) != 1:
        return None
    return Resolved(what, name, version, read_json(found[0] / _CONTENTS)[MODEL])
