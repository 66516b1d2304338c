"""What MLflow has already, by experiment: read once, so that what is there costs nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pipeline.track.connection import (
    Tracking,
    configure,
    connect,
    has_database,
    probe,
    tracking_uri,
    translated_errors,
)
from pipeline.track.runs import all_runs, is_complete

if TYPE_CHECKING:
    from mlflow.entities import Run

State = Literal["there", "made", "moved", "ended", "confirmed", "missing", "would be made"]
"""`moved`: it was there, and now names the commit that records it; `ended`: it was there, said to
be running, and its training is dead; `confirmed`: another run shows the same inputs."""


@dataclass(frozen=True)
class Synced:
    """What became of one thing.

    Attributes:
        kind: `result`, `journal`, `search`, `alias`, or the name of a side branch.
        name: Of the run, or what there is of a name.
        commit: That records it; empty where none does.
        version: `<registered model> <number>`; empty where there is none.
        version_state: As `state`; empty where there is to be no version.
        note: What cannot be had, and what to do; empty where nothing is wrong.
        is_wrong: Whether a registered model does not predict what was evaluated.
    """

    kind: str
    name: str
    commit: str
    state: State
    version: str = ""
    version_state: State | Literal[""] = ""
    note: str = ""
    is_wrong: bool = False


@dataclass
class Known:
    """One experiment: the way to it, and its complete runs.

    Attributes:
        tracking: None in a dry run, where there is no such experiment.
        runs: By id.
    """

    tracking: Tracking | None
    runs: "dict[str, Run]" = field(default_factory=dict)

    def with_key(self, key: str) -> "list[Run]":
        """Return the complete runs that have a `dvc.key`."""
        return [run for run in self.runs.values() if key in run.data.tags["dvc.keys"].split()]

    def with_tags(self, tags: Mapping[str, str]) -> "Run | None":
        """Return a complete run that has these tags."""
        for run in self.runs.values():
            if all(run.data.tags.get(name) == value for name, value in tags.items()):
                return run
        return None

    def note(self, run: "Run") -> None:
        """Take up what became of a run."""
        self.runs[run.info.run_id] = run


class Servers:
    """The experiments of the tracking server, each opened at its first use.

    Args:
        dry_run: Make nothing, neither database nor experiment.
    """

    def __init__(self, *, dry_run: bool) -> None:
        self._dry_run = dry_run
        self._known: dict[str, Known] = {}

    def at(self, experiment: str) -> Known:
        """Return what is known of an experiment.

        Raises:
            TrackingError: The server is away.
        """
        if experiment not in self._known:
            tracking = _peek(experiment) if self._dry_run else connect(experiment)
            known = Known(tracking)
            if tracking is not None:
                with translated_errors(tracking.uri):
                    known.runs = {run.info.run_id: run for run in read_runs(tracking)}
            self._known[experiment] = known
        return self._known[experiment]


def read_runs(tracking: Tracking) -> "list[Run]":
    """Return all complete runs of the experiment that have keys, oldest first."""
    runs = all_runs(
        tracking.client,
        [tracking.experiment_id],
        "tags.`dvc.keys` LIKE '%'",
        order_by=["attributes.start_time ASC"],
    )
    return [run for run in runs if is_complete(run)]


def _peek(experiment: str) -> Tracking | None:
    """Return the way to an experiment, where it is there."""
    uri = tracking_uri()
    configure()
    probe(uri)
    if not has_database(uri):
        return None
    from mlflow import MlflowClient

    with translated_errors(uri):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        found = client.get_experiment_by_name(experiment)
    return Tracking(client, uri, str(found.experiment_id)) if found else None
