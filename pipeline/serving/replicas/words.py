"""Words for items in texts that are written before it is known what is served."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pipeline.modality.types.items import Input

T = TypeVar("T")

_PLACE = re.compile(r"<(\w+)>")


def words_of(item: Input) -> dict[str, str]:
    """Return the words of a modality by the names of their places, as in `One <one>`."""
    own = ("one", "many", "column", "key", "media", "written", "inline")
    return {
        **{name: str(getattr(item, name)) for name in own},
        "instance": item.inline if item.is_text else f'{{"b64": {item.inline}}}',
        "Many": item.many.capitalize(),
        "Key": item.key.capitalize(),
        "asked": item.explanation.asked,
        "given": item.explanation.given,
        "example": item.examples[0],
        "other": item.examples[1],
    }


def fill(content: T, words: Mapping[str, str]) -> T:
    """Put words into all texts of plain values, keys too; other `<names>` stay as they are."""

    def put(value: Any) -> Any:
        if isinstance(value, str):
            return _PLACE.sub(lambda found: words.get(found[1], found[0]), value)
        if isinstance(value, Mapping):
            return {put(key): put(each) for key, each in value.items()}
        return [put(each) for each in value] if isinstance(value, list | tuple) else value

    filled: T = put(content)
    return filled
