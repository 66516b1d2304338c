"""Items whose split a file holds: `review/splits/<name>.csv`, committed with the code.

    id,split,path
    <sha256 of the file>,train|val|test,<where it lay when the row was written>

The file is what remembers a placement by `split.small_classes` when data grow: all else about a
split follows from the data alone. `path` is for people. An item's group goes with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.errors import DataError
from pipeline.ground.files import write_rows
from pipeline.manifest.manifest import SPLITS
from pipeline.manifest.review import review_file
from pipeline.raw.labels.text_table import read_text_table
from pipeline.raw.visible import safe_line

COLUMNS = ("id", "split", "path")


@dataclass(frozen=True)
class Pin:
    """The split that an item has, and the row that says so."""

    split: str
    where: str
    path: str


def pin_file(review: Path, raw: Path) -> Path:
    """Name the file of a data set, as its review file is named."""
    return review_file(review / "splits", raw)


def read_pins(review: Path, raw: Path) -> dict[str, Pin]:
    """Read the pins of a data set by item id; none where there is no file.

    Args:
        review: The folder `review`.
        raw: The data folder, after which the file is named.

    Raises:
        DataError: The file is wrong, or one item has two splits.
    """
    path = pin_file(review, raw)
    if not path.exists():
        return {}
    table = read_text_table(path, may_be_empty=True)
    paths = table.column("path") if "path" in table.columns else ("",) * len(table.rows)
    pins: dict[str, Pin] = {}
    cells = zip(table.column("id"), table.column("split"), paths, strict=True)
    for row, (each, split, item) in enumerate(cells):
        pin = Pin(split.strip().lower(), table.where(row), item)
        if pin.split not in SPLITS:
            raise DataError(
                pin.where, "must be train, val or test", field="column 'split'", got=split
            )
        earlier = pins.setdefault(each.strip().lower(), pin)
        if earlier.split != pin.split:
            raise DataError(
                pin.where,
                f"must not contradict {earlier.where}",
                field="column 'split'",
                got=split,
                remedy="remove one of the two rows",
            )
    return pins


def add_pins(review: Path, raw: Path, report: Mapping[str, Any]) -> tuple[Path, int]:
    """Write down where a report of `clean` says that items were placed; keep what is pinned.

    Args:
        review: The folder `review`.
        raw: The data folder.
        report: With `placed`, or without where nothing was.

    Returns:
        The file, and how many rows are new.

    Raises:
        DataError: The file is wrong.
    """
    pins = read_pins(review, raw)
    new = {
        each["id"]: {"id": each["id"], "split": each["split"], "path": safe_line(each["path"])}
        for each in report.get("placed", ())
        if each["id"] not in pins
    }
    file = pin_file(review, raw)
    if new:
        old = [{"id": each, "split": pin.split, "path": pin.path} for each, pin in pins.items()]
        file.parent.mkdir(parents=True, exist_ok=True)
        write_rows(file, [*old, *new.values()], columns=COLUMNS)
    return file, len(new)
