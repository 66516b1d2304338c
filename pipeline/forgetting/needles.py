"""What tells that a file holds an item, or follows from one."""

import html
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from urllib.parse import quote

from pipeline.forgetting.history import Seen
from pipeline.forgetting.traces import Traces
from pipeline.manifest.forgotten import Forgetting

_TABLE_ROW = re.compile(r"/[0-9]{8}$", re.ASCII)
_INSIDE = rb"[0-9A-Za-z_.\-]"
"""What continues a path: `a/1.png` does not stand in `ba/1.png`, nor in `a/1.png.xml`."""


@dataclass(frozen=True)
class Needles:
    """What is searched for.

    Attributes:
        ids: SHA-256 of items: of a file, a member, a cell.
        rows: SHA-256 of rows of stores.
        objects: md5 of files that hold an item, or follow from one: content and name in DVC.
        digests: Ids and content hashes, as texts.
        paths: Of items, as the bytes by which files may hold them.
    """

    ids: frozenset[str]
    rows: frozenset[str]
    objects: frozenset[str]
    digests: tuple[bytes, ...]
    paths: tuple[bytes, ...]

    def without_paths(self) -> "Needles":
        """Return the same but for paths, for places where others keep items of such names too."""
        return replace(self, paths=())

    @property
    def texts(self) -> tuple[bytes, ...]:
        """All texts that name an item."""
        return (*self.digests, *self.paths)

    def names(self, content: bytes) -> bool:
        """Return whether some bytes name an item."""
        return any(map(content.__contains__, self.digests)) or any(
            _stands_in(path, content) for path in self.paths
        )


def make_needles(
    decisions: Iterable[Forgetting], traces: Traces, seen: Seen, others: Collection[str]
) -> Needles:
    """Return what decisions and their traces tell to search for.

    Args:
        decisions: What is forgotten.
        traces: What this machine has kept beside them.
        seen: What the history has.
        others: Paths of items that are still there: one that has a path again hides it.
    """
    decisions = list(decisions)
    ids = frozenset(each for decision in decisions for each, _ in decision.items)
    contents = {content for decision in decisions for _, content in decision.items if content}
    raw = {*seen.raw, *(each for decision in decisions for each in decision.objects)}
    manifests = {each for decision in decisions for each in decision.manifests}
    objects = {*raw, *manifests, *seen.derived, *traces.derived} - seen.clean
    paths = [each for each in traces.paths if each not in others and not _TABLE_ROW.search(each)]
    return Needles(
        ids,
        frozenset(traces.rows),
        frozenset(objects),
        tuple(sorted(each.encode() for each in {*ids, *contents})),
        tuple(sorted({form.encode() for path in paths for form in _forms(path)})),
    )


def _forms(path: str) -> set[str]:
    """Return a path as files of text have it: plain, in JSON, in HTML, in an address."""
    return {path, json.dumps(path)[1:-1], html.escape(path), quote(path)}


def _stands_in(path: bytes, content: bytes) -> bool:
    if path not in content:
        return False
    pattern = rb"(?<!" + _INSIDE + rb")" + re.escape(path) + rb"(?!" + _INSIDE + rb")"
    return re.search(pattern, content) is not None
