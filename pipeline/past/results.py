"""Results that commits record, brought to MLflow by the code that publishes the present one."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.ground.errors import IntegrityError, PipelineError
from pipeline.keys.lock import RunKeys
from pipeline.past.history import facts_of
from pipeline.past.layout import CODE, Missing, lay_out, lay_out_raw
from pipeline.past.recorded import PastResult, results_of
from pipeline.past.servers import Known, Servers, Synced
from pipeline.past.versions import raise_number
from pipeline.publish import is_registered, keep_splits, register_version, verify_version
from pipeline.track.commits import is_recorded
from pipeline.track.connection import Tracking, publishing, translated_errors
from pipeline.track.result import Outcome, Past
from pipeline.track.result_run import STAGES, add_key, settle_run
from pipeline.track.runs import confirmed_tag, move_commit
from pipeline.version.registry import FAILED, UNVERIFIED, VERIFIED, find_version, set_version_tag

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_KIND = "result"
_SHORT = 7


class ResultSync:
    """Brings recorded results to MLflow, each once.

    Args:
        root: The root of the repository.
        servers: What MLflow has.
        numbers: Registered model -> `dvc.model` -> number, as the audit has them.
        dry_run: Only look.
    """

    def __init__(
        self,
        root: Path,
        servers: Servers,
        numbers: Mapping[str, Mapping[str, int]],
        *,
        dry_run: bool,
    ) -> None:
        self._root, self._servers, self._numbers = root, servers, numbers
        self._dry_run = dry_run

    def bring(self, recorded: Sequence[PastResult]) -> Iterator[Synced]:
        """Bring results, in this order.

        Raises:
            TrackingError: The server is away.
        """
        for each in recorded:
            yield self._bring(each)

    def _bring(self, each: PastResult) -> Synced:
        known = self._servers.at(each.experiment_name)
        if known.tracking is None:
            return self._make(each, known)
        with translated_errors(known.tracking.uri):
            run = _find_run(known, known.tracking, each.keys, dry_run=self._dry_run)
            if run is None:
                return self._make(each, known)
            version = self._version_of(known.tracking, each, run)
            if _wants_version(each, run) and (version is None or _is_unverified(version)):
                return self._make(each, known, run)
            moved = self._move(known, known.tracking, each, run)
            return _tell(each, run, moved, version, "there")

    def _version_of(
        self, tracking: Tracking, each: PastResult, run: "Run"
    ) -> "ModelVersion | None":
        if not _wants_version(each, run):
            return None
        return find_version(tracking, each.registry.name, each.keys.model)

    def _move(self, known: Known, tracking: Tracking, each: PastResult, run: "Run") -> bool:
        """Let a run name the commit that records it; tell whether it did not yet."""
        if run.data.tags.get("git.commit.provisional") != "true":
            return False
        if not self._dry_run:
            move_commit(tracking, run.info.run_id, each.file.commit.sha, each.file.lock, STAGES)
            known.note(tracking.client.get_run(run.info.run_id))
        return True

    def _make(self, each: PastResult, known: Known, run: "Run | None" = None) -> Synced:
        """Lay the result out, and publish from there what MLflow lacks of it."""
        with tempfile.TemporaryDirectory(prefix="rootstock-sync-") as name:
            folder = Path(name).resolve()
            try:
                outcome = self._outcome(each, folder)
            except PipelineError as error:
                note = str(error)
                if run is None:
                    return _named(each, "missing", note=note)
                return Synced(
                    _KIND,
                    run.info.run_name,
                    each.file.commit.sha,
                    "there",
                    each.registry.name,
                    "missing",
                    note,
                )
            if self._dry_run or known.tracking is None:
                return _planned(each, outcome, run)
            with publishing():
                return self._publish(each, outcome, known, known.tracking)

    def _outcome(self, each: PastResult, folder: Path) -> Outcome:
        """Return the result as files in a folder.

        Raises:
            PipelineError: It cannot be had.
        """
        results = results_of(each.file)
        files = (
            results.manifest,
            results.report,
            results.page,
            results.normalization,
            results.record,
            results.model,
            results.bundle,
            results.history,
            results.metrics,
            results.predictions,
            *results.plots,
        )
        data = results.raw.parent
        sources = (data / "dvc.lock", data / "dvc.yaml", data / f"{results.raw.name}.dvc")
        lay_out(self._root, each.file, files, folder, further=sources)
        commit = each.file.commit
        is_whole = is_recorded(self._root, commit.sha, each.file.lock, STAGES)
        code = folder / CODE
        past = Past(
            root=folder,
            git=facts_of(self._root, commit, is_dirty=not is_whole),
            time_ms=each.time_ms,
            experiment=each.experiment,
            is_committed=each.is_committed,
            code=code if (code / "track" / "served.py").exists() else None,
        )
        return Outcome(results, past)

    def _publish(
        self, each: PastResult, outcome: Outcome, known: Known, tracking: Tracking
    ) -> Synced:
        before = set(known.runs)
        run = settle_run(tracking, outcome)
        known.note(run)
        is_new = run.info.run_id not in before
        if not is_registered(outcome, run, each.registry):
            return _tell(each, run, is_new, None, "there", made=is_new)
        version = find_version(tracking, each.registry.name, each.keys.model)
        is_there = version is not None
        if version is None:
            wanted = self._numbers.get(each.registry.name, {}).get(each.keys.model, 0)
            version = register_version(tracking, outcome, run, each.registry)
            version = raise_number(tracking, version, wanted)
            keep_splits(tracking, outcome, version)
        note, is_wrong = self._verify(each, outcome, tracking, version)
        found = _tell(each, run, False, version, "there" if is_there else "made", made=is_new)
        return replace(found, note=note or found.note, is_wrong=is_wrong)

    def _verify(
        self, each: PastResult, outcome: Outcome, tracking: Tracking, version: "ModelVersion"
    ) -> tuple[str, bool]:
        """Check a version; gives what is wrong, and whether the model is."""
        results = outcome.results
        try:
            lay_out_raw(
                self._root,
                each.file,
                results.raw,
                outcome.files.predictions,
                outcome.root,
                items=each.registry.verify_items,
            )
            verify_version(tracking, outcome, version, each.registry)
        except Missing as error:
            set_version_tag(tracking, version, VERIFIED, f"{UNVERIFIED}: {error}"[:1000])
            return f"version {version.version} is not verified: {error}", False
        except IntegrityError as error:
            return str(error), True
        return "", False


def _find_run(known: Known, tracking: Tracking, keys: RunKeys, *, dry_run: bool) -> "Run | None":
    """Find the complete run of a result; one of the very same result gets its key as well."""
    for run in known.with_key(keys.key):
        tags = run.data.tags
        if tags.get("dvc.model") == keys.model or confirmed_tag(keys.model) in tags:
            return run
    if known.with_key(keys.key):
        return None  # it confirms that run, which is to be told
    same = known.with_tags(
        {
            "dvc.params": keys.params,
            "dvc.data": keys.data,
            "dvc.model": keys.model,
            "dvc.metrics": keys.metrics,
        }
    )
    if same is not None and not dry_run:
        add_key(tracking, same, keys.key)
        same = tracking.client.get_run(same.info.run_id)
        known.note(same)
    return same


def _wants_version(each: PastResult, run: "Run") -> bool:
    return each.wants_version and run.data.tags.get("dvc.model") == each.keys.model


def _is_unverified(version: "ModelVersion") -> bool:
    return bool(version.tags.get(VERIFIED, UNVERIFIED).startswith(UNVERIFIED))


def _tell(
    each: PastResult,
    run: "Run",
    moved: bool,
    version: "ModelVersion | None",
    state: Any,
    *,
    made: bool = False,
) -> Synced:
    """Return what became of a run and its version."""
    is_other = run.data.tags.get("dvc.model") != each.keys.model
    word: Any = "made" if made else "confirmed" if is_other else "moved" if moved else "there"
    if version is None:
        return Synced(_KIND, run.info.run_name, each.file.commit.sha, word)
    text = version.tags.get(VERIFIED, "")
    note = f"version {version.version} {text}" if text.startswith(FAILED) else ""
    return Synced(
        _KIND,
        run.info.run_name,
        each.file.commit.sha,
        word,
        f"{version.name} {version.version}",
        state,
        note,
    )


def _named(each: PastResult, state: Any, *, note: str) -> Synced:
    name = each.experiment or each.keys.key[:_SHORT]
    return Synced(_KIND, name, each.file.commit.sha, state, note=note)


def _planned(each: PastResult, outcome: Outcome, run: "Run | None") -> Synced:
    version = each.registry.name if each.wants_version else ""
    return Synced(
        _KIND,
        outcome.name,
        each.file.commit.sha,
        "there" if run else "would be made",
        version,
        "would be made" if version else "",
    )
