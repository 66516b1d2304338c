"""Versions of the registered model: one for each `dvc.model`, found by its tag.

A version gets its aliases last, after it was loaded and checked elsewhere (`verify.py`). MLflow
keeps no history of aliases: the audit has it, and `aliases.py` moves them by it.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.track.connection import Tracking

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as ModelVersion

log = logging.getLogger(__name__)

VERIFIED = "verified"
"""Tag: what the check in a fresh process found; a text that begins with `FAILED` is a failure."""

FAILED = "failed"

UNVERIFIED = "not verified"
"""What `VERIFIED` begins with where the check could not be made: raw files were missing."""

DECISION = "champion.decision"
"""Tag: whether and why the version became champion, in words."""

DECIDED = "audit"
"""Tag: the hash of the last decision on the version; with it, all is done for a version."""

MODEL = "dvc.model"
"""Tag: the md5 of the version's model.safetensors, by which decisions name it."""


def list_versions(tracking: Tracking, name: str) -> "list[ModelVersion]":
    """Return all versions of a registered model, oldest first; none where it is not registered."""
    found = tracking.client.search_model_versions(f"name = '{name}'", max_results=10_000)
    return sorted(found, key=lambda version: int(version.version))


def find_version(tracking: Tracking, name: str, model_md5: str) -> "ModelVersion | None":
    """Return the version that holds these weights; the oldest if there are several."""
    found = list_versions(tracking, name)
    return next((each for each in found if each.tags.get(MODEL) == model_md5), None)


def create_version(
    tracking: Tracking,
    name: str,
    *,
    model_id: str,
    run_id: str,
    tags: Mapping[str, str],
    description: str | None = None,
) -> "ModelVersion":
    """Register a logged model as a new version, with its tags from the first moment on.

    Where another clone registered the same weights in the same moment, the lower number stays, and
    is given.
    """
    _create_registered_model(tracking, name)
    version = tracking.client.create_model_version(
        name,
        f"models:/{model_id}",
        run_id=run_id,
        tags=dict(tags),
        model_id=model_id,
        description=description,
    )
    oldest = find_version(tracking, name, tags["dvc.model"])
    if oldest is None or int(oldest.version) >= int(version.version):
        return version
    delete_version(tracking, version)
    log.info("version %s: deleted, another clone registered %s", version.version, oldest.version)
    return oldest


def delete_version(tracking: Tracking, version: "ModelVersion") -> None:
    """Remove a version and the logged model behind it."""
    tracking.client.delete_model_version(version.name, version.version)
    if version.source and version.source.startswith("models:/"):
        tracking.client.delete_logged_model(version.source.removeprefix("models:/"))


def read_aliases(tracking: Tracking, name: str) -> dict[str, str]:
    """Return alias -> version of a registered model."""
    aliases = tracking.client.get_registered_model(name).aliases
    return {alias: str(number) for alias, number in aliases.items()}


def set_version_tag(tracking: Tracking, version: "ModelVersion", tag: str, value: str) -> None:
    """Set one tag of a version."""
    tracking.client.set_model_version_tag(version.name, version.version, tag, value)


def metric_tag(name: str) -> str:
    """Return the tag of a version that holds a metric."""
    return f"metric.{name}"


def _create_registered_model(tracking: Tracking, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        tracking.client.create_registered_model(
            name, description="Items in, labels and probabilities out; made by Rootstock."
        )
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
