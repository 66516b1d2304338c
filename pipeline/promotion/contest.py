"""Candidate against champion, on the same test items, each by its own code in its own process.

The items are those of the candidate's test split, by the predictions that its run keeps. What
either version had in its train or val part, or in the same group as something there, is left out:
it would be judged on what it learned. Both predict the rest from its raw bytes, through their own
bundles; two versions in one process would share the first one's code.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.ground.errors import DataError, IntegrityError
from pipeline.ground.files import sha256_json
from pipeline.judge import paired
from pipeline.judge.paired import Items
from pipeline.judge.resampling import Bootstrap
from pipeline.modality.table import read_modality
from pipeline.promotion.contender import (
    Contender,
    Unfit,
    check_same_task,
    read_contender,
    read_test_items,
)
from pipeline.promotion.gates import GateReport, Measured, judge_alone, judge_paired
from pipeline.track.connection import Tracking, probe
from pipeline.version.params import GateParams, RegistryParams
from pipeline.version.verify import ask, choose_items, output_columns, own_files

if TYPE_CHECKING:
    from pipeline.version.registry import ModelVersion

_TIMED = 21
_RULES = tuple(GateParams.model_fields)


@dataclass(frozen=True)
class Arena:
    """Where a contest is held, and by which rules."""

    tracking: Tracking
    params: RegistryParams
    raw: Path
    """The raw folder, as the candidate's test split was made from."""

    ece_bins: int


@dataclass(frozen=True)
class Finding:
    """How a contest ended."""

    is_passed: bool
    reason: str
    """Of the refusal, or what was better; empty where nothing had to hold."""

    evidence: dict[str, Any]


class Contest:
    """A contest that can be held, before anything was predicted.

    Args:
        arena: Where.
        candidate: The version that wants to be champion.
        champion: The one that is; None where there is none.

    Raises:
        Unfit: A run is gone or does not keep what is needed, the tasks or classes differ, or too
            few items are left.
    """

    def __init__(
        self, arena: Arena, candidate: "ModelVersion", champion: "ModelVersion | None"
    ) -> None:
        self._arena = arena
        self._candidate = read_contender(arena.tracking, candidate)
        self._champion = read_contender(arena.tracking, champion) if champion else None
        self._split = read_test_items(arena.tracking, candidate)
        self._items = self._split
        self._left_out: dict[str, int] = {}
        if self._champion:
            check_same_task(self._candidate, self._champion)
            self._leave_out([self._candidate, self._champion])
            self._items = choose_items(self._items, arena.params.max_items)

    def _leave_out(self, contenders: Sequence[Contender]) -> None:
        ids = frozenset[str]().union(*(each.trained for each in contenders))
        groups = frozenset[str]().union(*(each.trained_groups for each in contenders))
        is_item = self._split["id"].isin(ids)
        is_group = self._split["group"].isin(groups) & ~is_item
        self._left_out = {"items": int(is_item.sum()), "of_groups": int(is_group.sum())}
        self._items = self._split[~is_item & ~is_group]
        least = self._arena.params.min_items
        if len(self._items) < least:
            raise Unfit(
                f"{len(self._items)} of {len(self._split)} test items are left that neither saw in "
                f"training ({self._left_out['items']} were in train or val of one, "
                f"{self._left_out['of_groups']} more in a group of it): registry.min_items asks "
                f"for {least}"
            )

    @cached_property
    def test(self) -> dict[str, Any]:
        """What the contest is held on: digests over ids and labels, and counts."""
        return {
            "split": _digest(self._split),
            "split_items": len(self._split),
            "compared": _digest(self._items),
            "items": len(self._items),
            "left_out": self._left_out,
        }

    def hold(self) -> Finding:
        """Predict, compare and judge.

        Raises:
            Unfit: One of the two cannot predict.
            DataError: Raw files are not there.
            IntegrityError: Raw files differ from those that were evaluated.
        """
        params = self._arena.params
        if self._champion is None:
            scores = paired.score(self._scored(), self._known_outputs())
            measured = self._measure()
            verdict = judge_alone(params, scores, measured)
            return self._finding(verdict, measured, {"scores": scores})
        outputs, measured = self._predict_both(self._champion)
        gains = paired.compare(
            self._scored(),
            *outputs,
            confidence=params.confidence,
            bootstrap=Bootstrap(params.bootstrap, params.seed, self._scored().groups_N),
        )
        verdict = judge_paired(params, gains, measured)
        found = {name: asdict(gain) for name, gain in gains.items()}
        return self._finding(verdict, measured, {"gains": found})

    def _finding(self, verdict: GateReport, measured: Measured, found: dict[str, Any]) -> Finding:
        evidence = {"gates": verdict.as_json(), "measured": asdict(measured), **found}
        return Finding(verdict.is_passed, verdict.reason, evidence)

    def _scored(self) -> Items:
        classes = self._candidate.classes
        labels = self._items["label"]
        if classes:
            places = {name: number for number, name in enumerate(classes)}
            targets = labels.map(places).to_numpy(np.int64)
        else:
            targets = labels.to_numpy(np.float64)
        # as evaluation numbers them: an item without a group is its own
        groups = self._items["group"].where(
            self._items["group"].notna(), "item\0" + self._items["path"]
        )
        numbers = pd.factorize(groups)[0].astype(np.int64)
        return Items(targets, numbers, classes, self._arena.ece_bins)

    def _known_outputs(self) -> np.ndarray:
        """Return what evaluation found, which `verify` has checked."""
        return self._items[output_columns(self._candidate.bundle)].to_numpy(np.float64)

    def _measure(self) -> Measured:
        """Measure the candidate alone, if a bound asks for it."""
        params = self._arena.params
        if params.max_bytes is None and params.max_latency_ms is None:
            return Measured()
        with tempfile.TemporaryDirectory(prefix="rootstock-contest-") as name:
            folder = Path(name).resolve()
            paths = self._own_files(self._items.head(_TIMED), folder)
            answer = self._ask(self._candidate, paths, folder / "candidate")
        return Measured(answer["bytes"], answer["latency_ms"])

    def _predict_both(self, champion: Contender) -> tuple[tuple[np.ndarray, np.ndarray], Measured]:
        with tempfile.TemporaryDirectory(prefix="rootstock-contest-") as name:
            folder = Path(name).resolve()
            paths = self._own_files(self._items, folder)
            new = self._ask(self._candidate, paths, folder / "candidate")
            old = self._ask(champion, paths, folder / "champion")
        names = output_columns(self._candidate.bundle)
        outputs = (
            _outputs(self._candidate, new["rows"], names, self._items["path"]),
            _outputs(champion, old["rows"], names, self._items["path"]),
        )
        return outputs, Measured(new["bytes"], new["latency_ms"])

    def _own_files(self, table: pd.DataFrame, folder: Path) -> list[str]:
        try:
            modality = read_modality(self._candidate.bundle)
            return own_files(table, self._arena.raw, folder, modality)
        except (DataError, IntegrityError) as error:
            raise type(error)(
                self._arena.raw,
                f"has not the test items of version {self._candidate.number}: {error}",
                remedy="check out the commit of that version, and run `dvc checkout`",
            ) from error

    def _ask(self, who: Contender, paths: list[str], folder: Path) -> dict[str, Any]:
        folder.mkdir()
        uri = self._arena.tracking.uri
        environment = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri}
        alone = _TIMED if self._arena.params.max_latency_ms is not None else 0
        try:
            return ask(who.uri, paths, environment, folder, alone=alone)
        except IntegrityError as error:
            probe(uri)  # a server that went away says nothing of the model
            raise Unfit(str(error)) from error


def rules(params: RegistryParams) -> dict[str, Any]:
    """Return the params that decide a contest."""
    return {name: value for name, value in params.model_dump().items() if name in _RULES}


def _outputs(
    who: Contender, rows: Sequence[Mapping[str, Any]], columns: list[str], paths: "pd.Series[str]"
) -> np.ndarray:
    failed = [k for k, row in enumerate(rows) if row.get("error") or None in map(row.get, columns)]
    if failed:
        raise Unfit(
            f"version {who.number} cannot predict {len(failed)} of {len(rows)} test items, first "
            f"{paths.iloc[failed[0]]}: {rows[failed[0]].get('error')}"
        )
    return np.array([[row[name] for name in columns] for row in rows], dtype=np.float64)


def _digest(table: pd.DataFrame) -> str:
    """Return the digest of ids and labels, whatever their order."""
    pairs = zip(table["id"], table["label"], strict=True)
    return sha256_json(sorted([str(item), str(label)] for item, label in pairs))
