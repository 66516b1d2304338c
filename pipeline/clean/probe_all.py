"""One look at every file: on all cores, each in a process that it may kill."""

import hashlib
import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from pipeline.clean.probe_item import ProbeItem, probe_digest
from pipeline.compute.engine import Checked, Lost, MachineParams, map_in_order
from pipeline.modality.types.probe import Probe
from pipeline.modality.types.protocols import Look
from pipeline.raw.bucket.pointer import read_bucket
from pipeline.raw.bucket.reading import ids_from_before, remember_ids
from pipeline.raw.source import RawFault, expect, read_raw

log = logging.getLogger(__name__)

_GROUP = 64
"""Files that a worker reads at once: so many reads are under way on the disk."""


def probe_all(
    raw: Path,
    paths: Sequence[str],
    look: Look,
    machine: MachineParams,
    *,
    known: Mapping[str, Probe] | None = None,
) -> Iterator[Probe]:
    """Probe files on all cores; the probes come in the order of `paths`.

    Every file is read and hashed; one whose bytes are known is not decoded again. Members of a tar
    in a bucket are not even read, where they were before: the object's tag tells that it is the
    same.

    Args:
        raw: The data folder.
        paths: Relative to `raw`.
        look: Of the modality of the items.
        machine: Workers and progress.
        known: By SHA-256, what an earlier build saw with the same look.
    """
    probes = _probes(raw, paths, look, machine, known or {})
    if read_bucket(raw) is None:
        yield from probes
        return
    ids: dict[str, str] = {}
    for path, probe in zip(paths, probes, strict=True):
        if probe.id is not None:
            ids[path] = probe.id
        yield probe
    remember_ids(raw, ids)


def _probes(
    raw: Path, paths: Sequence[str], look: Look, machine: MachineParams, known: Mapping[str, Probe]
) -> Iterator[Probe]:
    if not known:
        yield from _probe_new(raw, paths, look, machine)
        return
    before = ids_from_before(raw, paths)
    unread = [path for path in paths if path not in before]
    groups = [tuple(unread[start : start + _GROUP]) for start in range(0, len(unread), _GROUP)]
    work, title = partial(_identify, raw, look), f"clean: reading, by {_GROUP}"
    found = chain(*map_in_order(work, groups, machine, title=title))
    ids = [before[path] if path in before else next(found) for path in paths]
    deque(found, maxlen=0)  # its progress bar ends there
    new = [path for path, digest in zip(paths, ids, strict=True) if digest not in known]
    log.info("clean: %d of %d items are as in the last build", len(paths) - len(new), len(paths))
    fresh = _probe_new(raw, new, look, machine)
    for path, digest in zip(paths, ids, strict=True):
        is_known = digest is not None and digest in known
        yield look.named(known[str(digest)], path) if is_known else next(fresh)
    yield from fresh  # its progress bar ends there


def _identify(raw: Path, look: Look, paths: Sequence[str]) -> list[str | None]:
    """Return the SHA-256 of each file's bytes; None where they cannot be read."""
    expect(raw, paths)
    return [_digest(raw, look, path) for path in paths]


def _digest(raw: Path, look: Look, path: str) -> str | None:
    try:
        return hashlib.sha256(read_raw(raw, path, look.limits.bytes)).hexdigest()
    except RawFault as fault:
        return fault.sha256


def _probe_new(
    raw: Path, paths: Sequence[str], look: Look, machine: MachineParams
) -> Iterator[Probe]:
    """Decode files in processes of their own.

    A file whose decoder crashes, or takes more time or memory than its modality allows, is tried
    again in a fresh process, and is then quarantined alone. The limit of memory is the same
    everywhere; how far one gets in a time is not, nor what a machine that is short of memory kills.
    What is in question takes over a hundred times what a good item takes.
    """
    return map_in_order(
        Checked(ProbeItem(raw, look), partial(probe_digest, raw, look)),
        paths,
        machine,
        title="clean",
        limits=look.limits,
        lost=partial(lost_probe, raw, look),
    )


def lost_probe(raw: Path, look: Look, path: str, loss: Lost) -> Probe:
    """Describe a file that killed the process which looked at it; it is not decoded again."""
    try:
        content = read_raw(raw, path, look.limits.bytes)
    except RawFault as fault:
        return Probe(id=fault.sha256, reason=fault.reason, detail=fault.detail)
    digest = hashlib.sha256(content).hexdigest()
    return Probe(id=digest, reason=f"decoder_{loss.reason}", detail=loss.detail)
