"""The distinct results among the lock files of the history."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pipeline.ground.errors import IntegrityError, PipelineError
from pipeline.keys.keys import RunKeys, run_keys
from pipeline.past.layout import paths_of
from pipeline.repo.history import LockFile
from pipeline.track.main_result import ResultFiles
from pipeline.version.params import RegistryParams

_MANIFEST = "manifest.parquet"


@dataclass(frozen=True)
class PastResult:
    """One distinct result: a key and the model that it came to.

    Attributes:
        file: The first lock file that people committed it with, else that of an experiment.
        time_ms: When it was first recorded.
        experiment: The experiment that first recorded it.
        is_committed: Whether people committed it.
        experiment_name: Of MLflow, as the commit's params have it.
        registry: Likewise, the registered model.
    """

    keys: RunKeys
    file: LockFile
    time_ms: int
    experiment: str | None
    is_committed: bool
    experiment_name: str
    registry: RegistryParams

    @property
    def wants_version(self) -> bool:
        """Whether `publish` would have registered it."""
        return self.is_committed or self.registry.from_experiments


def gather_results(
    files: Sequence[LockFile], registry: RegistryParams
) -> tuple[list[PastResult], list[str]]:
    """Return the distinct results of lock files, oldest first, and what is wrong with others.

    Args:
        files: Oldest first.
        registry: The present params, for what older ones do not have.
    """
    found: dict[tuple[str, str], PastResult] = {}
    faults = []
    for file in files:
        if not file.lock.command("evaluate"):  # the pipeline was not finished then
            continue
        try:
            each = _read(file, registry)
        except PipelineError as error:
            faults.append(str(error))
            continue
        first = found.get((each.keys.key, each.keys.model))
        if first is None:
            found[each.keys.key, each.keys.model] = each
        elif each.is_committed and not first.is_committed:
            found[each.keys.key, each.keys.model] = _committed_later(first, each)
    return list(found.values()), faults


def _read(file: LockFile, present: RegistryParams) -> PastResult:
    params = file.lock.params("publish")
    old: Mapping[str, Any] = params.get("registry") or {}
    kept = {name: old[name] for name in ("name", "metric", "from_experiments") if name in old}
    experiment = file.commit.experiment
    return PastResult(
        keys=run_keys(file.lock),
        file=file,
        time_ms=file.commit.time_ms,
        experiment=experiment,
        is_committed=experiment is None,
        experiment_name=str(params["tracking"]["experiment"]),
        registry=present.model_copy(update=kept),
    )


def _committed_later(first: PastResult, each: PastResult) -> PastResult:
    """Return what an experiment made first and people committed then."""
    return replace(each, time_ms=first.time_ms, experiment=first.experiment)


def files_of(file: LockFile) -> ResultFiles:
    """Return the paths that `publish` was run with at a commit.

    Raises:
        DataError: It has not run there.
        IntegrityError: It had other options, of an older version of the pipeline.
    """
    paths = paths_of(file, "publish")
    if "manifest" not in paths:  # an older pipeline, which had no contests
        for path in map(Path, file.lock.outs("clean")):
            if path.name == _MANIFEST:
                paths["manifest"] = path
    plots = tuple(path for name, path in paths.items() if name.endswith("_plots"))
    single = {name: path for name, path in paths.items() if not name.endswith("_plots")}
    known = {each.name for each in fields(ResultFiles)} - {"lock", "plots"}
    needed = {each.name for each in fields(ResultFiles) if each.default is MISSING} & known
    if not needed <= set(single) <= known:
        differ = [f"without {name}" for name in sorted(needed - set(single))]
        differ += [f"with {name}" for name in sorted(set(single) - known)]
        raise IntegrityError(
            file.where,
            f"is of another version of the pipeline: its `publish` runs {' and '.join(differ)}",
            remedy="check that commit out, and run `dvc repro` there",
        )
    return ResultFiles(lock=file.path, plots=plots, **single)
