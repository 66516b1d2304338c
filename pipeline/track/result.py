"""What there is to publish: one result, gathered from the files that the stages wrote.

It lies in the working tree, or, when it is one of the past, in a folder made of the commit that
records it. Nothing here knows MLflow, and nothing here is slow: an unchanged result is gathered in
a moment.
"""

import csv
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.ground.errors import DataError
from pipeline.ground.files import canonical_json, read_json
from pipeline.ground.tables import read_table, write_table
from pipeline.keys.journal import Record, journal_path, read_journal
from pipeline.keys.lock import GRAPH, PARAMS, Lock, RunKeys, run_keys
from pipeline.keys.recorded import AUDIT
from pipeline.track.commits import GitFacts, git_facts
from pipeline.track.describe import experiment_name, run_name
from pipeline.track.runs import Point, metric_name

PREDICTIONS = "results/predictions.parquet"
"""Place of predictions.parquet among a run's artifacts."""

SPLITS = "results/splits.parquet"
"""Place, among a run's artifacts, of `id`, `split` and `group` of every item that was used."""

_REPRO = "run `dvc repro`"


@dataclass(frozen=True)
class Results:
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

    def under(self, root: Path) -> "Results":
        """Return the same paths under a folder."""
        names = [field.name for field in fields(self) if field.name != "plots"]
        single = {name: root / getattr(self, name) for name in names}
        return replace(self, **single, plots=tuple(root / each for each in self.plots))


@dataclass(frozen=True)
class Past:
    """Where a result of the past lies, and what its commit says.

    Attributes:
        root: A folder that holds the result's files at the paths they have in the repository.
        git: The commit that records it.
        time_ms: When that was made, in ms since 1970.
        experiment: The name of the `dvc exp` that made it; None where it was none.
        is_committed: Whether people committed it, be it after an experiment.
        code: The commit's `pipeline` package, to predict with; None: the present one.
    """

    root: Path
    git: GitFacts
    time_ms: int
    experiment: str | None
    is_committed: bool = True
    code: Path | None = None


class Outcome:
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

    def __init__(self, results: Results, past: Past | None = None) -> None:
        self.results, self.past = results, past
        self.root = past.root if past else Path()
        self.files = results.under(self.root)
        self.lock = Lock.read(self.files.lock)
        self.keys: RunKeys = run_keys(self.lock)
        self.metrics: dict[str, Any] = read_json(self.files.metrics)
        self.bundle: dict[str, Any] = read_json(self.files.bundle)
        self.record: dict[str, Any] = read_json(self.files.record)
        self.report: dict[str, Any] = read_json(self.files.report)
        self.params = self.lock.all_params(without="publish")

    @cached_property
    def journal(self) -> Record | None:
        """The training's journal; None in a clone that pulled or restored the result."""
        try:
            return read_journal(journal_path(self.keys.train))
        except DataError:
            return None

    @cached_property
    def git(self) -> GitFacts | None:
        """The commit of a result of the past, else the working tree; None without git."""
        if self.past:
            return self.past.git
        outs = sorted(self.lock.all_outs())
        ignores = {str(Path(out).parent / ".gitignore") for out in outs}  # DVC writes them
        return git_facts(Path(), written=[*outs, *sorted(ignores), AUDIT.as_posix()])

    @property
    def experiment(self) -> str | None:
        """The name of the `dvc exp` that made it; None where it was none."""
        return self.past.experiment if self.past else experiment_name()

    @property
    def is_experiment(self) -> bool:
        """Whether it is known from a `dvc exp` only."""
        return not self.past.is_committed if self.past else experiment_name() is not None

    @property
    def name(self) -> str:
        """A readable name for its run."""
        return self.experiment or run_name(self.params, self.keys.key)

    @property
    def start_ms(self) -> int | None:
        """When training began, or when the commit was made; None where neither is known."""
        if self.journal:
            return self.journal.start_ms
        return self.past.time_ms if self.past else None

    @property
    def end_ms(self) -> int | None:
        """When training ended, or when the commit was made; None where neither is known."""
        if self.journal and self.journal.end_ms:
            return self.journal.end_ms
        return self.past.time_ms if self.past else None

    @property
    def weights_sha256(self) -> str:
        """The sha256 of the pretrained weights; `none` for a random start."""
        return str(self.record.get("sha256") or "none")

    def identity(self) -> dict[str, str]:
        """Return the tags that say which result this is, other than its keys."""
        return {
            "dvc.params": self.keys.params,
            "dvc.data": self.keys.data,
            "dvc.model": self.keys.model,
            "dvc.metrics": self.keys.metrics,
            "weights.sha256": self.weights_sha256,
        }

    def tags(self) -> dict[str, str]:
        """Return all tags of a new run but the last one, that it is complete."""
        tags = {
            "review": _count_decisions(self.report),
            "weights.source": str(self.record.get("source", "")),
            "dvc.key": self.keys.key,
            "dvc.keys": self.keys.key,
            "dvc.train": self.keys.train,
            **self.identity(),
            "fingerprint": self.fingerprint,
            "mlflow.source.name": "dvc repro",
        }
        if self.git:
            tags |= {
                "git.commit": self.git.commit,
                "git.commit.provisional": "false" if self.past else "true",
                "git.branch": self.git.branch,
                "git.dirty": str(self.git.is_dirty).lower(),
                "git.remote": self.git.remote,
                "mlflow.source.git.commit": self.git.commit,
                "mlflow.user": self.git.author,
            }
        return {name: value for name, value in tags.items() if value}

    @property
    def ece_bins(self) -> int:
        """The bins behind the calibration error."""
        return int(self.params["evaluate"]["ece_bins"])

    @property
    def fingerprint(self) -> str:
        """What decided the bits of the result, as JSON."""
        return canonical_json(self.bundle.get("fingerprint", {}))

    def curve(self, *, start_ms: int) -> list[Point]:
        """Return history.csv as points, at the times of the journal where it has them.

        Args:
            start_ms: Where there is no journal, epoch e is said to have ended e ms after this.
        """
        times = (
            {epoch.epoch: epoch.time_ms for epoch in self.journal.epochs} if self.journal else {}
        )
        points = []
        for row in _read_history(self.files.history):
            epoch = int(row.pop("epoch"))
            time_ms = times.get(epoch, start_ms + epoch)
            points += [
                Point(metric_name(name), float(text), epoch, time_ms)
                for name, text in row.items()
                if text
            ]
        return points

    def copy_files(self, folder: Path) -> None:
        """Copy what a run keeps as artifacts: lineage, results, plots."""
        data = self.results.raw.parent
        lineage = [Path(PARAMS), Path(GRAPH), self.results.lock]
        sources = [data / "dvc.lock", data / "dvc.yaml", data / f"{self.results.raw.name}.dvc"]
        for path in [*lineage, *(each for each in sources if (self.root / each).exists())]:
            _copy(self.root / path, folder / "lineage" / path)
        if self.git and self.git.diff:
            (folder / "lineage" / "git-diff-HEAD.patch").write_bytes(self.git.diff)
        files = self.files
        for path in (
            files.report,
            files.page,
            files.normalization,
            files.record,
            files.bundle,
            files.history,
            files.metrics,
        ):
            _copy(path, folder / "results" / path.name)
        _copy(files.predictions, folder / PREDICTIONS)
        self.write_splits(folder / SPLITS)
        for plots in filter(Path.is_dir, files.plots):
            shutil.copytree(plots, folder / "plots" / plots.parent.name)

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
        raise DataError(path, "no such file", remedy=_REPRO) from error


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise DataError(source, "no such file", remedy=_REPRO) from error


def same_identity(outcome: Outcome, tags: Mapping[str, str]) -> bool:
    """Return whether a run's tags are of the same params, data, weights, model and metrics."""
    return all(tags.get(name) == value for name, value in outcome.identity().items())
