"""The previews of the cleaning report, made in as many processes as pays."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.clean.page.samples import Row
from pipeline.compute.engine import MachineParams, map_in_order
from pipeline.modality.types.protocols import Report


@dataclass(frozen=True)
class Previews:
    """What is shown of items."""

    made: Mapping[str, str]
    """By path, as the template of the modality takes them."""

    left_out: frozenset[str]
    """Paths of items that could have one."""


def make_previews(
    items: Report, raw: Path, rows: Iterable[Row], limits: Any, machine: MachineParams
) -> Previews:
    """Make the previews of rows, of the first of them where they are too much work in all."""
    todo: dict[str, int] = {}
    can: set[str] = set()
    total = 0
    for row in rows:
        work = items.work(row)
        if work is None:
            continue
        can.add(row["path"])
        if row["path"] not in todo and total + work <= items.most_work:
            todo[row["path"]] = work
            total += work
    here = machine.here()
    workers = here if total > items.few_work else here.model_copy(update={"workers": 1})
    make = partial(_preview, items, raw, limits)
    found = map_in_order(make, list(todo), workers, title="report")
    made = {path: value for path, value in zip(todo, found, strict=True) if value}
    return Previews(made, frozenset(can - made.keys()))


def _preview(items: Report, raw: Path, limits: Any, path: str) -> str | None:
    return items.preview(raw, path, limits)
