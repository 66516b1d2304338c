"""The main result: what `publish` brings to MLflow, gathered from the files that the stages wrote.

Nothing here is slow: an unchanged result is gathered in a moment.
"""

import csv
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.ground.errors import DataError
from pipeline.ground.files import canonical_json, read_json
from pipeline.ground.tables import read_table, write_table
from pipeline.judge.tolerance import tolerance
from pipeline.keys.journal import Record, journal_path, read_journal
from pipeline.keys.keys import RunKeys, run_keys
from pipeline.model.promise import flat, promise
from pipeline.repo.lock import GRAPH, PARAMS, Lock
from pipeline.track.connection import Tracking
from pipeline.track.describe import describe_run, experiment_name
from pipeline.track.result import REPRO, Input, Past, Result
from pipeline.track.runs import Point, curve_points, download, metric_points, utc

if TYPE_CHECKING:
    from mlflow.entities import Run

log = logging.getLogger(__name__)

PREDICTIONS = "results/predictions.parquet"
"""Place of predictions.parquet among a run's artifacts."""

SPLITS = "results/splits.parquet"
"""Place, among a run's artifacts, of `id`, `split` and `group` of every item that was used."""

STAGES = ("train", "evaluate")
"""Whose code and params make a result."""


@dataclass(frozen=True)
class ResultFiles:
    """Where the stages left what is published, relative to the root of the repository."""

    lock: Path
    raw: Path
    manifest: Path
    report: Path
    page: Path
    """The cleaning report for people."""
    normalization: Path
    record: Path
    model: Path
    bundle: Path
    history: Path
    metrics: Path
    predictions: Path
    plots: tuple[Path, ...]
    """Folders, each `<stage>/plots`."""
    recipe: Path | None = None
    """What was chosen by trying; None in results of before there was a stage `recipe`."""
    candidates: Path | None = None
    """What was tried."""
    kept: Path | None = None
    """What training kept, and by which numbers."""

    @property
    def made(self) -> tuple[Path, ...]:
        """All that stages wrote."""
        given = {"lock", "raw", "plots"}
        single = (getattr(self, each.name) for each in fields(self) if each.name not in given)
        return (*filter(None, single), *self.plots)

    @property
    def sources(self) -> tuple[Path, ...]:
        """What may say where the raw data comes from: a dvc.yaml beside it, or a `.dvc` file."""
        data = self.raw.parent
        return (data / "dvc.lock", data / "dvc.yaml", data / f"{self.raw.name}.dvc")

    def under(self, root: Path) -> "ResultFiles":
        """Return the same paths under a folder."""
        paths = {each.name: getattr(self, each.name) for each in fields(self)}
        single = {name: root / path for name, path in paths.items() if isinstance(path, Path)}
        return replace(self, **single, plots=tuple(root / each for each in self.plots))


class MainResult(Result):
    """One result: its keys, numbers and surroundings.

    Args:
        results: Where its files lie, relative to the repository.
        past: Where the repository is meant as it was; None: as it is, in the working directory.

    Attributes:
        files: `results` where they really lie.

    Raises:
        ParamsError: dvc.lock is missing, damaged or unfinished.
        DataError: A file is missing.
        IntegrityError: A file is damaged.
    """

    decisive = "dvc.model"
    stages = STAGES

    def __init__(self, results: ResultFiles, past: Past | None = None) -> None:
        self.results, self.past = results, past
        self.files = results.under(self.root)
        self.lock = Lock.read(self.files.lock)
        self.keys: RunKeys = run_keys(self.lock)
        self.training = self.keys.train
        self.metrics: dict[str, Any] = read_json(self.files.metrics)
        self.bundle: dict[str, Any] = read_json(self.files.bundle)
        self.record: dict[str, Any] = read_json(self.files.record)
        self.report: dict[str, Any] = read_json(self.files.report)

    @property
    def lock_file(self) -> Path:
        """dvc.lock."""
        return self.results.lock

    @cached_property
    def params(self) -> dict[str, Any]:
        """The params of all stages but `publish`, and what stages chose by the data."""
        params = self.lock.all_params(without="publish")
        chosen: dict[str, Any] = {}
        if self.files.recipe is not None:
            chosen |= read_json(self.files.recipe)["choices"]
        if self.files.kept is not None:
            kept = read_json(self.files.kept)
            chosen |= {"train.epochs": kept["epochs"]}
            chosen |= {f"kept.{name}": value for name, value in kept["kept"].items()}
        told = self.bundle.get("privacy")
        private = {"privacy": flat(told)} if told else {}
        return params | ({"chosen": chosen} if chosen else {}) | private

    def key_of(self, lock: Lock) -> str:
        """Return the `dvc.key` of what a lock file records."""
        return run_keys(lock).key

    @cached_property
    def journal(self) -> Record | None:
        """The training's journal; None in a clone that pulled or restored the result."""
        try:
            return read_journal(journal_path(self.keys.train))
        except DataError:
            return None

    @property
    def is_experiment(self) -> bool:
        """Whether it is known from a `dvc exp` only."""
        return not self.past.is_committed if self.past else experiment_name() is not None

    @property
    def start_ms(self) -> int | None:
        """When training began, or when the commit was made; None where neither is known."""
        return self.journal.start_ms if self.journal else super().start_ms

    @property
    def end_ms(self) -> int | None:
        """When training ended, or when the commit was made; None where neither is known."""
        return (self.journal.end_ms if self.journal else None) or super().end_ms

    @property
    def note(self) -> str:
        """The description of its run."""
        return describe_run(self.params, self.metrics, key=self.key)

    @property
    def weights_sha256(self) -> str:
        """The sha256 of the pretrained weights; `none` for a random start."""
        return str(self.record.get("sha256") or "none")

    @property
    def identity(self) -> dict[str, str]:
        """The tags that say which result this is, other than its keys."""
        return {
            "dvc.params": self.keys.params,
            "dvc.data": self.keys.data,
            "dvc.model": self.keys.model,
            "dvc.metrics": self.keys.metrics,
            "weights.sha256": self.weights_sha256,
        }

    @property
    def own_tags(self) -> dict[str, str]:
        """What only the run of a model has."""
        return {
            "review": _count_decisions(self.report),
            "weights.source": str(self.record.get("source", "")),
            "dvc.train": self.keys.train,
            "fingerprint": self.fingerprint,
            **({"privacy": promise(told)} if (told := self.bundle.get("privacy")) else {}),
        }

    @property
    def ece_bins(self) -> int:
        """The bins behind the calibration error."""
        return int(self.params["evaluate"]["ece_bins"])

    @property
    def fingerprint(self) -> str:
        """What decided the bits of the result, as JSON."""
        return canonical_json(self.bundle.get("fingerprint", {}))

    def points(self, *, start_ms: int, end_ms: int) -> list[Point]:
        """Return metrics.json, and history.csv at the times of the journal where it has them.

        Args:
            start_ms: Where there is no journal, epoch e is said to have ended e ms after this.
            end_ms: Of the training.
        """
        epochs = self.journal.epochs if self.journal else ()
        times = {each.epoch: each.time_ms for each in epochs}
        curve = curve_points(_read_history(self.files.history), start_ms=start_ms, times=times)
        return [*curve, *metric_points(self.metrics, time_ms=end_ms)]

    def inputs(self) -> list[Input]:
        """Return raw data, weights and store, with DVC's own digests."""
        outs = [
            Input(use, path, md5)
            for use, stage in (("weights", "weights"), ("store", "transform"))
            for path, md5 in self.lock.outs(stage).items()
        ]
        return [Input("raw", self.results.raw.as_posix(), self.keys.data), *outs]

    def compare(self, tracking: Tracking, run: "Run") -> dict[str, Any] | None:
        """Return how another training of the same inputs differs; None where it is this one.

        Where it came to the same model, the journal tells: it ends after the run did.
        """
        is_same = self.is_shown_by(run)
        ended_ms = self.journal.end_ms if self.journal else None
        if is_same and (ended_ms is None or ended_ms <= (run.info.end_time or ended_ms)):
            return None
        largest: float | None = 0.0
        told = "the model is equal to the bit"
        if not is_same:
            limit = tolerance(self.bundle)
            largest = self._largest_difference(tracking, run)
            is_close = largest is not None and largest <= limit
            told = f"predictions within {limit:g}: {'yes' if is_close else 'no'}"
            if not is_close:
                log.warning("trained again, and %s: largest difference %s", told, largest)
        return {
            "dvc.model": self.keys.model,
            "date": utc(self.end_ms),
            "fingerprint": self.bundle.get("fingerprint", {}),
            "largest_difference": largest,
            "comparison": told,
        }

    def _largest_difference(self, tracking: Tracking, run: "Run") -> float | None:
        """Compare predictions with those that the run keeps; None where they cannot be compared."""
        with tempfile.TemporaryDirectory() as name:
            path = download(tracking.client, run.info.run_id, PREDICTIONS, Path(name))
            if path is None:
                return None
            old = read_table(path).set_index("path")
        new = read_table(self.files.predictions).set_index("path")
        columns = [name for name in new.columns if name == "value" or name.startswith("p_")]
        if set(old.index) != set(new.index) or not set(columns) <= set(old.columns):
            return None
        gaps = new[columns].to_numpy(np.float64) - old.loc[new.index, columns].to_numpy(np.float64)
        return float(np.max(np.abs(gaps), initial=0.0))

    def lineage(self) -> list[Path]:
        """Return params, graph and lock file, and those of the raw data."""
        return [Path(PARAMS), Path(GRAPH), self.results.lock, *self.results.sources]

    def artifacts(self) -> dict[str, Path]:
        """Return what the run shows under `results` and `plots`."""
        files = self.files
        shown = (
            files.report,
            files.page,
            files.normalization,
            files.record,
            files.bundle,
            files.history,
            files.metrics,
            files.recipe,
            files.candidates,
            files.kept,
        )
        plots = {f"plots/{each.parent.name}": each for each in files.plots if each.is_dir()}
        return {
            **{f"results/{path.name}": path for path in shown if path},
            PREDICTIONS: files.predictions,
            **plots,
        }

    def copy_files(self, folder: Path) -> None:
        """Copy what a run keeps as artifacts, and write which item was in which part."""
        super().copy_files(folder)
        self.write_splits(folder / SPLITS)

    def write_splits(self, path: Path) -> None:
        """Write which item was in which part, so that no later contest scores what was trained on.

        Raises:
            DataError: The manifest is missing.
            IntegrityError: It is damaged.
        """
        manifest = read_table(self.files.manifest)
        kept = manifest.loc[manifest["status"] == "kept", ["id", "split", "group"]]
        write_table(path, kept.sort_values(["id", "split"]).reset_index(drop=True))


def _count_decisions(report: Mapping[str, Any]) -> str:
    """Return how many items people decided on; empty where they did on none."""
    items = report.get("review", {}).get("items", {})
    return ", ".join(f"{action} {count}" for action, count in items.items() if count)


def _read_history(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
    except FileNotFoundError as error:
        raise DataError(path, "no such file", remedy=REPRO) from error
