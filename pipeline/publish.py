"""Publish one result: its run, its model version, the aliases, and a note of what was published.

When all of it is there already, this only looks: no model is loaded, nothing is written to MLflow.
"""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.ground.errors import IntegrityError, ParamsError, TrackingError
from pipeline.ground.files import write_json
from pipeline.ground.git import has_commit
from pipeline.judge.metrics import METRICS
from pipeline.keys.journal import state_folder
from pipeline.promotion.contest import Arena
from pipeline.promotion.promotion import decide_published
from pipeline.track.connection import Tracking, probe, publishing_to, redact
from pipeline.track.describe import describe_version
from pipeline.track.params import TrackingParams
from pipeline.track.result import SPLITS, Outcome, Results
from pipeline.track.result_run import settle_run
from pipeline.version.package import Content, log_model
from pipeline.version.params import RegistryParams
from pipeline.version.registry import (
    DECIDED,
    DECISION,
    FAILED,
    UNVERIFIED,
    VERIFIED,
    create_version,
    delete_version,
    find_version,
    metric_tag,
    read_aliases,
    set_version_tag,
)
from pipeline.version.verify import Evaluated, verify
from pipeline.version.version_run import run_of

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)


def publish(results: Results, tracking: TrackingParams, registry: RegistryParams) -> None:
    """Bring a result to MLflow, and write `.rootstock/published.json`.

    Raises:
        TrackingError: The server is away, and `tracking.required` is true.
        IntegrityError: The registered model does not predict what was evaluated, or the audit is
            damaged.
        ParamsError: `registry.metric` is no metric of the task.
        GitError: git cannot read the repository: a run is never without the commit that there is.
    """
    has_commit(Path())
    note = state_folder() / "published.json"
    outcome = Outcome(results)
    if registry.metric not in outcome.metrics:
        raise ParamsError(
            "params.yaml",
            "must be a metric of this task",
            field="registry.metric",
            got=registry.metric,
            remedy=f"metrics.json has {', '.join(sorted(set(METRICS) & set(outcome.metrics)))}",
        )
    try:
        with publishing_to(tracking.experiment) as server:
            write_json(note, _publish(server, outcome, registry))
    except TrackingError as error:
        note.unlink(missing_ok=True)
        if tracking.required:
            raise
        log.warning("%s", error)


def _publish(tracking: Tracking, outcome: Outcome, registry: RegistryParams) -> dict[str, Any]:
    """Settle the run and the version, and give what was published."""
    run = settle_run(tracking, outcome)
    note: dict[str, Any] = {
        "run_id": run.info.run_id,
        "run_name": run.info.run_name,
        "experiment_id": run.info.experiment_id,
        "uri": redact(tracking.uri),
        "dvc.key": outcome.keys.key,
        "dvc.model": outcome.keys.model,
        "git.commit": run.data.tags.get("git.commit"),
        "metrics": {k: v for k, v in outcome.metrics.items() if isinstance(v, int | float)},
        "name": registry.name,
        "version": None,
        "aliases": [],
        "verified": None,
        "decision": None,
    }
    if tracking.uri.startswith("http"):
        place = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        note["url"] = f"{redact(tracking.uri).rstrip('/')}/{place}"
    if is_registered(outcome, run, registry):
        version = settle_version(tracking, outcome, run, registry)
        aliases = read_aliases(tracking, registry.name)
        note["version"] = str(version.version)
        note["aliases"] = sorted(a for a, number in aliases.items() if number == note["version"])
        note["verified"] = version.tags.get(VERIFIED)
        note["decision"] = version.tags.get(DECISION)
    return note


def is_registered(outcome: Outcome, run: "Run", registry: RegistryParams) -> bool:
    """Return whether the result is to have a version."""
    if run.data.tags.get("dvc.model") != outcome.keys.model:
        return False  # it confirms another run, whose model is the one that counts
    if outcome.is_experiment and not registry.from_experiments:
        log.info("not registered: it is an experiment, and registry.from_experiments is false")
        return False
    return True


def settle_version(
    tracking: Tracking, outcome: Outcome, run: "Run", registry: RegistryParams
) -> "ModelVersion":
    """Return the one version of a result's model; register, verify and decide what is not yet.

    Raises:
        IntegrityError: The version does not predict what was evaluated. It keeps no alias, and the
            next attempt replaces it.
    """
    version = find_version(tracking, registry.name, outcome.keys.model)
    if version is not None and version.tags.get(VERIFIED, "").startswith(FAILED):
        delete_version(tracking, version)
        version = None
    if version is None:
        version = register_version(tracking, outcome, run, registry)
    if version.tags.get(VERIFIED, UNVERIFIED).startswith(UNVERIFIED):
        verify_version(tracking, outcome, version, registry)
    arena = Arena(tracking, registry, outcome.files.raw, outcome.ece_bins)
    if DECIDED not in version.tags:
        keep_splits(tracking, outcome, version)
    decide_published(arena, version)
    return tracking.client.get_model_version(registry.name, version.version)


def keep_splits(tracking: Tracking, outcome: Outcome, version: "ModelVersion") -> None:
    """Add to a run that an older pipeline made what later contests need to know of it."""
    run = run_of(tracking.client, version)
    if run is None:
        return
    run_id, (folder, _, name) = run.info.run_id, SPLITS.partition("/")
    if any(each.path == SPLITS for each in tracking.client.list_artifacts(run_id, folder)):
        return
    with tempfile.TemporaryDirectory() as scratch:
        outcome.write_splits(Path(scratch) / name)
        tracking.client.log_artifact(run_id, str(Path(scratch) / name), folder)


def register_version(
    tracking: Tracking, outcome: Outcome, run: "Run", registry: RegistryParams
) -> "ModelVersion":
    """Make a version of a result's model, with the tags that say which it is."""
    code = outcome.past.code if outcome.past else None
    content = Content(outcome.files.model, outcome.files.bundle, outcome.keys.model, code)
    model_id = log_model(tracking, content, name=registry.name, run_id=run.info.run_id)
    tags = {
        "dvc.model": outcome.keys.model,
        "dvc.key": outcome.keys.key,
        "dvc.data": outcome.keys.data,
        "weights.sha256": outcome.weights_sha256,
        "fingerprint": outcome.fingerprint,
    }
    value = _number(outcome.metrics.get(registry.metric))
    if value is not None:
        tags[metric_tag(registry.metric)] = repr(value)
    version = create_version(
        tracking,
        registry.name,
        model_id=model_id,
        run_id=run.info.run_id,
        tags=tags,
        description=describe_version(outcome.params, outcome.metrics),
    )
    log.info("registered as %s version %s", registry.name, version.version)
    return version


def verify_version(
    tracking: Tracking, outcome: Outcome, version: "ModelVersion", registry: RegistryParams
) -> None:
    """Check in a fresh process what a version predicts, and tag it with what was found.

    Raises:
        IntegrityError: It does not predict what was evaluated.
        DataError: The raw files are not there.
    """
    uri = f"models:/{version.name}/{version.version}"
    evaluated = Evaluated(outcome.files.predictions, outcome.files.raw, outcome.bundle)
    log.info("verifying %s in a fresh process", uri)
    environment = {"MLFLOW_TRACKING_URI": tracking.uri, "MLFLOW_REGISTRY_URI": tracking.uri}
    try:
        comparison = verify(uri, evaluated, items=registry.verify_items, environment=environment)
    except IntegrityError as error:
        probe(tracking.uri)  # a server that went away says nothing of the model
        set_version_tag(tracking, version, VERIFIED, f"{FAILED}: {error}"[:1000])
        raise
    set_version_tag(tracking, version, VERIFIED, str(comparison))
    log.info("%s predicts what was evaluated: %s", uri, comparison)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
