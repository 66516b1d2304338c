"""A comparison of two manifests as one sheet of tiles: added, removed, relabeled, replaced."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.ground.limits import SHEET_LIMIT
from pipeline.modality.facts import facts
from pipeline.modality.files import files
from pipeline.modality.shown.showing import show
from pipeline.modality.shown.viewing import viewer
from pipeline.modality.types.protocols import Look

_SIDE_PX = 224
_NAME_CHARS = 23

Read = Callable[[str], bytes | None]
Row = Mapping[str, Any]


def write_sheet(
    path: Path, diff: Row, *, read_old: Read, read_new: Read, modality: str, look: Look
) -> None:
    """Draw what changed, at most `SHEET_LIMIT` items; each kind of change gets a share.

    Args:
        path: The file to write, with the suffix of the modality's sheets.
        diff: From `pipeline.diff.diff.compare`.
        read_old: Returns the bytes of a raw file as it was, or None: then a gray tile is drawn.
        read_new: Likewise, as it is.
        modality: Of the items.
        look: What is not decoded.
    """
    own = facts(modality).columns

    def tile(read: Read, name: str, row: Row) -> Any:
        # What could not be decoded is not tried again: nothing is known of it.
        is_read = all(row[each] is not None for each in own)
        return view.tile(read(name) if is_read else None, look, side_px=_SIDE_PX)

    view = viewer(modality)
    kinds: list[tuple[Sequence[Row], Callable[[Row], Sequence[Any]], Callable[[Row], str]]] = [
        (
            diff["moved"],
            lambda row: [view.tile(read_new(row["path"]), look, side_px=_SIDE_PX)],
            lambda row: f"MOVED {row['old']} to {row['new']}",
        ),
        (
            diff["relabeled"],
            lambda row: [tile(read_new, row["path"], row)],
            lambda row: f"label {_label(row['old'])} to\n{_label(row['new'])}",
        ),
        (
            diff["changed"],
            lambda row: [
                tile(read_old, row["path"], row["old"]),
                tile(read_new, row["path"], row["new"]),
            ],
            lambda _: "changed: before, now",
        ),
        (
            diff["added"],
            lambda row: [tile(read_new, row["path"], row)],
            lambda row: f"added {_fate(row)}",
        ),
        (
            diff["removed"],
            lambda row: [tile(read_old, row["path"], row)],
            lambda row: f"removed {_fate(row)}",
        ),
    ]
    quotas = _quotas([len(rows) for rows, _, _ in kinds], SHEET_LIMIT)
    cells = [
        (draw(row), f"{Path(row['path']).name[-_NAME_CHARS:]}\n{tell(row)}")
        for (rows, draw, tell), quota in zip(kinds, quotas, strict=True)
        for row in rows[:quota]
    ]
    total = sum(len(rows) for rows, _, _ in kinds)
    shown = f", shown are {len(cells)} of {total}" if len(cells) < total else ""
    title, empty = _title(diff) + shown, f"no {files(modality).NOUN[0]} changed"
    show(modality).write_sheet(path, cells, title=title, empty=empty)


def _title(diff: Row) -> str:
    names = ("moved", "relabeled", "changed", "added", "removed")
    counts = ", ".join(f"{name} {len(diff[name])}" for name in names if diff[name])
    return f"data {diff['from']['name']} to {diff['to']['name']}: {counts or 'no change'}"


def _label(value: str | None) -> str:
    return "none" if value is None else value


def _fate(row: Row) -> str:
    return f"{_label(row['label'])}\n{row['reason'] or row['split']}"


def _quotas(sizes: Sequence[int], limit: int) -> list[int]:
    """Divide places into equal shares; shares that are not needed go to the others."""
    quotas = [0] * len(sizes)
    while sum(quotas) < min(limit, sum(sizes)):
        for kind, size in enumerate(sizes):
            if quotas[kind] < size and sum(quotas) < limit:
                quotas[kind] += 1
    return quotas
