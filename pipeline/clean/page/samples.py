"""Which items a person gets to see of a data set: few of each kind, chosen by rules alone.

Samples are those with the lowest ids, so that an added item changes few of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd

from pipeline.ground.params import Task
from pipeline.manifest.manifest import DROPPED, FORGOTTEN, KEPT
from pipeline.modality.facts import facts, modality_of

PER_REASON = 12
"""Items shown for each reason."""

_SAMPLES = 48
_PER_CLASS = 8
_PAIRS = 12
_PER_CONFLICT = 3
_BESIDE = ("duplicate", "near_duplicate_of")
"""Reasons that are shown beside the item that stayed, and not by themselves."""

_COMMON = ("path", "label", "split", "status", "reason", "detail")

Row = dict[str, Any]
"""A row of the judged table by column; what is missing is None."""


@dataclass(frozen=True)
class Reason:
    """Items that are not kept for one reason, the first of them to be shown."""

    code: str
    status: str
    n: int
    shown: tuple[Row, ...]


@dataclass(frozen=True)
class Near:
    """Two items that look alike, as near_duplicates.parquet tells."""

    sides: tuple[Row, Row]
    """`split` is the one before anything was dropped."""
    is_dropped: tuple[bool, bool]
    correlation: float
    turn: str
    """What is done to the first to get the second; `none`."""
    has_two_labels: bool
    """Of classes; numbers may differ."""

    @property
    def is_across(self) -> bool:
        """Return whether the two were in different splits."""
        return bool(self.sides[0].get("split") != self.sides[1].get("split"))


@dataclass(frozen=True)
class Showcase:
    """What the page shows, and how much of it there is in all."""

    samples: dict[str, tuple[Row, ...]]
    """By class; for regression under one empty name, by rising value."""
    reasons: tuple[Reason, ...]
    duplicates: tuple[tuple[Row, Row], ...]
    """The item that stayed, and one that repeats it."""
    duplicates_in_all: int
    conflicts: tuple[tuple[Row, ...], ...]
    """Items of the same pixels and other labels; alone where the label file contradicts itself."""
    conflicts_in_all: int
    near: tuple[Near, ...]
    near_in_all: int

    @property
    def is_one_gallery(self) -> bool:
        """Whether samples stand together, each with its label, not class by class."""
        return "" in self.samples or all(len(rows) == 1 for rows in self.samples.values())

    def rows(self) -> Iterator[Row]:
        """Yield all rows that are shown, the most telling first; some come twice."""
        yield from chain.from_iterable(self.conflicts)
        yield from chain.from_iterable(pair.sides for pair in self.near)
        yield from chain.from_iterable(self.duplicates)
        yield from chain.from_iterable(reason.shown for reason in self.reasons)
        yield from chain.from_iterable(self.samples.values())


def choose(table: pd.DataFrame, task: Task, near: pd.DataFrame | None = None) -> Showcase:
    """Choose what is shown.

    Args:
        table: The judged table, sorted by path: the manifest's columns, detail and content_hash.
        task: Says whether labels are classes.
        near: Near-duplicates, one pair a row: columns path_a, path_b, correlation, turn, split_a,
            split_b, label_a, label_b, dropped (none, a, b or both); None where they were not
            looked for.
    """
    duplicates, duplicates_in_all = _duplicates(table)
    conflicts, conflicts_in_all = _conflicts(table)
    return Showcase(
        samples=_samples(table, task),
        reasons=tuple(_reasons(table)),
        duplicates=duplicates,
        duplicates_in_all=duplicates_in_all,
        conflicts=conflicts,
        conflicts_in_all=conflicts_in_all,
        near=() if near is None else tuple(_near(table, near, task)),
        near_in_all=0 if near is None else len(near),
    )


def rows_of(table: pd.DataFrame) -> tuple[Row, ...]:
    """Return rows of the judged table."""
    wanted = (*_COMMON, *facts(modality_of(table.columns)).columns)
    names = [name for name in wanted if name in table.columns]
    return tuple(
        {name: None if pd.isna(value) else value for name, value in zip(names, row, strict=True)}
        for row in table[names].itertuples(index=False, name=None)
    )


def _samples(table: pd.DataFrame, task: Task) -> dict[str, tuple[Row, ...]]:
    is_kept = table["status"] == KEPT
    if task == "regression":
        kept = table.loc[is_kept, ["label", "id"]]  # all columns of few rows alone
        order = kept.astype({"label": "float64"}).sort_values(["label", "id"]).index
        places = [round(place * (len(order) - 1) / (_SAMPLES - 1)) for place in range(_SAMPLES)]
        return {"": rows_of(table.loc[order[sorted(set(places))]])}
    by_id = table["id"].array.argsort(kind="stable")
    kept = table["label"].iloc[by_id[is_kept.to_numpy()[by_id]]]
    labels = sorted(set(kept))
    each = max(1, min(_PER_CLASS, _SAMPLES // len(labels)))
    n = min(_SAMPLES, len(labels))
    shown = [labels[place * len(labels) // n] for place in range(n)]
    picked = table.loc[kept.groupby(kept).head(each).index]
    return {label: rows_of(picked[picked["label"] == label]) for label in shown}


def _reasons(table: pd.DataFrame) -> Iterator[Reason]:
    """Yield the reasons: quarantined before dropped, frequent before rare."""
    lost = table[table["status"] != KEPT]
    groups = [(status, code, rows) for (status, code), rows in lost.groupby(["status", "reason"])]
    for status, code, rows in sorted(groups, key=lambda g: (g[0] == DROPPED, -len(g[2]), g[1])):
        is_beside = code in (*_BESIDE, "conflict", FORGOTTEN)
        shown = () if is_beside else rows_of(rows.head(PER_REASON))
        yield Reason(str(code), str(status), len(rows), shown)


def _duplicates(table: pd.DataFrame) -> tuple[tuple[tuple[Row, Row], ...], int]:
    dropped = table[table["reason"] == "duplicate"]
    key = "content_hash"
    is_original = (table["status"] == KEPT) & table[key].isin(dropped[key])
    originals = table.loc[is_original, key].drop_duplicates()
    places = dict(zip(originals, originals.index, strict=True))
    matched = dropped[dropped[key].isin(places)].drop_duplicates(key)[:_PAIRS]
    left = table.loc[[places[each] for each in matched[key]]]
    return tuple(zip(rows_of(left), rows_of(matched), strict=True)), len(dropped)


def _conflicts(table: pd.DataFrame) -> tuple[tuple[tuple[Row, ...], ...], int]:
    lost = table[table["reason"] == "conflict"]
    groups = [rows for _, rows in lost.groupby("content_hash", sort=False)]
    shown = (rows.drop_duplicates("label").head(_PER_CONFLICT) for rows in groups[:_PAIRS])
    return tuple(map(rows_of, shown)), len(groups)


def _near(table: pd.DataFrame, pairs: pd.DataFrame, task: Task) -> Iterator[Near]:
    """Yield the most telling pairs: with two labels, across splits, the closest."""
    two_labels = (pairs["label_a"] != pairs["label_b"]) & (task == "classification")
    ranked = pairs.assign(two_labels=two_labels, across=pairs["split_a"] != pairs["split_b"])
    ranked = ranked.sort_values(
        ["two_labels", "across", "correlation", "path_a", "path_b"],
        ascending=[False, False, False, True, True],
    )[:_PAIRS]
    named = table[table["path"].isin({*ranked["path_a"], *ranked["path_b"]})]
    rows = {row["path"]: row for row in rows_of(named)}
    for pair in ranked.to_dict("records"):
        first, second = (
            {
                **rows.get(pair[f"path_{side}"], {}),
                "path": pair[f"path_{side}"],
                "label": pair[f"label_{side}"],
                "split": pair[f"split_{side}"],
            }
            for side in "ab"
        )
        gone = pair["dropped"]
        yield Near(
            sides=(first, second),
            is_dropped=(gone in ("a", "both"), gone in ("b", "both")),
            correlation=float(pair["correlation"]),
            turn=str(pair["turn"]),
            has_two_labels=bool(pair["two_labels"]),
        )
