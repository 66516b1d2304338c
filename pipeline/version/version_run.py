"""The run of a registered version: MLflow lets people delete it, and the version stays.

A version names the run that it was registered from for good. Where that run is gone, another one
may show the same result: `rootstock sync` or `dvc repro` made it again from git and DVC. The model
itself is no part of the run, and goes on to serve.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.track.runs import all_runs, is_complete

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_KEY, _MODEL = "dvc.key", "dvc.model"
_DELETED = "deleted"


def run_of(client: "MlflowClient", version: "ModelVersion") -> "Run | None":
    """Return the run of a version, or the one that was made again since; None where neither is."""
    own = _own(client, version)
    if own is not None and own.info.lifecycle_stage != _DELETED:
        return own
    model, key = version.tags.get(_MODEL), version.tags.get(_KEY)
    if not model or not key:
        return None
    experiments = [each.experiment_id for each in client.search_experiments()]
    for run in all_runs(client, experiments, f"tags.`{_MODEL}` = '{model}'"):
        if is_complete(run) and key in run.data.tags.get("dvc.keys", "").split():
            return run
    return None


def why_gone(client: "MlflowClient", version: "ModelVersion") -> tuple[str, str]:
    """Return what became of a version's run that `run_of` does not find, and what to do."""
    short = str(version.run_id or "none")
    again = "make it again from git and DVC with `rootstock sync`"
    if _own(client, version) is None:
        return f"its run {short} is gone", again
    return (
        f"its run {short} was deleted, and is in MLflow's trash",
        f"`mlflow runs restore --run-id {short}`, or {again}",
    )


def restore_runs(client: "MlflowClient", versions: "Sequence[ModelVersion]") -> "list[Run]":
    """Take runs of versions back from MLflow's trash, where no other run shows the same result.

    Gives the runs that came back.
    """
    found = []
    for version in versions:
        own = _own(client, version)
        if own is None or own.info.lifecycle_stage != _DELETED or run_of(client, version):
            continue
        client.restore_run(own.info.run_id)
        found.append(client.get_run(own.info.run_id))
    return found


def _own(client: "MlflowClient", version: "ModelVersion") -> "Run | None":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(version.run_id) if version.run_id else None
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
