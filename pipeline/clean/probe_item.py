"""One look at one raw item, in a process of its own.

It imports what that takes and no more: workers start sooner.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

from pipeline.modality.types.probe import Probe
from pipeline.modality.types.protocols import Look
from pipeline.raw.source import RawFault, read_raw


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
