"""Which names of files promise items, and what people call items, by all modalities.

Items of some modalities are found by the params alone: these have no names, and are in no message.
"""

import re
from collections.abc import Iterable
from functools import cache
from posixpath import splitext

from pipeline.modality import table
from pipeline.modality.files import files


def is_item_name(name: str) -> bool:
    """Return whether a file of this name promises to be an item that is read."""
    return name.lower().endswith(_read_suffixes(table.MODALITIES))


def modality_of_names(names: Iterable[str]) -> str:
    """Return the modality whose items most names promise; the first one if none does."""
    ends = {each: files(each).SUFFIXES for each in table.MODALITIES}
    counts = dict.fromkeys(ends, 0)
    for name in map(str.lower, names):
        for each, suffixes in ends.items():
            counts[each] += name.endswith(suffixes)
    return max(counts, key=lambda each: counts[each])


def is_named_item(text: str) -> bool:
    """Return whether a name ends as those of items do, of those too that are not read."""
    return splitext(text)[1].lower() in item_suffixes()


def mentions_item(text: str) -> bool:
    """Return whether a name of an item that is read stands anywhere in a text."""
    return _mention(table.MODALITIES).search(text) is not None


def item_suffixes() -> frozenset[str]:
    """Return the ends of the names of items, of those too that are not read."""
    return _all_suffixes(table.MODALITIES)


def item_words() -> tuple[str, ...]:
    """Return the words by which people call an item, as the name of a column, the surest first."""
    return tuple(word for each in _found_by_names() for word in files(each).WORDS)


def item_noun() -> str:
    """Return what an item is, in a message: `picture`."""
    return " or ".join(files(each).NOUN[0] for each in _found_by_names())


def item_nouns() -> str:
    """Return what items are, in a message: `pictures`."""
    return " or ".join(files(each).NOUN[1] for each in _found_by_names())


def _found_by_names() -> tuple[str, ...]:
    return tuple(each for each in table.MODALITIES if files(each).SUFFIXES)


@cache
def _read_suffixes(modalities: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(suffix for each in modalities for suffix in files(each).SUFFIXES)


@cache
def _mention(modalities: tuple[str, ...]) -> re.Pattern[str]:
    ends = "|".join(map(re.escape, _read_suffixes(modalities)))
    return re.compile(rf"(?:{ends})\b", re.IGNORECASE)


@cache
def _all_suffixes(modalities: tuple[str, ...]) -> frozenset[str]:
    unread = (suffix for each in modalities for suffix in files(each).UNREAD_SUFFIXES)
    return frozenset((*_read_suffixes(modalities), *unread))
