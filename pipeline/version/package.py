"""A model folder that loads anywhere: weights, bundle, and the code that predicts with them.

The folder is a `pyfunc` of MLflow made from code (`served.py`), without a pickle in it.
"""

import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipeline
from pipeline.ground.files import link_file, read_json
from pipeline.ground.tasks import answer_columns
from pipeline.modality.shown.inputs import item_input
from pipeline.modality.table import read_modality
from pipeline.track.connection import Tracking

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

log = logging.getLogger(__name__)

SERVED = Path(__file__).with_name("served.py")
"""The code that an MLflow model runs."""

_PACKAGES = (
    "mlflow",
    "numpy",
    "pandas",
    "pillow",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "safetensors",
    "timm",
    "tokenizers",
    "torch",
    "torchvision",
    "tqdm",
)
"""What the code that predicts imports, directly or not."""


@dataclass(frozen=True)
class Content:
    """What a model folder is made of.

    Attributes:
        model: The model.safetensors.
        bundle: The bundle.json.
        md5: `dvc.model`.
        code: A `pipeline` package that predicts with them; None: the present one.
    """

    model: Path
    bundle: Path
    md5: str
    code: Path | None = None


def log_model(tracking: Tracking, content: Content, *, name: str, run_id: str) -> str:
    """Log the model of a run, and give its MLflow id.

    One that an earlier, killed attempt logged in full is taken; halves of one are removed.

    Args:
        tracking: The server.
        content: The model.
        name: Of the logged model.
        run_id: The run's.

    Raises:
        TrackingError: Through the caller's `translated_errors`.
    """
    client = tracking.client
    tag = f"tags.`dvc.model` = '{content.md5}'"
    for old in client.search_logged_models([tracking.experiment_id], tag):
        if old.status == "READY" and old.source_run_id == run_id:
            return str(old.model_id)
        client.delete_logged_model(old.model_id)
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    logged = client.create_logged_model(
        tracking.experiment_id, name=name, source_run_id=run_id, tags={"dvc.model": content.md5}
    )
    card = Model(
        artifact_path=logged.artifact_location,
        run_id=run_id,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        save_model(folder, model=content.model, bundle=content.bundle, card=card)
        if content.code is not None:
            put_code(folder, content.code)
        client.log_model_artifacts(logged.model_id, str(folder))
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
    client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id)


def save_model(folder: Path, *, model: Path, bundle: Path, card: Any) -> None:
    """Write the model folder.

    Args:
        folder: Must not exist.
        model: The model.safetensors.
        bundle: The bundle.json.
        card: MLflow's `Model`, which says to what run the folder belongs.
    """
    with quiet_mlflow(), tempfile.TemporaryDirectory() as scratch:
        import mlflow.pyfunc

        files = {"model": model, "bundle": bundle}
        mlflow.pyfunc.save_model(
            str(folder),
            mlflow_model=card,
            python_model=str(SERVED),
            artifacts={name: _without_link(path, scratch) for name, path in files.items()},
            code_paths=[str(Path(pipeline.__file__).parent)],
            pip_requirements=requirements(),
            signature=signature(read_json(bundle)),
        )
    for cache in folder.rglob("__pycache__"):
        shutil.rmtree(cache)


def _without_link(path: Path, scratch: str) -> str:
    """Return a path whose file MLflow takes: not a link, such as DVC puts there on request."""
    if not path.is_symlink():
        return str(path)
    link_file(path, Path(scratch) / path.name)
    return str(Path(scratch) / path.name)


def put_code(folder: Path, code: Path) -> None:
    """Make a model folder predict with another `pipeline` package, which is not executed here."""
    package = folder / "code" / code.name
    shutil.rmtree(package)
    shutil.copytree(code, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(served_of(code), folder / SERVED.name)


def served_of(code: Path) -> Path:
    """Return the file that an MLflow model runs, in a `pipeline` package of any age."""
    now, before = code / "version" / SERVED.name, code / "track" / SERVED.name
    return now if now.exists() else before


def requirements() -> list[str]:
    """Return the installed versions of what prediction needs, as pip requirements."""
    # A local version such as 2.14.1+cu130 is on no package index.
    return [f"{name}=={version(name).partition('+')[0]}" for name in _PACKAGES]


def signature(bundle: dict[str, Any]) -> "ModelSignature":
    """Return the input and output columns of the model that a bundle describes.

    Items are text by the signature, and may be bytes too: MLflow's server would decode base64 of
    binary columns in two of its forms alone, and damage what it does not know, as `data:` URLs.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    columns: list[ColSpec | TensorSpec] = [
        ColSpec(
            DataType.string if name in ("label", "error") else DataType.double, name, required=False
        )
        for name in (*answer_columns(bundle["classes"]), "error")
    ]
    item = ColSpec(DataType.string, item_input(read_modality(bundle)).column)
    return ModelSignature(Schema([item]), Schema(columns))


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Hold back MLflow's advice on type hints and input examples, which do not fit bytes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"(?s).*type hint", category=UserWarning)
        warnings.filterwarnings("ignore", message=r"(?s).*input example", category=UserWarning)
        yield
