"""Raw folders of texts where the params do not say so: what to write."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.ground.errors import DataError
from pipeline.raw.archive.archive import RawFault
from pipeline.raw.folder import Folder
from pipeline.raw.item_names import item_nouns, mentions_item
from pipeline.raw.shards.column_cells import ColumnCells, open_parquet
from pipeline.raw.sidecars import describe_sidecars, find_sidecars
from pipeline.raw.texts.cell_paths import PARQUET, is_text_table
from pipeline.raw.texts.delimited import Delimited
from pipeline.raw.texts.encoding import encoding_of
from pipeline.raw.texts.text_cells import is_text, open_rows
from pipeline.raw.texts.text_files import TEXT_FILES

_LOOKED_AT = 50
_PROSE = 0.5
"""Share of the cells of a column that are sentences, from which it holds texts."""

_FEWEST_WORDS, _FEWEST_SIGNS = 3, 4
_FIRST_CJK = "\u2e80"
"""From here on in Unicode, most scripts write words without blanks between them."""


def refuse_texts(raw: Path, folder: Folder) -> None:
    """Refuse a raw folder that holds texts alone: return where there may be anything else.

    Args:
        raw: The data folder.
        folder: What is in it: nothing that is an item by its name.

    Raises:
        DataError: It names what to write as `data.text`.
    """
    tables = [path for path in folder.files if is_text_table(path)]
    notes = find_sidecars(folder.files)
    if not folder.files or any(path not in notes for path in {*folder.files} - {*tables}):
        return
    for table in tables:
        column = _text_column(raw / table) if folder.archive_of(table) is None else None
        if column is not None:
            raise DataError(
                raw,
                f"has no {item_nouns()}, and {table!r} has texts in its column {column!r}",
                remedy=f"write data.text: {column}",
            )
    texts = [path for path in folder.files if path.lower().endswith(TEXT_FILES)]
    homes = {path.rpartition("/")[0] for path in texts} - {""}
    if len(homes) > 1:
        raise DataError(
            raw,
            f"has no {item_nouns()}: {describe_sidecars(notes, item_nouns())[0]}",
            remedy=f"where each {TEXT_FILES} file is an item, write data.text: {TEXT_FILES}",
        )


def _text_column(path: Path) -> str | None:
    """Return the column with the longest texts; None where there is none, or a list of items."""
    try:
        columns = _heads(path)
    except (DataError, RawFault, OSError, pa.ArrowException):
        return None
    if any(mentions_item(cell) for cells in columns.values() for cell in cells):
        return None
    prose = {name: sum(map(len, cells)) for name, cells in columns.items() if _is_prose(cells)}
    return max(prose, key=lambda name: prose[name], default=None)


def _is_prose(cells: Sequence[str]) -> bool:
    return bool(cells) and sum(map(_is_sentence, cells)) >= _PROSE * len(cells)


def _is_sentence(cell: str) -> bool:
    signs = sum(sign >= _FIRST_CJK for sign in cell)
    words = sum(any(map(str.isalpha, word)) for word in cell.split())
    return words >= _FEWEST_WORDS or signs >= _FEWEST_SIGNS


def _heads(path: Path) -> dict[str, list[str]]:
    """Return the first cells of the columns that hold text."""
    if path.name.lower().endswith(PARQUET):
        file = open_parquet(path)
        rows = range(min(_LOOKED_AT, file.metadata.num_rows))
        names = [each.name for each in file.schema_arrow if is_text(each.type)]
        cells = {name: ColumnCells(file, name) for name in names}
        return {name: [str(each.cell(row)) for row in rows] for name, each in cells.items()}
    records = list(islice(_records(path), _LOOKED_AT))
    names = list(dict.fromkeys(name for record in records for name in record))
    found = {name: [record.get(name) for record in records] for name in names}
    return {
        name: [cell for cell in cells if isinstance(cell, str)] for name, cells in found.items()
    }


def _records(path: Path) -> Iterator[dict[str, Any]]:
    table = open_rows(path, path.name, None, encoding_of(path, path.name))
    if isinstance(table, Delimited):
        for _, cells in table.rows():
            yield dict(zip(table.columns, cells, strict=True))
    else:
        for _, record in table.rows():
            yield record
