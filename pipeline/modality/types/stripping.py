"""How an item is written without what it tells of people, places and machines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pipeline.ground.limits import ItemLimits


class CannotStrip(ValueError):
    """An item that cannot be written so; the message says why, and quotes nothing of it."""


@dataclass(frozen=True)
class Stripped:
    """An item without what it told."""

    content: bytes
    kinds: Mapping[str, int]
    """What was taken away, by the kinds of `Reader.carried`, and how often; empty: the content is
    as it was."""


class Strip(Protocol):
    """Items without what they tell besides what is learned from."""

    limits: ItemLimits
    """What one item may take."""

    def is_item(self, path: str, head: bytes) -> bool:
        """Return whether a file is an item, by its name or its first bytes."""

    def strip(self, content: bytes) -> Stripped:
        """Return an item without what it tells of people.

        Raises:
            CannotStrip: It cannot be written so.
        """
