"""What was seen of one raw item. Worker processes import it: it is small."""

from dataclasses import dataclass

from pipeline.store.spill import Piece

Value = int | str | None
"""A fact of an item; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What was seen of one item; `reason` is None for one that was read in full."""

    id: str | None = None
    """SHA-256 of its bytes, in hex."""
    facts: tuple[Value, ...] = ()
    """In the order of the modality's `Facts.columns`; empty where it was not read."""
    content_hash: str | None = None
    """SHA-256 over what its bytes mean: equal for copies in other formats."""
    sketch: Piece | None = None
    """Small, for the search of what is nearly the same."""
    reason: str | None = None
    detail: str = ""
    notes: tuple[str, ...] = ()
    carries: tuple[tuple[str, int], ...] = ()
    """Kinds of what it tells of people and places, and how often, sorted: `Reader.carried`."""
