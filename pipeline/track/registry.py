"""Versions of the registered model: one for each `dvc.model`, found by its tag, and the aliases.

A version gets its aliases last, after it was loaded and checked elsewhere (`verify.py`). MLflow
keeps no history of aliases, so why a version became champion, or did not, stands in its tags.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from pipeline.params import Section
from pipeline.track.tracking import Tracking
from pipeline.train.metrics import METRICS

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

CANDIDATE = "candidate"
CHAMPION = "champion"

VERIFIED = "verified"
"""Tag: what the check in a fresh process found; a text that begins with `FAILED` is a failure."""

FAILED = "failed"

DECISION = "champion.decision"
"""Tag: whether and why the version became champion; with it, all is done for a version."""


class RegistryParams(Section):
    """`registry`: the registered model, and what makes a version the champion."""

    name: str = Field(min_length=1, max_length=200, pattern=r"^[^/:\"'`%]+$")
    """Of the registered model; without / : % and quotes."""

    metric: str
    """Of metrics.json; a candidate that is better on it than the champion becomes champion."""

    from_experiments: bool
    """Register models that `dvc exp run` made, too."""

    verify_items: int = Field(ge=1)
    """Test items that are predicted anew, from raw files in a fresh process, at registration."""

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, value: str) -> str:
        if value not in METRICS:
            raise ValueError(f"must be one of {', '.join(METRICS)}, got {value!r}")
        return value


def find_version(tracking: Tracking, name: str, model_md5: str) -> "ModelVersion | None":
    """Give the version that holds these weights; the oldest if there are several."""
    found = tracking.client.search_model_versions(f"name = '{name}'", max_results=10_000)
    mine = [version for version in found if version.tags.get("dvc.model") == model_md5]
    return min(mine, key=lambda version: int(version.version), default=None)


def create_version(
    tracking: Tracking, name: str, *, model_id: str, run_id: str, tags: Mapping[str, str]
) -> "ModelVersion":
    """Register a logged model as a new version, with its tags from the first moment on."""
    _create_registered_model(tracking, name)
    return tracking.client.create_model_version(
        name, f"models:/{model_id}", run_id=run_id, tags=dict(tags), model_id=model_id
    )


def delete_version(tracking: Tracking, version: "ModelVersion") -> None:
    """Remove a version and the logged model behind it."""
    tracking.client.delete_model_version(version.name, version.version)
    if version.source and version.source.startswith("models:/"):
        tracking.client.delete_logged_model(version.source.removeprefix("models:/"))


def read_aliases(tracking: Tracking, name: str) -> dict[str, str]:
    """Give alias -> version of a registered model."""
    aliases = tracking.client.get_registered_model(name).aliases
    return {alias: str(number) for alias, number in aliases.items()}


def set_version_tag(tracking: Tracking, version: "ModelVersion", tag: str, value: str) -> None:
    """Set one tag of a version."""
    tracking.client.set_model_version_tag(version.name, version.version, tag, value)


def decide(
    tracking: Tracking, version: "ModelVersion", params: RegistryParams, value: float | None
) -> None:
    """Make a version the candidate, and the champion if it is better, once in its life.

    Args:
        tracking: The registry's server.
        version: A version that was verified.
        params: Names the metric.
        value: The version's own value of it; None where it has none.
    """
    aliases = read_aliases(tracking, params.name)
    mine = str(version.version)
    if aliases.get(CHAMPION) == mine:  # an earlier attempt was killed before its last line
        wins, reason = True, "became champion"
    else:
        wins, reason = _compare(tracking, params, aliases.get(CHAMPION), value)
    tracking.client.set_registered_model_alias(params.name, CANDIDATE, mine)
    if wins:
        tracking.client.set_registered_model_alias(params.name, CHAMPION, mine)
    set_version_tag(tracking, version, DECISION, reason)
    log.info("%s version %s: %s", params.name, mine, reason)


def _compare(
    tracking: Tracking, params: RegistryParams, champion: str | None, value: float | None
) -> tuple[bool, str]:
    """Give whether the candidate wins, and why."""
    if champion is None:
        return True, "champion: there was none yet"
    old = _metric_of(tracking, params, champion)
    if value is None or old is None:
        return False, f"not champion: {params.metric} is missing on one side"
    wins = value > old if METRICS[params.metric] == "max" else value < old
    word, relation = ("champion", "better than") if wins else ("not champion", "not better than")
    return (
        wins,
        f"{word}: {params.metric} {value:.6g} is {relation} {old:.6g} of version {champion}",
    )


def _metric_of(tracking: Tracking, params: RegistryParams, number: str) -> float | None:
    """Give a version's value of the metric, from its tags or its run."""
    version = tracking.client.get_model_version(params.name, number)
    text = version.tags.get(metric_tag(params.metric))
    if text is not None:
        return float(text)
    if not version.run_id:
        return None
    metrics: dict[str, Any] = tracking.client.get_run(version.run_id).data.metrics
    return metrics.get(params.metric)


def metric_tag(name: str) -> str:
    """Give the tag of a version that holds a metric."""
    return f"metric.{name}"


def _create_registered_model(tracking: Tracking, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        tracking.client.create_registered_model(
            name,
            description="Encoded pictures in, labels and probabilities out; made by Rootstock.",
        )
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
            raise
