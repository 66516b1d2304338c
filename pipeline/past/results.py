"""Results that commits record, brought to MLflow by the code that publishes the present one."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.ground.errors import IntegrityError, PipelineError
from pipeline.keys.keys import RunKeys
from pipeline.past.layout import CODE, Missing, lay_out, lay_out_raw
from pipeline.past.recorded import PastResult, files_of
from pipeline.past.servers import Known, Servers, Synced
from pipeline.past.versions import raise_number
from pipeline.publish import Publication
from pipeline.repo.history import is_recorded
from pipeline.track.commits import facts_of
from pipeline.track.connection import Tracking, publishing, translated_errors
from pipeline.track.main_result import STAGES, MainResult
from pipeline.track.result import Past
from pipeline.track.result_run import add_key, settle_run
from pipeline.track.runs import confirmed_tag, move_commit
from pipeline.version.package import served_of
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
                result = self._lay_out(each, folder)
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
                return _planned(each, result, run)
            with publishing():
                return self._publish(each, result, known, known.tracking)

    def _lay_out(self, each: PastResult, folder: Path) -> MainResult:
        """Return the result as files in a folder.

        Raises:
            PipelineError: It cannot be had.
        """
        files = files_of(each.file)
        lay_out(self._root, each.file, files.made, folder, further=files.sources)
        commit = each.file.commit
        is_whole = is_recorded(self._root, commit.sha, each.file.lock, STAGES)
        code = folder / CODE
        past = Past(
            root=folder,
            git=facts_of(self._root, commit, is_dirty=not is_whole),
            time_ms=each.time_ms,
            experiment=each.experiment,
            is_committed=each.is_committed,
            code=code if served_of(code).exists() else None,
        )
        return MainResult(files, past)

    def _publish(
        self, each: PastResult, result: MainResult, known: Known, tracking: Tracking
    ) -> Synced:
        before, publication = set(known.runs), Publication(tracking, result, each.registry)
        run = settle_run(tracking, result)
        known.note(run)
        is_new = run.info.run_id not in before
        if not publication.is_registered(run):
            return _tell(each, run, is_new, None, "there", made=is_new)
        version = publication.find_version()
        is_there, note, is_wrong = version is not None, "", False
        if version is None:
            wanted = self._numbers.get(each.registry.name, {}).get(each.keys.model, 0)
            version = publication.register(run)
            version = raise_number(tracking, version, wanted)
            publication.keep_splits(version)
        try:
            self._lay_out_raw(each, result)
            publication.verify(version)
        except Missing as error:
            set_version_tag(tracking, version, VERIFIED, f"{UNVERIFIED}: {error}"[:1000])
            note = f"version {version.version} is not verified: {error}"
        except IntegrityError as error:
            note, is_wrong = str(error), True

        found = _tell(each, run, False, version, "there" if is_there else "made", made=is_new)
        return replace(found, note=note or found.note, is_wrong=is_wrong)

    def _lay_out_raw(self, each: PastResult, result: MainResult) -> None:
        """Bring the raw files that a check needs.

        Raises:
            Missing: One of them is not to be had.
        """
        lay_out_raw(
            self._root,
            each.file,
            result.results.raw,
            result.files.predictions,
            result.root,
            items=each.registry.verify_items,
        )


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


def _planned(each: PastResult, result: MainResult, run: "Run | None") -> Synced:
    version = each.registry.name if each.wants_version else ""
    return Synced(
        _KIND,
        result.name,
        each.file.commit.sha,
        "there" if run else "would be made",
        version,
        "would be made" if version else "",
    )
