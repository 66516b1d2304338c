"""One look at one raw item, in a process of its own.

It imports what that takes and no more: workers start sooner.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.modality.types.probe import Probe
from pipeline.modality.types.protocols import Look
from pipeline.raw.source import RawFault, expect, read_raw


@dataclass(frozen=True)
class ProbeItem:
    """`probe_item` of one data folder; it can be told what comes.

    Attributes:
        raw: The data folder.
        look: Of the items' modality.
    """

    raw: Path
    look: Look

    def __call__(self, path: str) -> Probe:
        """Return what is seen of an item."""
        return probe_item(self.raw, self.look, path)

    def announce(self, paths: Sequence[str]) -> None:
        """Fetch what will be read soon, together."""
        expect(self.raw, paths)


def probe_item(raw: Path, look: Look, path: str) -> Probe:
    """Read one item once and in full; a bad one is an answer, not an error.

    Args:
        raw: The data folder; a link that leaves it is not followed.
        look: Of the item's modality.
        path: Relative to `raw`.

    Raises:
        DataError: The archive that holds it is cut or corrupt.
        OSError: The machine fails (no memory, too many open files), which says nothing of the item.
    """
    try:
        content = read_raw(raw, path, look.limits.bytes)
    except RawFault as fault:
        return Probe(id=fault.sha256, reason=fault.reason, detail=fault.detail)
    return replace(look.probe(content, path), id=hashlib.sha256(content).hexdigest())


def probe_digest(raw: Path, look: Look, path: str) -> str:
    """Return a SHA-256 over what `probe_item` returns: machines that give others are left out."""
    return hashlib.sha256(repr(probe_item(raw, look, path)).encode()).hexdigest()
