"""What one item of data may take, and how many stand on one sheet."""

from dataclasses import dataclass

SHEET_LIMIT = 96
"""Items on one contact sheet; its title counts those left out."""


@dataclass(frozen=True)
class ItemLimits:
    """What one item may take; an item that takes more is lost, the others are not."""

    bytes: int
    """Of its file, or of its part of a container; larger ones are not read."""

    seconds: float
    """Of the clock on the wall; a worker process dies at it."""

    memory: int
    """In bytes, on top of what a worker process has when it starts. Linux alone enforces it."""
