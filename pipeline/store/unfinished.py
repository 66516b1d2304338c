"""Shards of a build that ended early: the next run of its stage takes them, and makes the others.

Each finished shard gets a second name under `.rootstock/unfinished`, and a line of a journal with
its digests and the keys of its rows. They go when the build is whole. Bytes depend on rows alone,
so a build that went on equals one from nothing.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.files import canonical_json, remove, sha256_json
from pipeline.store.previous_build import earlier_build
from pipeline.store.shard_writer import Keep, Reusable
from pipeline.store.shards import Layout, Shards

log = logging.getLogger(__name__)

_KEPT = Path(".rootstock") / "unfinished"
_JOURNAL = "shards.jsonl"
_NAME = "a run that ended early"
_DIGEST_CHARS = 16


class Unfinished:
    """The finished shards of one build.

    Args:
        folder: It is there already.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shards = list(_read(folder / _JOURNAL))
        self._known = {digest for shard in self._shards for digest in shard["sha256"]}
        self.count = len(self._shards)
        """Of finished shards."""

    def keep(self, files: Sequence[Path], digests: Sequence[str], keys: Sequence[str]) -> None:
        """Keep a finished shard; where no links are allowed it is not kept.

        Args:
            files: Of each array.
            digests: Their SHA-256.
            keys: Of the rows.
        """
        if self._known.issuperset(digests):
            return
        for file, digest in zip(files, digests, strict=True):
            if not _link(file, self._folder / digest):
                return
        shard = {"sha256": list(digests), "keys": list(keys)}
        with (self._folder / _JOURNAL).open("a", encoding="utf-8", newline="\n") as journal:
            journal.write(canonical_json(shard) + "\n")
        self.count += 1
        self._known.update(digests)

    def rows(self, layouts: Sequence[Layout]) -> Reusable:
        """Return the rows that are kept; files are not looked at.

        Args:
            layouts: Of the arrays, as they were kept.
        """
        arrays = [self._open(layout, place) for place, layout in enumerate(layouts)]
        return Reusable(arrays, [key for shard in self._shards for key in shard["keys"]], _NAME)

    def _open(self, layout: Layout, place: int) -> Shards:
        digests = [str(shard["sha256"][place]) for shard in self._shards]
        counts = [len(shard["keys"]) for shard in self._shards]
        files = [
            {"file": digest, "sha256": digest, "rows": rows}
            for digest, rows in zip(digests, counts, strict=True)
        ]
        return Shards.open(self._folder, layout, files)


@dataclass(frozen=True)
class Builds:
    """What earlier runs of a stage left.

    Attributes:
        whole: The last build, to be read only, or None.
        unfinished: Shards of a run that ended early; those of this run are kept there.
    """

    whole: Path | None = None
    unfinished: Unfinished | None = None

    @property
    def keep(self) -> Keep | None:
        """What is told of each finished shard."""
        return None if self.unfinished is None else self.unfinished.keep

    def or_whole(
        self, whole: Reusable, layouts: Sequence[Layout], wanted: Sequence[str]
    ) -> Reusable:
        """Return the rows of the last build, or of finished shards where these hold more.

        Args:
            whole: The last build, opened.
            layouts: Of the arrays.
            wanted: Keys of the rows that are to be written.
        """
        if self.unfinished is None:
            return whole
        found = self.unfinished.rows(layouts)
        if found.count(wanted) <= whole.count(wanted):
            return whole
        found.keep_sound(wanted)
        return found


NOTHING = Builds()


@contextmanager
def earlier_builds(out: Path, *, key: Path, made_from: Any) -> Iterator[Builds]:
    """Yield what earlier runs left; finished shards go if the block ends without an error.

    Args:
        out: The folder that the running stage will write, relative to the working folder.
        key: See `earlier_build`.
        made_from: What the running stage computes from, as JSON. What was made from else is not
            used, and its finished shards go.
    """
    kept = _KEPT / out.as_posix().replace("/", "-")
    folder = kept / sha256_json(made_from)[:_DIGEST_CHARS]
    for other in kept.iterdir() if kept.exists() else ():
        if other != folder:
            remove(other)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = Unfinished(folder)
    with earlier_build(out, key=key, made_from=made_from) as whole:
        try:
            yield Builds(whole, unfinished)
        except Exception:
            if count := unfinished.count:
                log.info("%s: %d finished shards are kept; the same command goes on", out, count)
            raise
    remove(kept)


def _read(journal: Path) -> Iterator[dict[str, Any]]:
    """Yield the shards that are noted; a run that was killed may have cut off its last line."""
    lines = journal.read_text(encoding="utf-8").split("\n") if journal.exists() else []
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _link(file: Path, name: Path) -> bool:
    try:
        name.hardlink_to(file)
    except OSError:  # it is there, or no links are allowed: a copy would take its room twice
        return name.exists()
    return True
