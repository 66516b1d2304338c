"""Items that are nearly the same: what belongs together, and what must go so that none leaks.

A cluster is what pairs connect whose labels agree. No cluster moves an item: where one stands in
several splits, its members outside the most protected split present (test, then val, then train)
are dropped. Where that would leave a class without any item in train, its clusters keep those in
train, and lose the others. A cluster within one split is only reported.

A pair whose labels differ connects nothing, wherever it stands, and is reported: either a label is
wrong, or what tells the two apart is small (a scratch, a stamp on a form). Such a pair across
splits cannot make a test figure too good: what is learned from the one is wrong for the other.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.ground.params import Task
from pipeline.manifest.manifest import SPLITS, TEXT, sorted_by_path
from pipeline.modality.types.alike import Alike, join_pairs
from pipeline.modality.types.params import NearPolicy
from pipeline.modality.types.protocols import Reader, Sketches
from pipeline.store.spill import MEMORY, Piece, Place

PAIR_COLUMNS = (
    "path_a",
    "path_b",
    "correlation",
    "turn",
    "split_a",
    "split_b",
    "label_a",
    "label_b",
    "dropped",
)
"""`turn`: what is done to a to get b. `dropped`: none, a, b or both."""

_FAR = 1.0
"""Numbers of a regression differ if they lie further apart, in standard deviations of all."""

_ASKED = 8
"""Protected members that a member without a link to any of them is compared with."""

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class NearRule:
    """What counts as nearly the same, and what follows."""

    policy: NearPolicy
    correlation: float
    search: Mapping[str, Any]
    """What else the modality's search asks for: `Reader.search`."""
    reader: Reader
    task: Task
    """Whether labels are class names or numbers."""


@dataclass(frozen=True)
class NearItem:
    """A row of the table, and why it is named."""

    row: Any
    """Its index in the table."""
    path: str
    split: str
    detail: str


@dataclass(frozen=True)
class NearDuplicates:
    """What was found among the kept items, and what has to go."""

    pairs: pd.DataFrame
    """`PAIR_COLUMNS`, sorted by path."""
    leaks: pd.DataFrame
    """Of `pairs`, those across splits with one label whose less protected member nobody wants
    kept."""
    doubtful: pd.DataFrame
    """Of `pairs`, those whose labels differ."""
    dropped: Sequence[NearItem]
    wanted: Sequence[NearItem]
    """What would be dropped, but for a person's word."""
    cluster_sizes: Ints
    """Of clusters of two members or more."""
    clusters_across: int
    """Clusters in several splits."""
    compared: int
    flat: int
    crowded: int
    leaks_left: int
    """Leaking pairs that a new search finds among the rows that stay."""


@dataclass(frozen=True)
class _Items:
    """The rows in path order, as arrays."""

    table: pd.DataFrame
    sketches: Sketches
    turns: Sequence[str]
    ranks: Ints
    """How protected an item's split is, as an index of `SPLITS`."""
    is_wanted: Bools
    labels: npt.NDArray[Any]
    """Numbers of classes, or the values of a regression."""
    tolerance: float
    """Labels that lie no further apart agree."""

    def search(self, rule: NearRule, rows: Ints) -> Alike:
        """Find pairs among some of the items."""
        width = self.tolerance or 1.0  # labels of one kind agree
        kinds = np.floor(self.labels / width).astype(np.int64)
        return self.sketches.find_alike(rows, kinds, correlation=rule.correlation, **rule.search)

    def is_leak(self, pairs: pd.DataFrame) -> Bools:
        """Return which pairs with one label stand in two splits, the lower not being wanted."""
        first, second = pairs["first"].to_numpy(), pairs["second"].to_numpy()
        lower = np.where(self.ranks[first] < self.ranks[second], first, second)
        is_across = self.ranks[first] != self.ranks[second]
        return np.asarray(is_across & ~self.is_wanted[lower] & ~self.is_doubtful(pairs))

    def is_doubtful(self, pairs: pd.DataFrame) -> Bools:
        """Return which pairs have labels that differ."""
        apart = self.labels[pairs["first"]] - self.labels[pairs["second"]]
        return np.asarray(np.abs(apart) > self.tolerance)


@dataclass(frozen=True)
class _Clusters:
    """What pairs connect."""

    number: Ints
    """Of each item's cluster."""
    top: Ints
    """Rank of the most protected split in each item's cluster."""
    is_exposed: Bools
    """Whether a more protected split has a member of the item's cluster."""


def find_near_duplicates(
    table: pd.DataFrame,
    rule: NearRule,
    is_wanted: pd.Series,
    spill: Place = MEMORY,
    *,
    pieces: Callable[[Iterable[Any]], Sequence[Piece]] = list,
) -> NearDuplicates:
    """Find what is nearly the same, and decide what goes: a function of the set of rows.

    Args:
        table: Columns path, label, split (none missing), sketch; rows in any order.
        rule: What counts.
        is_wanted: Rows that a person wants kept.
        spill: Where sketches lie meanwhile.
        pieces: Returns the bytes of sketches as the column has them.
    """
    table = sorted_by_path(table if rule.policy != "off" else table[:0])
    sketches = rule.reader.sketches(pieces(table["sketch"]), spill)
    items = _arrange(table.drop(columns="sketch"), rule, is_wanted, sketches)
    alike = items.search(rule, np.arange(len(items.ranks)))
    settled = _settle(items, rule, alike)
    if (protected := _untrained(items, settled[2], rule.task)).any():
        items = replace(items, ranks=np.where(protected, len(SPLITS), items.ranks))
        settled = _settle(items, rule, alike)
    alike, clusters, is_dropped, left = settled
    pairs = _pair_table(items, alike.pairs, is_dropped)
    sizes = np.bincount(_connect(alike.pairs, items.ranks).number)
    named = {each.row: each for each in _explain(items, alike.pairs, clusters)}
    index = items.table.index
    return NearDuplicates(
        pairs=pairs,
        leaks=pairs[items.is_leak(alike.pairs)],
        doubtful=pairs[items.is_doubtful(alike.pairs)],
        dropped=[named[row] for row in index[is_dropped]],
        wanted=[named[row] for row in index[clusters.is_exposed & items.is_wanted]],
        cluster_sizes=sizes[sizes > 1],
        clusters_across=len(set(clusters.number[clusters.is_exposed])),
        compared=len(items.ranks) - alike.flat,
        flat=alike.flat,
        crowded=alike.crowded,
        leaks_left=left,
    )


def _arrange(
    table: pd.DataFrame, rule: NearRule, is_wanted: pd.Series, sketches: Sketches
) -> _Items:
    ranks = {name: rank for rank, name in enumerate(SPLITS)}
    is_regression = rule.task == "regression"
    labels = table["label"].astype("float64") if is_regression else pd.factorize(table["label"])[0]
    values = np.asarray(labels, dtype=np.float64)
    return _Items(
        table=table,
        sketches=sketches,
        turns=rule.reader.turns,
        ranks=np.asarray(table["split"].map(ranks), dtype=np.int64),
        is_wanted=is_wanted.loc[table.index].to_numpy(bool),
        labels=values,
        tolerance=_FAR * float(values.std()) if is_regression and len(values) else 0.0,
    )


def _settle(items: _Items, rule: NearRule, alike: Alike) -> tuple[Alike, _Clusters, Bools, int]:
    """Drop until a new search among what stays finds no leak.

    One round is enough unless a search was cut short because items are crowded.
    """
    while True:
        clusters = _connect(alike.pairs[~items.is_doubtful(alike.pairs)], items.ranks)
        is_dropped = clusters.is_exposed & ~items.is_wanted
        if rule.policy != "drop":
            return alike, clusters, is_dropped & False, int(items.is_leak(alike.pairs).sum())
        # Where nothing goes, the same search among the same items would find the same.
        again = items.search(rule, np.flatnonzero(~is_dropped)) if is_dropped.any() else alike
        left = again.pairs[items.is_leak(again.pairs)]
        if left.empty:
            return alike, clusters, is_dropped, 0
        joined = join_pairs([alike.pairs, left])
        if len(joined) == len(alike.pairs):
            raise AssertionError(f"{len(left)} leaking pairs stay although they are known")
        alike = Alike(joined, alike.flat, alike.crowded)


def _untrained(items: _Items, is_dropped: Bools, task: Task) -> Bools:
    """Return which items are in train, and of a class that would lose all that it has there."""
    is_train = items.ranks == 0
    if task == "regression" or not is_dropped.any():
        return np.zeros(len(is_train), dtype=bool)
    trained = np.unique(items.labels[is_train & ~is_dropped])
    return np.asarray(is_train & ~np.isin(items.labels, trained), dtype=bool)


def _connect(pairs: pd.DataFrame, ranks: Ints) -> _Clusters:
    from scipy.sparse import coo_array  # slow to import
    from scipy.sparse.csgraph import connected_components

    n = len(ranks)
    ones = np.ones(len(pairs), dtype=np.int8)
    graph = coo_array((ones, (pairs["first"], pairs["second"])), shape=(n, n))
    count, number = connected_components(graph, directed=False) if n else (0, np.zeros(0, int))
    top = np.zeros(count, dtype=np.int64)
    np.maximum.at(top, number, ranks)
    return _Clusters(number.astype(np.int64), top[number], ranks < top[number])


def _pair_table(items: _Items, pairs: pd.DataFrame, is_dropped: Bools) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "correlation": pairs["correlation"].round(6),
        "turn": np.array(items.turns, dtype=object)[pairs["turn"]],
    }
    for side, name in (("a", "first"), ("b", "second")):
        rows = items.table.iloc[pairs[name]]
        columns |= {f"{each}_{side}": rows[each].to_numpy() for each in ("path", "split", "label")}
    gone = is_dropped[pairs["first"]] + 2 * is_dropped[pairs["second"]]
    columns["dropped"] = np.array(("none", "a", "b", "both"), dtype=object)[gone]
    types = dict.fromkeys((name for name in PAIR_COLUMNS if name != "correlation"), TEXT)
    return pd.DataFrame(columns)[list(PAIR_COLUMNS)].astype(types)


def _explain(items: _Items, pairs: pd.DataFrame, clusters: _Clusters) -> Iterator[NearItem]:
    """Name, for every exposed item, the closest member in its cluster's most protected split."""
    swapped = pairs.rename(columns={"first": "second", "second": "first"})
    links = pd.concat([pairs, swapped], ignore_index=True)
    links = links[~items.is_doubtful(links)]
    is_protected = items.ranks == clusters.top
    links = links[clusters.is_exposed[links["first"]] & is_protected[links["second"]]]
    closest = {
        first: (second, correlation)
        for first, second, correlation in links.sort_values(
            ["correlation", "second"], ascending=[True, False]
        )[["first", "second", "correlation"]].itertuples(index=False)
    }  # of several, the last and best one stays
    asked = _first_members(clusters, is_protected)
    paths, splits = items.table["path"].to_numpy(), items.table["split"].to_numpy()
    for row in map(int, np.flatnonzero(clusters.is_exposed)):
        is_linked = row in closest
        other, correlation = (
            closest[row] if is_linked else _best(items, row, asked[int(clusters.number[row])])
        )
        detail = f"{correlation:.4f} alike to {paths[other]} in {splits[other]}"
        yield NearItem(
            row=items.table.index[row],
            path=paths[row],
            split=splits[row],
            detail=detail if is_linked else f"{detail}, by way of others",
        )


def _first_members(clusters: _Clusters, is_protected: Bools) -> dict[int, Ints]:
    """Return some members of the most protected split, by the number of the cluster."""
    rows = np.flatnonzero(is_protected & (np.bincount(clusters.number) > 1)[clusters.number])
    frame = pd.DataFrame({"row": rows, "number": clusters.number[rows]})
    few = frame.groupby("number").head(_ASKED)
    return dict(few.groupby("number")["row"].agg(np.array))


def _best(items: _Items, row: int, others: Ints) -> tuple[int, float]:
    """Return the other item that correlates best."""
    values = items.sketches.likeness(row, others)
    return int(others[values.argmax()]), float(values.max())
