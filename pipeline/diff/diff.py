"""Two manifests side by side: what a change of the data added, took away and altered.

Items are the same by path. If a path is gone and its bytes turn up elsewhere, the item was renamed.
Splits are compared by bytes alone: whatever the paths are, nothing that was trained on may be
tested on.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.manifest.manifest import DROPPED, KEPT, META, QUARANTINED, SPLITS, STATUSES
from pipeline.modality.facts import facts, modality_of

REPEATS = ("duplicate", "near_duplicate_of")
"""Reasons of dropped rows that another item makes superfluous."""

_SHOWN = ("path", "id", "label", "split", "status", "reason")
"""Columns that are told of an item, and after them the facts of its modality."""


@dataclass(frozen=True)
class Snapshot:
    """What `clean` made of the data at one time."""

    name: str
    """As people call it, such as `HEAD` or `working tree`."""

    commit: str | None
    manifest: pd.DataFrame
    settings: Mapping[str, Any]
    """The params that `clean` ran with, by section."""

    originals: Mapping[str, str]
    """For dropped rows that repeat another item, as far as known: path -> the other's path."""


@dataclass(frozen=True)
class _Matched:
    """Rows of two manifests: those of the same items, and what is left on either side."""

    pairs: pd.DataFrame
    """Every column with `_old` and with `_new`; `how` is same, changed or renamed."""
    added: pd.DataFrame
    removed: pd.DataFrame


def compare_snapshots(old: Snapshot, new: Snapshot) -> dict[str, Any]:
    """Compare two snapshots; return JSON values, with lists sorted by path and all keys present.

    `relabeled`, `status_changed` and `moved` are about items of both sides; one item may be in
    several lists.
    """
    before, after = _same_columns(old.manifest, new.manifest)
    matched = _match(before, after)
    params = _changed_settings(old.settings, new.settings)
    moved = _moved(before, after, params)
    own = tuple(facts(modality_of(after.columns)).columns)
    return {
        "from": {"name": old.name, "commit": old.commit},
        "to": {"name": new.name, "commit": new.commit},
        "items": {"old": len(before), "new": len(after)},
        "status": {name: _both(before, after, "status", name) for name in STATUSES},
        "splits": {name: _both(before, after, "split", name) for name in SPLITS},
        "classes": _classes(before, after) if _has_classes(old, new) else {},
        "params": params,
        "added": _records(matched.added, (*_SHOWN, *own)),
        "removed": _records(matched.removed, (*_SHOWN, *own)),
        "changed": _changed(matched.pairs, (*_SHOWN[1:], *own)),
        "renamed": _renamed(matched.pairs),
        "relabeled": _relabeled(matched.pairs, own),
        "status_changed": _status_changed(matched.pairs),
        "quarantined": _new_quarantines(matched),
        "repeats": _repeats(matched, before, after, new.originals),
        "columns": _changed_columns(matched.pairs),
        "compared": len(_kept_twice(before, after)),
        "moved": moved,
    }


def _same_columns(old: pd.DataFrame, new: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both the columns of either; a label file may have gained or lost some."""
    names = list(dict.fromkeys([*old.columns, *new.columns]))
    return old.reindex(columns=names), new.reindex(columns=names)


def _match(old: pd.DataFrame, new: pd.DataFrame) -> _Matched:
    """Pair rows by path; pair the rest by bytes, the n-th here with the n-th there."""
    at_place = _join(old, new, "path")
    at_place["how"] = "same"
    at_place.loc[_differ(at_place["id_old"], at_place["id_new"]), "how"] = "changed"
    gone, come = _without(old, new["path"]), _without(new, old["path"])
    renamed = _join(_numbered(gone), _numbered(come), "number")
    renamed["how"] = "renamed"
    pairs = pd.concat([at_place, renamed.drop(columns="number")], ignore_index=True)
    return _Matched(
        pairs.sort_values("path_new", kind="stable", ignore_index=True),
        _without(come, renamed["path_new"]),
        _without(gone, renamed["path_old"]),
    )


def _without(table: pd.DataFrame, paths: pd.Series) -> pd.DataFrame:
    known = set(paths.tolist())  # many times faster than `isin` on strings
    return table[np.array([path not in known for path in table["path"].tolist()], dtype=bool)]


def _join(old: pd.DataFrame, new: pd.DataFrame, key: str) -> pd.DataFrame:
    """Join on one column; all others, and `path`, are there twice."""
    left = old.add_suffix("_old").assign(**{key: old[key]})
    right = new.add_suffix("_new").assign(**{key: new[key]})
    joined = left.merge(right, on=key)
    return joined if key == "number" else joined.drop(columns=key)


def _numbered(table: pd.DataFrame) -> pd.DataFrame:
    """Number the rows of each id; rows without one (missing files) match nothing."""
    known = table[table["id"].notna()].sort_values("path")
    number = known.groupby("id").cumcount().astype("str") + " " + known["id"].astype("str")
    return known.assign(number=number)


def _differ(old: pd.Series, new: pd.Series) -> pd.Series:
    """Return where two columns differ; two missing values are equal."""
    first, second = old.astype("object"), new.astype("object")
    return ~((first == second) | (first.isna() & second.isna()))


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _records(table: pd.DataFrame, names: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = table[list(names)].sort_values("path").itertuples(index=False, name=None)
    return [dict(zip(names, map(_plain, row), strict=True)) for row in rows]


def _side(row: Mapping[Any, Any], side: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _plain(row[f"{name}_{side}"]) for name in names}


def _changed(pairs: pd.DataFrame, names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"path": row["path_new"], "old": _side(row, "old", names), "new": _side(row, "new", names)}
        for row in pairs[pairs["how"] == "changed"].to_dict("records")
    ]


def _renamed(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"path": row["path_new"], "old_path": row["path_old"], "id": row["id_new"]}
        for row in pairs[pairs["how"] == "renamed"].to_dict("records")
    ]


def _relabeled(pairs: pd.DataFrame, own: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = pairs[_differ(pairs["label_old"], pairs["label_new"])]
    return [
        {
            "path": row["path_new"],
            "id": _plain(row["id_new"]),
            "old": _plain(row["label_old"]),
            "new": _plain(row["label_new"]),
            "split": _plain(row["split_new"]),
            "bytes": row["how"],
        }
        | _side(row, "new", own)
        for row in rows.to_dict("records")
    ]


def _status_changed(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    differs = _differ(pairs["status_old"], pairs["status_new"])
    rows = pairs[differs | _differ(pairs["reason_old"], pairs["reason_new"])]
    return [
        {
            "path": row["path_new"],
            "old": _side(row, "old", ("status", "reason")),
            "new": _side(row, "new", ("status", "reason")),
        }
        for row in rows.to_dict("records")
    ]


def _new_quarantines(matched: _Matched) -> dict[str, list[str]]:
    """Return the paths by reason: new items, and old ones that were not so before."""
    pairs = matched.pairs
    turned = pairs[
        (pairs["status_new"] == QUARANTINED)
        & ((pairs["status_old"] != QUARANTINED) | _differ(pairs["reason_old"], pairs["reason_new"]))
    ]
    come = matched.added[matched.added["status"] == QUARANTINED]
    found: dict[str, list[str]] = {}
    for path, reason in (
        *zip(turned["path_new"], turned["reason_new"], strict=True),
        *zip(come["path"], come["reason"], strict=True),
    ):
        found.setdefault(str(reason), []).append(str(path))
    return {reason: sorted(found[reason]) for reason in sorted(found)}


def _repeats(
    matched: _Matched, old: pd.DataFrame, new: pd.DataFrame, originals: Mapping[str, str]
) -> list[dict[str, Any]]:
    """List new items that were dropped because another item shows the same.

    `of` is that item's path, None where it is not known; `of_old` whether it was there before.
    """
    pairs = matched.pairs
    columns = ["path", "status", "reason"]
    changed = pairs[pairs["how"] == "changed"][[f"{name}_new" for name in columns]]
    rows = pd.concat([matched.added[columns], changed.set_axis(columns, axis=1)])
    rows = rows[(rows["status"] == DROPPED) & rows["reason"].isin(REPEATS)].sort_values("path")
    if rows.empty:
        return []
    ids = dict(zip(new["path"].tolist(), new["id"].tolist(), strict=True))
    known_paths, known_ids = set(old["path"].tolist()), set(old["id"].dropna().tolist())
    repeats = []
    for path, reason in zip(rows["path"], rows["reason"], strict=True):
        of = originals.get(path)
        of_old = None if of is None else of in known_paths or ids.get(of) in known_ids
        repeats.append({"path": path, "reason": reason, "of": of, "of_old": of_old})
    return repeats


def _changed_columns(pairs: pd.DataFrame) -> dict[str, int]:
    """Count items whose other columns of the label file changed."""
    names = [name.removesuffix("_new") for name in pairs.columns if name.endswith("_new")]
    counts = {
        name: int(_differ(pairs[f"{name}_old"], pairs[f"{name}_new"]).sum())
        for name in names
        if name in ("group", "weight") or name.startswith(META)
    }
    return {name: n for name, n in counts.items() if n}


def _both(old: pd.DataFrame, new: pd.DataFrame, column: str, value: str) -> dict[str, int]:
    return {"old": int((old[column] == value).sum()), "new": int((new[column] == value).sum())}


def _has_classes(old: Snapshot, new: Snapshot) -> bool:
    return "regression" not in (old.settings.get("task"), new.settings.get("task"))


def _classes(old: pd.DataFrame, new: pd.DataFrame) -> dict[str, dict[str, dict[str, int]]]:
    """Count kept items: label -> split -> old and new."""
    before, after = (_count_classes(table) for table in (old, new))
    labels = sorted({label for label, _ in (*before, *after)})
    return {
        label: {
            split: {"old": before[label, split], "new": after[label, split]} for split in SPLITS
        }
        for label in labels
    }


def _count_classes(table: pd.DataFrame) -> Counter[tuple[str, str]]:
    kept = table[table["status"] == KEPT]
    return Counter(zip(kept["label"].tolist(), kept["split"].tolist(), strict=True))


def _changed_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    before, after = _flat(old), _flat(new)
    return {
        name: {"old": before.get(name), "new": after.get(name)}
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _kept_twice(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Return what is kept on both sides, by its bytes."""
    columns = ["id", "path", "split", "group"]
    before, after = (
        table[table["status"] == KEPT][columns].drop_duplicates("id") for table in (old, new)
    )
    return before.merge(after, on="id", suffixes=("_old", "_new"))


def _moved(
    old: pd.DataFrame, new: pd.DataFrame, params: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    both = _kept_twice(old, new)
    rows = both[_differ(both["split_old"], both["split_new"])].sort_values("path_new")
    dealt = ", ".join(
        f"{name} {change['old']} -> {change['new']}"
        for name, change in params.items()
        if name.startswith("split.")
    )
    regrouped = _differ(rows["group_old"], rows["group_new"])
    return [
        {
            "path": path,
            "id": each,
            "old": before,
            "new": after,
            "why": "its group changed" if is_regrouped else dealt or "its given split changed",
        }
        for path, each, before, after, is_regrouped in zip(
            rows["path_new"],
            rows["id"],
            rows["split_old"],
            rows["split_new"],
            regrouped,
            strict=True,
        )
    ]
