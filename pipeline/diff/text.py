"""A comparison of two manifests as text, for a terminal or a pull request: counts, short lists."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pipeline.manifest.manifest import SPLITS
from pipeline.raw.visible import visible

_LISTED = 5
_CLASSES = 20

Row = Mapping[str, Any]


def render_diff(diff: Row) -> str:
    """Return the result of `pipeline.diff.diff.compare` as text."""
    lines = [f"data: {_name(diff['from'])} -> {_name(diff['to'])}", "", *_splits(diff)]
    lines += ["", *_totals(diff)]
    lines += _params(diff["params"])
    lines += _classes(diff["classes"])
    lines += _section("added", diff["added"], _item, by=_place)
    lines += _section("removed", diff["removed"], _item, by=_place)
    lines += _section("other bytes at the same path", diff["changed"], _changed)
    lines += _section("renamed", diff["renamed"], _renamed)
    lines += _section("relabeled", diff["relabeled"], _relabeled, by=_relabeling)
    old = [row for row in diff["repeats"] if row["of_old"] is not False]
    lines += _section("new, and dropped: repeat what was there", old, _repeat)
    new = [row for row in diff["repeats"] if row["of_old"] is False]
    lines += _section("new, and dropped: repeat one another", new, _repeat)
    for reason, paths in diff["quarantined"].items():
        lines += _section(f"newly quarantined: {reason}", paths, visible)
    lines += _section("another status", diff["status_changed"], _status, by=_change_of_status)
    lines += _columns(diff["columns"])
    if not any(
        diff[name]
        for name in (
            "added",
            "removed",
            "changed",
            "renamed",
            "relabeled",
            "status_changed",
            "columns",
            "params",
        )
    ):
        lines += ["", "  nothing else changed"]
    return "\n".join([*lines, ""])


def moved_line(diff: Row) -> str:
    """Return one line on the items that changed their split; empty where none did."""
    if not diff["moved"]:
        return ""
    reasons = Counter(row["why"] for row in diff["moved"])
    named = "; ".join(f"{visible(why)} ({n:,})" for why, n in reasons.most_common())
    return f"{len(diff['moved']):,} of {diff['compared']:,} items changed their split: {named}"


def _name(side: Row) -> str:
    commit = f" ({side['commit'][:12]})" if side["commit"] else ""
    return f"{visible(side['name'])}{commit}"


def _splits(diff: Row) -> list[str]:
    if not diff["moved"]:
        return [f"  splits: none of {diff['compared']:,} items moved"]
    moves = Counter(f"{row['old']} -> {row['new']}" for row in diff["moved"])
    return [
        f"  !!! SPLITS MOVED: {moved_line(diff)}",
        "  !!! what was trained on may now be tested on; figures before and after do not compare",
        *_listed(diff["moved"], _move),
        f"      in all: {', '.join(f'{move} {n:,}' for move, n in moves.most_common())}",
    ]


def _move(row: Row) -> str:
    return f"{row['old']} -> {row['new']}  {visible(row['path'])}"


def _totals(diff: Row) -> list[str]:
    rows = [("items", diff["items"]), *diff["status"].items(), *diff["splits"].items()]
    table = [("", "before", "now", "")]
    table += [(name, f"{n['old']:,}", f"{n['new']:,}", _delta(n)) for name, n in rows]
    return _aligned(table)


def _params(params: Row) -> list[str]:
    if not params:
        return []
    table = [(name, f"{each['old']} -> {each['new']}") for name, each in params.items()]
    return ["", "  params of clean", *_aligned([tuple(map(visible, row)) for row in table], "    ")]


def _classes(classes: Row) -> list[str]:
    """Return kept items by class and split, changed classes first where there are many."""
    if not classes:
        return []
    names = list(classes)
    if len(names) > _CLASSES:
        names.sort(key=lambda name: -sum(abs(n["new"] - n["old"]) for n in classes[name].values()))
    table = [("", *(cell for split in SPLITS for cell in (split, "")))]
    for name in names[:_CLASSES]:
        counts = [classes[name][split] for split in SPLITS]
        cells = (cell for n in counts for cell in (f"{n['new']:,}", _delta(n)))
        table.append((visible(name), *cells))
    rest = len(names) - _CLASSES
    more = [f"    ... and {rest:,} more classes, changed less"] if rest > 0 else []
    return ["", "  kept, by class and split", *_aligned(table, "    "), *more]


def _columns(columns: Row) -> list[str]:
    if not columns:
        return []
    named = ", ".join(f"{visible(name)} {n:,}" for name, n in columns.items())
    return ["", f"  items with other values in other columns: {named}"]


def _section(
    title: str,
    rows: Sequence[Any],
    show: Callable[[Any], str],
    *,
    by: Callable[[Any], str] | None = None,
) -> list[str]:
    if not rows:
        return []
    counts = Counter(map(by, rows)) if by else {}
    parts = [f"{part} {n:,}" for part, n in sorted(counts.items(), key=lambda p: (-p[1], p[0]))]
    rest = f", {len(parts) - _LISTED:,} more" if len(parts) > _LISTED else ""
    named = f"  ({', '.join(parts[:_LISTED])}{rest})" if parts else ""
    return ["", f"  {title}: {len(rows):,}{named}", *_listed(rows, show)]


def _listed(rows: Sequence[Any], show: Callable[[Any], str]) -> list[str]:
    rest = len(rows) - _LISTED
    shown = [f"      {show(row)}" for row in rows[:_LISTED]]
    return [*shown, f"      ... and {rest:,} more"] if rest > 0 else shown


def _label(value: str | None) -> str:
    return "no label" if value is None else visible(value)


def _place(row: Row) -> str:
    return f"{_label(row['label'])} {row['split'] or row['status']}"


def _item(row: Row) -> str:
    fate = f"  {row['status']}: {row['reason']}" if row["reason"] else ""
    return f"{visible(row['path'])}  {_label(row['label'])}  {row['split'] or ''}".rstrip() + fate


def _changed(row: Row) -> str:
    old, new = row["old"], row["new"]
    notes = [
        f"{_label(old[name]) if name == 'label' else old[name]} -> "
        f"{_label(new[name]) if name == 'label' else new[name]}"
        for name in ("label", "split", "status")
        if old[name] != new[name]
    ]
    return "  ".join([visible(row["path"]), *notes])


def _renamed(row: Row) -> str:
    return f"{visible(row['old_path'])} -> {visible(row['path'])}"


def _relabeling(row: Row) -> str:
    return f"{_label(row['old'])} -> {_label(row['new'])}"


def _relabeled(row: Row) -> str:
    notes = {"same": "", "renamed": "  (renamed)", "changed": "  (other bytes)"}
    return f"{visible(row['path'])}  {_relabeling(row)}{notes[row['bytes']]}"


def _repeat(row: Row) -> str:
    of = visible(row["of"]) if row["of"] else "an item that the report does not name"
    return f"{visible(row['path'])}  {row['reason']}  {of}"


def _state(side: Row) -> str:
    return str(side["reason"] or side["status"])


def _change_of_status(row: Row) -> str:
    return f"{_state(row['old'])} -> {_state(row['new'])}"


def _status(row: Row) -> str:
    return f"{visible(row['path'])}  {_change_of_status(row)}"


def _delta(n: Row) -> str:
    change = n["new"] - n["old"]
    return f"{change:+,}" if change else ""


def _aligned(table: Iterable[Sequence[str]], indent: str = "  ") -> list[str]:
    """Set columns under each other: the first to the left, the others to the right."""
    rows = list(table)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        (
            indent
            + row[0].ljust(widths[0])
            + "".join(
                "  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)
            )
        ).rstrip()
        for row in rows
    ]
