"""Versions that contend: what the run of each keeps of how it was made."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.ground.files import read_json
from pipeline.ground.tables import read_table
from pipeline.track.connection import Tracking, probe
from pipeline.track.main_result import PREDICTIONS, SPLITS
from pipeline.track.runs import download
from pipeline.version.registry import MODEL
from pipeline.version.version_run import run_of

if TYPE_CHECKING:
    from pipeline.version.registry import ModelVersion

_BUNDLE = "results/bundle.json"
_SHOWN = 5
"""Classes that a message names."""


class Unfit(Exception):
    """A contest cannot be held; its text says why."""


@dataclass(frozen=True)
class Contender:
    """A version, and what its run keeps of how it was made."""

    uri: str
    number: str
    model: str
    bundle: dict[str, Any]
    trained: frozenset[str]
    """Ids of the items of train and val."""

    trained_groups: frozenset[str]

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names; none for a regression."""
        return tuple(self.bundle["classes"])


def read_contender(tracking: Tracking, version: "ModelVersion") -> Contender:
    """Read what a version's run keeps.

    Raises:
        Unfit: It is gone, or keeps too little.
    """
    number, name = str(version.version), version.name
    if MODEL not in version.tags or not version.run_id:
        raise Unfit(f"version {number} is not one that `publish` made")
    with tempfile.TemporaryDirectory() as scratch:
        bundle = read_json(_download(tracking, version, _BUNDLE, scratch))
        splits = read_table(_download(tracking, version, SPLITS, scratch))
    trained = splits[splits["split"] != "test"]
    return Contender(
        uri=f"models:/{name}/{number}",
        number=number,
        model=version.tags[MODEL],
        bundle=bundle,
        trained=frozenset(trained["id"]),
        trained_groups=frozenset(trained["group"].dropna()),
    )


def read_test_items(tracking: Tracking, version: "ModelVersion") -> pd.DataFrame:
    """Return the rows of predictions.parquet of the test split, by id, with their `group`.

    Raises:
        Unfit: The run does not keep them.
    """
    with tempfile.TemporaryDirectory() as scratch:
        table = read_table(_download(tracking, version, PREDICTIONS, scratch))
        splits = read_table(_download(tracking, version, SPLITS, scratch))
    groups = splits.drop_duplicates("id").set_index("id")["group"]
    table = table[table["split"] == "test"].sort_values(["id", "path"])
    return table.assign(group=table["id"].map(groups)).reset_index(drop=True)


def _download(tracking: Tracking, version: "ModelVersion", path: str, folder: str) -> Path:
    run = run_of(tracking.client, version)
    run_id = run.info.run_id if run else str(version.run_id)
    found = download(tracking.client, run_id, path, Path(folder))
    if found is None:
        probe(tracking.uri)
        raise Unfit(
            f"the run of version {version.version} does not keep {path}, so what it was trained on "
            "is not known"
        )
    return found


def check_same_task(candidate: Contender, champion: Contender) -> None:
    """Refuse two that do not answer the same question.

    Raises:
        Unfit: Task, target or class names differ; the order of the classes does not matter.
    """
    for key in ("task", "target"):
        ours, theirs = candidate.bundle.get(key), champion.bundle.get(key)
        if ours != theirs:
            raise Unfit(f"the {key} is {ours!r}, and that of the champion is {theirs!r}")
    if set(candidate.classes) != set(champion.classes):
        more = sorted(set(candidate.classes) - set(champion.classes))
        less = sorted(set(champion.classes) - set(candidate.classes))
        raise Unfit(
            f"the classes differ: only the candidate has {_names(more)}, only the champion "
            f"{_names(less)}"
        )


def _names(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    shown = ", ".join(map(repr, names[:_SHOWN])) or "none"
    return f"{shown} and {rest} more" if rest > 0 else shown
