"""Publish one result: its run, its model version, the aliases, and a note of what was published.

When all of it is there already, this only looks: no model is loaded, nothing is written to MLflow.
"""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.ground.errors import IntegrityError, ParamsError, TrackingError
from pipeline.ground.files import write_json
from pipeline.judge.metrics import METRICS
from pipeline.promotion.contest import Arena
from pipeline.promotion.promotion import decide_published
from pipeline.repo.git import has_commit
from pipeline.repo.imports import refuse_copied_links
from pipeline.repo.state import state_folder
from pipeline.track.connection import Tracking, probe, publish_to, redact
from pipeline.track.describe import describe_version
from pipeline.track.main_result import SPLITS, MainResult, ResultFiles
from pipeline.track.params import TrackingParams
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
    from pipeline.track.runs import Run
    from pipeline.version.registry import ModelVersion

log = logging.getLogger(__name__)


def publish(files: ResultFiles, tracking: TrackingParams, registry: RegistryParams) -> None:
    """Bring a result to MLflow, and write `.rootstock/published.json`.

    Raises:
        TrackingError: The server is away, and `tracking.required` is true.
        IntegrityError: The registered model does not predict what was evaluated, the audit is
            damaged, or DVC does not see the code of the stages.
        ParamsError: `registry.metric` is no metric of the task.
        GitError: git cannot read the repository: a run is never without the commit that there is.
    """
    has_commit(Path())
    refuse_copied_links(Path())
    path = state_folder() / "published.json"
    result = MainResult(files)
    if registry.metric not in result.metrics:
        raise ParamsError(
            "params.yaml",
            "must be a metric of this task",
            field="registry.metric",
            got=registry.metric,
            remedy=f"metrics.json has {', '.join(sorted(set(METRICS) & set(result.metrics)))}",
        )
    try:
        note = publish_to(tracking, lambda server: Publication(server, result, registry).settle())
    except TrackingError:
        path.unlink(missing_ok=True)
        raise
    if note is None:
        path.unlink(missing_ok=True)
    else:
        write_json(path, note)


class Publication:
    """One result on its way to a run and a registered version.

    Args:
        tracking: The server.
        result: What is published.
        registry: Where it is registered, and by which rules.
    """

    def __init__(self, tracking: Tracking, result: MainResult, registry: RegistryParams) -> None:
        self._tracking, self._result, self._registry = tracking, result, registry

    def settle(self) -> dict[str, Any]:
        """Settle the run and the version, and give what was published."""
        tracking, result, name = self._tracking, self._result, self._registry.name
        run = settle_run(tracking, result)
        note: dict[str, Any] = {
            "run_id": run.info.run_id,
            "run_name": run.info.run_name,
            "experiment_id": run.info.experiment_id,
            "uri": redact(tracking.uri),
            "dvc.key": result.key,
            "dvc.model": result.keys.model,
            "git.commit": run.data.tags.get("git.commit"),
            "metrics": {k: v for k, v in result.metrics.items() if isinstance(v, int | float)},
            "name": name,
            "version": None,
            "aliases": [],
            "verified": None,
            "decision": None,
        }
        if tracking.uri.startswith("http"):
            place = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
            note["url"] = f"{redact(tracking.uri).rstrip('/')}/{place}"
        if self.is_registered(run):
            version = self.settle_version(run)
            number, aliases = str(version.version), read_aliases(tracking, name)
            note["version"] = number
            note["aliases"] = sorted(alias for alias, at in aliases.items() if at == number)
            note["verified"] = version.tags.get(VERIFIED)
            note["decision"] = version.tags.get(DECISION)
        return note

    def is_registered(self, run: "Run") -> bool:
        """Return whether the result is to have a version."""
        if not self._result.is_shown_by(run):
            return False  # it confirms another run, whose model is the one that counts
        if self._result.is_experiment and not self._registry.from_experiments:
            log.info("not registered: it is an experiment, and registry.from_experiments is false")
            return False
        return True

    def settle_version(self, run: "Run") -> "ModelVersion":
        """Return the one version of the model; register, verify and decide what is not yet.

        Raises:
            IntegrityError: The version does not predict what was evaluated. It keeps no alias, and
                the next attempt replaces it.
        """
        tracking, result = self._tracking, self._result
        version = self.find_version()
        if version is not None and version.tags.get(VERIFIED, "").startswith(FAILED):
            delete_version(tracking, version)
            version = None
        if version is None:
            version = self.register(run)
        if version.tags.get(VERIFIED, UNVERIFIED).startswith(UNVERIFIED):
            self.verify(version)
        if DECIDED not in version.tags:
            self.keep_splits(version)
        arena = Arena(tracking, self._registry, result.files.raw, result.ece_bins)
        decide_published(arena, version)
        return tracking.client.get_model_version(version.name, version.version)

    def find_version(self) -> "ModelVersion | None":
        """Return the version of the result's model; None where it is not registered."""
        return find_version(self._tracking, self._registry.name, self._result.keys.model)

    def register(self, run: "Run") -> "ModelVersion":
        """Make a version of the result's model, with the tags that say which it is."""
        tracking, result, name = self._tracking, self._result, self._registry.name
        files, code = result.files, result.past.code if result.past else None
        content = Content(files.model, files.bundle, result.keys.model, code)
        tags = {
            "dvc.model": result.keys.model,
            "dvc.key": result.key,
            "dvc.data": result.keys.data,
            "weights.sha256": result.weights_sha256,
            "fingerprint": result.fingerprint,
        }
        value = result.metrics.get(self._registry.metric)
        if isinstance(value, int | float):
            tags[metric_tag(self._registry.metric)] = repr(float(value))
        version = create_version(
            tracking,
            name,
            model_id=log_model(tracking, content, name=name, run_id=run.info.run_id),
            run_id=run.info.run_id,
            tags=tags,
            description=describe_version(result.params, result.metrics),
        )
        log.info("registered as %s version %s", name, version.version)
        return version

    def verify(self, version: "ModelVersion") -> None:
        """Check in a fresh process what a version predicts, and tag it with what was found.

        Raises:
            IntegrityError: It does not predict what was evaluated.
            DataError: The raw files are not there.
        """
        tracking, result = self._tracking, self._result
        uri = f"models:/{version.name}/{version.version}"
        evaluated = Evaluated(result.files.predictions, result.files.raw, result.bundle)
        log.info("verifying %s in a fresh process", uri)
        environment = {"MLFLOW_TRACKING_URI": tracking.uri, "MLFLOW_REGISTRY_URI": tracking.uri}
        items = self._registry.verify_items
        try:
            comparison = verify(uri, evaluated, items=items, environment=environment)
        except IntegrityError as error:
            probe(tracking.uri)  # a server that went away says nothing of the model
            set_version_tag(tracking, version, VERIFIED, f"{FAILED}: {error}"[:1000])
            raise
        set_version_tag(tracking, version, VERIFIED, str(comparison))
        log.info("%s predicts what was evaluated: %s", uri, comparison)

    def keep_splits(self, version: "ModelVersion") -> None:
        """Add to a run that an older pipeline made what later contests need to know of it."""
        client = self._tracking.client
        run = run_of(client, version)
        if run is None:
            return
        run_id, (folder, _, name) = run.info.run_id, SPLITS.partition("/")
        if any(each.path == SPLITS for each in client.list_artifacts(run_id, folder)):
            return
        with tempfile.TemporaryDirectory() as scratch:
            self._result.write_splits(Path(scratch) / name)
            client.log_artifact(run_id, str(Path(scratch) / name), folder)
