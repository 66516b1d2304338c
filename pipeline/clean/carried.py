"""What raw items tell of people, places and machines: counted by kind, never quoted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.clean.kept_probes import KeptProbes
from pipeline.ground.errors import DataError
from pipeline.manifest.manifest import KEPT, SPLITS
from pipeline.modality.types.protocols import Reader

COLUMNS = ("path", "kinds")
"""Of the table of all items that carry something."""


class Carrier(NamedTuple):
    """An item that carries something."""

    row: int
    """Of the table."""

    kinds: Sequence[tuple[str, int]]


def carriers(table: pd.DataFrame, probes: KeptProbes) -> Iterator[Carrier]:
    """Yield the items that carry something, in the table's order.

    Args:
        table: Column sketch: the places of the probes, as `tabulate` gives them.
        probes: Of the items that were opened.
    """
    places = table["sketch"].to_numpy()
    rows = np.full(len(probes), -1, dtype=np.int64)
    rows[places[places >= 0]] = np.flatnonzero(places >= 0)
    for place, kinds in probes.carries():
        if rows[place] >= 0:
            yield Carrier(int(rows[place]), kinds)


def carried_section(
    table: pd.DataFrame, probes: KeptProbes, reader: Reader, policy: str
) -> dict[str, Any]:
    """Return what the report says: items by kind and split; all values in JSON's types.

    Args:
        table: Columns path, status, split, sketch; judged.
        probes: Of the items that were opened.
        reader: Of their modality.
        policy: `clean.metadata`.
    """
    splits = table["split"].where(table["status"] == KEPT, "not_kept").to_numpy(dtype=object)
    paths = table["path"].array
    items, in_all = 0, Counter[str]()
    counts: dict[str, Counter[str]] = {}
    first: dict[str, str] = {}
    for row, kinds in carriers(table, probes):
        items += 1
        for kind, n in kinds:
            counts.setdefault(kind, Counter())[str(splits[row])] += 1
            in_all[kind] += n
            first.setdefault(kind, str(paths[row]))
    return {
        "policy": policy,
        "items": items,
        "share": _share(items, len(table)),
        "kinds": {
            kind: {
                "items": counts[kind].total(),
                "share": _share(counts[kind].total(), len(table)),
                "times": in_all[kind],
                "splits": {split: counts[kind][split] for split in (*SPLITS, "not_kept")},
                "first": first[kind],
            }
            for kind in reader.carried
            if kind in counts
        },
    }


def _share(n: int, of: int) -> float:
    return round(n / max(1, of), 6)


def carried_warnings(section: dict[str, Any], reader: Reader) -> list[str]:
    """Return what people should be told where items lead to a person, a place or a machine."""
    personal = {kind: each for kind, each in section["kinds"].items() if kind in reader.personal}
    if not personal:
        return []
    named = ", ".join(f"{kind} in {each['items']}" for kind, each in personal.items())
    first = min(each["first"] for each in personal.values())
    return [
        f"items tell of people, places or machines: {named}; first: {first!r} "
        "(`rootstock data strip` writes a copy without; of texts, with --texts mask)"
    ]


def refuse_carriers(table: pd.DataFrame, probes: KeptProbes, reader: Reader, *, where: str) -> None:
    """Stop where any item carries something, kept or not: the raw folder has it.

    Raises:
        DataError: One does; kinds are counted, and the first item is named.
    """
    counts: Counter[str] = Counter()
    found = list(carriers(table, probes))
    if not found:
        return
    for each in found:
        counts.update(kind for kind, _ in each.kinds)
    named = ", ".join(f"{kind} {counts[kind]}" for kind in reader.carried if counts[kind])
    first = table["path"].iloc[found[0].row]
    raise DataError(
        where,
        f"{len(found)} of {len(table)} items carry what clean.metadata: refuse does not allow: "
        f"{named}; first: {first!r}",
        remedy=f"`rootstock data strip {where} OUT` writes a copy without, of texts with "
        "--texts mask; or set clean.metadata to report",
    )
