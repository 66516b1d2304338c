"""Items of raw folders in which shards, and not folders or a label file, say what they are."""

from dataclasses import replace
from pathlib import Path

from pipeline.modality.reading import all_readers
from pipeline.raw.containers import is_table
from pipeline.raw.folder import Folder
from pipeline.raw.item import Item, RawItems
from pipeline.raw.shards.samples import from_samples
from pipeline.raw.shards.table_items import from_tables

SHARDED = ("item tables", "samples")
"""Layouts in which names of files may say the split."""


def from_shards(raw: Path, folder: Folder, *, target: str) -> RawItems | None:
    """Return the items of item tables, or of WebDataset shards; None where there are none.

    Files beside the shards are items without a label.

    Raises:
        DataError: The labels or splits of the shards cannot be told, or there are no shards, and
            the items have no label each.
    """
    tables = [each for each in folder.archives if is_table(each)]
    if not tables:
        found = from_samples(raw, folder, target=target)
        if found is None:
            for reader in all_readers():
                reader.refuse_other_tasks(raw, folder)
        return found
    items = from_tables(raw, tables, target=target)
    beside = [Item(path) for path in folder.files if folder.archive_of(path) not in tables]
    return replace(items, items=(*items.items, *beside))
