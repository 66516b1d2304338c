"""The result of a side branch, from which one run is made, and what is nested in it.

A side branch is a folder with a dvc.yaml of its own, whose stage of the same name makes the result.
The key is made of what that stage read, as the folder's dvc.lock has it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.ground.files import sha256_json
from pipeline.keys.keys import deps_key
from pipeline.repo.lock import GRAPH, LOCK, PARAMS, Lock
from pipeline.track.connection import Tracking
from pipeline.track.nested import Nested
from pipeline.track.result import Past, Result
from pipeline.track.runs import Point, metric_points, utc

if TYPE_CHECKING:
    from mlflow.entities import Run

_MODEL = "model.safetensors"


@dataclass(kw_only=True, eq=False)
class BranchResult(Result):
    """One result of a side branch.

    Attributes:
        kind: Name of the folder, of its stage, and of the kind of run.
        outs: File names of the outs that say which result it is, by their tags.
        metrics: What the run's metrics are, nested.
        describe: Gives the run's description, by the key.
        files: Go into the artifact folder `results`.
        plots: A folder; it becomes the artifact folder `plots`.
        compared: By name in MLflow, the metrics by which this result is told from another one of
            the same inputs.
        difference: What the largest difference of these is called.
        further: Tags that no other kind of result has.
        nest: Gives the nested runs, by the time in ms.
    """

    kind: str
    lock: Lock
    past: Past | None
    outs: Mapping[str, str]
    decisive: str
    metrics: Mapping[str, Any]
    describe: Callable[[str], str]
    files: tuple[Path, ...]
    plots: Path
    compared: Mapping[str, float]
    difference: str
    further: Mapping[str, str] = field(default_factory=dict)
    nest: Callable[[int], Sequence[Nested]] = lambda _: ()
    model: str = ""

    @property
    def stages(self) -> tuple[str, ...]:
        """The one that makes it."""
        return (self.kind,)

    @property
    def lock_file(self) -> Path:
        """That of its folder."""
        return Path(self.kind) / LOCK

    @cached_property
    def identity(self) -> Mapping[str, str]:
        """The params, and the outs that say which result it is."""
        outs = {tag: self.lock.out(self.kind, name) for tag, name in self.outs.items()}
        return {"dvc.params": sha256_json(self.params), **outs}

    @cached_property
    def params(self) -> Mapping[str, Any]:
        """The params of the branch, and those that made what it reads."""
        main = self.root / LOCK
        before = Lock.read(main).all_params(without="publish") if main.exists() else {}
        return before | self.lock.params(self.kind)

    @property
    def own_tags(self) -> Mapping[str, str]:
        """The kind, and what only this kind has."""
        return {"kind": self.kind, **self.further}

    @property
    def name(self) -> str:
        """A readable name for its run: the kind stands first."""
        return f"{self.kind}-{super().name}"

    @property
    def note(self) -> str:
        """The description of its run."""
        return self.describe(self.key)

    def key_of(self, lock: Lock) -> str:
        """Return the key of what a lock file of the branch records."""
        return deps_key(lock.deps(self.kind), lock.params(self.kind))

    def points(self, *, start_ms: int, end_ms: int) -> list[Point]:
        """Return its metrics."""
        return metric_points(self.metrics, time_ms=end_ms)

    def nested(self, time_ms: int) -> Sequence[Nested]:
        """Return the runs nested in its run."""
        return self.nest(time_ms)

    def compare(self, tracking: Tracking, run: "Run") -> dict[str, Any] | None:
        """Return the largest difference of a metric; None where the run shows this result."""
        if self.is_shown_by(run):
            return None
        old = run.data.metrics
        gaps = [abs(value - old[name]) for name, value in self.compared.items() if name in old]
        return {
            self.decisive: self.identity[self.decisive],
            self.difference: max(gaps, default=None),
            "date": utc(self.end_ms),
        }

    def artifacts(self) -> Mapping[str, Path]:
        """Return the files under `results`, and `plots`."""
        return {f"results/{path.name}": path for path in self.files} | {"plots": self.plots}

    def lineage(self) -> Sequence[Path]:
        """Return params, graphs and lock files."""
        folder = Path(self.kind)
        return (Path(PARAMS), Path(GRAPH), Path(LOCK), folder / GRAPH, folder / LOCK)


def read_branch_lock(kind: str, past: Past | None) -> Lock:
    """Read the dvc.lock of a side branch, in the folder of its name.

    Raises:
        ParamsError: It is missing or damaged.
    """
    return Lock.read((past.root if past else Path()) / kind / LOCK)


def model_digest(kind: str, lock: Lock) -> str:
    """Return the digest of the model that a branch read, which its run has as `dvc.model`."""
    found = [md5 for path, md5 in lock.deps(kind).items() if Path(path).name == _MODEL]
    return found[0] if found else ""
