"""What gets a run in MLflow: one result, as files of stages, and a lock file that records them.

It lies in the working tree, or, when it is one of the past, in a folder made of the commit that
records it. There are two kinds: the main result (`main_result`), and that of a side branch
(`branch_result`). `result_run` makes the run of either.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.ground.errors import DataError
from pipeline.repo.lock import AUDIT, Lock
from pipeline.track.commits import GitFacts, git_facts
from pipeline.track.connection import Tracking
from pipeline.track.describe import experiment_name, run_name
from pipeline.track.nested import Nested
from pipeline.track.runs import Point

if TYPE_CHECKING:
    from mlflow.entities import Run

REPRO = "run `dvc repro`"


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


@dataclass(frozen=True)
class Input:
    """What a result was made from: its use, its path, and DVC's digest of it."""

    context: str
    path: str
    md5: str


class Result(ABC):
    """One result.

    Attributes:
        lock: What its lock file records.
        past: Where the repository is meant as it was; None: the working directory, as it is.
        decisive: The tag of its `identity` that differs where the result does.
        training: `dvc.train` of the run that is streamed while it is made; empty where none is.
        model: `dvc.model` of the run that its run is nested in; empty for a run beside all others.
    """

    lock: Lock
    past: Past | None
    decisive: str
    training = ""
    model = ""

    @property
    @abstractmethod
    def stages(self) -> tuple[str, ...]:
        """Whose code and params make it; each lock file of its key has the deps of the first."""

    @property
    @abstractmethod
    def lock_file(self) -> Path:
        """Its lock file, relative to the root of the repository."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """The tags that say which result this is, other than its key."""

    @property
    @abstractmethod
    def params(self) -> Mapping[str, Any]:
        """The params that made it, and those that made what it reads."""

    @property
    @abstractmethod
    def own_tags(self) -> Mapping[str, str]:
        """Tags that only this kind of result has; those without text are left out."""

    @property
    @abstractmethod
    def note(self) -> str:
        """The description of its run."""

    @abstractmethod
    def key_of(self, lock: Lock) -> str:
        """Return the key of the result of this kind that a lock file records.

        Raises:
            ParamsError: A stage has not run.
        """

    @abstractmethod
    def points(self, *, start_ms: int, end_ms: int) -> list[Point]:
        """Return its numbers, of a run that began and ended then."""

    @abstractmethod
    def compare(self, tracking: Tracking, run: "Run") -> dict[str, Any] | None:
        """Return how it differs from a run of the same inputs; None where the run shows it."""

    @abstractmethod
    def artifacts(self) -> Mapping[str, Path]:
        """Return place among the run's artifacts -> file, or folder that may be missing."""

    @abstractmethod
    def lineage(self) -> Iterable[Path]:
        """Return what says how it was made, relative to the root; some may be missing."""

    def nested(self, time_ms: int) -> Sequence[Nested]:
        """Return the runs nested in its run, of a result that was made then."""
        return ()

    def inputs(self) -> Sequence[Input]:
        """Return what its run names as its data."""
        return ()

    @property
    def root(self) -> Path:
        """The root of the repository, as it is or was."""
        return self.past.root if self.past else Path()

    @cached_property
    def key(self) -> str:
        """What names it by its inputs."""
        return self.key_of(self.lock)

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
    def name(self) -> str:
        """A readable name for its run."""
        return self.experiment or run_name(self.params, self.key)

    @property
    def start_ms(self) -> int | None:
        """When it was begun, or its commit made; None where neither is known."""
        return self.past.time_ms if self.past else None

    @property
    def end_ms(self) -> int | None:
        """When it was made, or its commit; None where neither is known."""
        return self.past.time_ms if self.past else None

    def is_shown_by(self, run: "Run") -> bool:
        """Return whether a run is of this very result, not of another one of the same inputs."""
        return bool(run.data.tags.get(self.decisive) == self.identity[self.decisive])

    def tags(self) -> dict[str, str]:
        """Return all tags of a new run but the last one, that it is complete."""
        tags = {"dvc.key": self.key, "dvc.keys": self.key, "mlflow.source.name": "dvc repro"}
        tags |= {**self.identity, **self.own_tags}
        tags |= {"mlflow.runName": self.name, "mlflow.note.content": self.note}
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

    def copy_files(self, folder: Path) -> None:
        """Copy what a run keeps as artifacts: lineage, results, plots.

        Raises:
            DataError: A file is missing.
        """
        for path in self.lineage():
            if (self.root / path).exists():
                _copy(self.root / path, folder / "lineage" / path)
        if self.git and self.git.diff:
            (folder / "lineage" / "git-diff-HEAD.patch").write_bytes(self.git.diff)
        for place, path in self.artifacts().items():
            _copy(path, folder / place)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
        return
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise DataError(source, "no such file", remedy=REPRO) from error
