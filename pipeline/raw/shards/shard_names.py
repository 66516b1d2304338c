"""Splits by the names of shards: `train-00000-of-00002.parquet`, `val/0000.tar`."""

import re
from collections.abc import Iterable
from pathlib import Path

from pipeline.ground.errors import DataError
from pipeline.raw.layout.split_words import split_name

_WORD = re.compile(r"[a-z]+")


def splits_by_name(raw: Path, shards: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return the split of each shard, and warnings; no splits where no names say any.

    Shards of one split alone leave the splits open: hubs call a set without splits `train`.

    Args:
        raw: The data folder.
        shards: Paths relative to it.

    Raises:
        DataError: Some are named as splits and some are not, or none as `train`.
    """
    named = {shard: split_of_shard(shard) for shard in sorted(shards)}
    splits = {shard: split for shard, split in named.items() if split}
    found = sorted(set(splits.values()))
    if not splits:
        return {}, []
    nameless = [shard for shard, split in named.items() if split is None]
    if nameless:
        raise DataError(
            raw,
            f"{next(iter(splits))!r} is named as a split, and {nameless[0]!r} is not",
            remedy="name every file as train, val or test, or none",
        )
    if len(found) == 1:
        return {}, [
            f"all files are named as the split {found[0]!r}, so that name does not count: "
            "items are split by split.seed"
        ]
    if "train" not in found:
        raise DataError(
            raw,
            f"its files are named as the splits {' and '.join(map(repr, found))}, and none as "
            "'train'",
            remedy="name every file as train, val or test, or none",
        )
    return splits, []


def split_of_shard(path: str) -> str | None:
    """Return the split that a shard's name says, else the one of the nearest folder that says one.

    A name that holds words of two splits, such as `train_and_test.tar`, says none.
    """
    *folders, name = path.split("/")
    for part in (name.split(".")[0], *reversed(folders)):
        whole = split_name(part)
        words = {split_name(word) for word in _WORD.findall(part.lower())} - {None}
        if whole or words:
            return whole or (words.pop() if len(words) == 1 else None)
    return None
