"""The weights of a registered model, on this machine: for the source `model:` of `weights`."""

from pathlib import Path

from pipeline.ground.errors import MachineError, ParamsError, TrackingError
from pipeline.repo.state import scratch_folder
from pipeline.track.connection import configure, probe, redact, tracking_uri, translated_errors

_FILE = "artifacts/model.safetensors"
"""Where a registered model of ours holds its weights."""
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND")


def download_model_file(uri: str) -> Path:
    """Return the `model.safetensors` of a registered model; it is downloaded again each time.

    Args:
        uri: `models:/<name>@<alias>` or `models:/<name>/<version>`.

    Raises:
        ParamsError: There is no such model or version, or it is not one of ours.
        MachineError: The registry is away.
    """
    try:
        return _download(uri, tracking_uri())
    except TrackingError as error:  # its exit code is for results that could not be published
        raise MachineError(
            redact(tracking_uri()),
            f"has no answer to weights.source: {error.__cause__ or error}",
            remedy="start the registry, or correct MLFLOW_TRACKING_URI",
        ) from error


def _download(uri: str, address: str) -> Path:
    configure()
    probe(address)
    from mlflow import set_registry_uri, set_tracking_uri
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    set_tracking_uri(address)
    set_registry_uri(address)
    target = scratch_folder() / "downloads"
    target.mkdir(parents=True, exist_ok=True)
    with translated_errors(address):
        try:
            found = download_artifacts(artifact_uri=f"{uri}/{_FILE}", dst_path=str(target))
        except (MlflowException, OSError) as error:
            if getattr(error, "error_code", "") not in _NOT_THERE and not isinstance(
                error, OSError
            ):
                raise
            raise ParamsError(
                "params.yaml",
                f"the registry has no such model with a {Path(_FILE).name}",
                field="weights.source",
                got=f"model:{uri}",
                remedy="see the models in `make ui`",
            ) from error
    return Path(found)
