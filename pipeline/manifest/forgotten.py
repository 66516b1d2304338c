"""Items that must never be used again: `review/forgotten/<digest>.json`, committed with the code.

A decision names its items by digests alone. A path may itself tell who somebody is, and what git
has once is hard to take out of it. Whoever still has an item can tell that it was forgotten; and
whoever can guess one whole, as a text of a few words, can find out too.

    by, time, reason    who, when in UTC, and why: the reason is committed, so it should name nobody
    items               [id, content]: SHA-256 of the bytes; hash of what they decode to, or null
    objects             md5 of what DVC tracked and held an item: the file, or the archive around it
    manifests           md5 of the manifests that list an item: what followed from them is found so
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.errors import DataError
from pipeline.ground.files import sha256_json, write_json

_FOLDER = "forgotten"
_SHORT = 16
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MD5 = re.compile(r"[0-9a-f]{32}(?:\.dir)?")


@dataclass(frozen=True)
class Forgetting:
    """One decision: what is to be forgotten, who decided it, when and why."""

    by: str
    time: str
    reason: str
    items: tuple[tuple[str, str | None], ...]
    """Id, and content hash; sorted."""
    objects: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What its file is called: the digest of the ids, so that no decision is there twice."""
        return f"{sha256_json([each for each, _ in self.items])[:_SHORT]}.json"


@dataclass(frozen=True)
class Forgotten:
    """The digests of all items that are forgotten."""

    ids: frozenset[str] = frozenset()
    contents: frozenset[str] = frozenset()


def forgotten_folder(review: Path) -> Path:
    """Return the folder of the decisions, whether it is there or not."""
    return review / _FOLDER


def forgotten(decisions: Iterable[Forgetting]) -> Forgotten:
    """Return what decisions forget, whichever data set it was found in."""
    items = [item for each in decisions for item in each.items]
    return Forgotten(
        frozenset(each for each, _ in items), frozenset(content for _, content in items if content)
    )


def read_forgettings(review: Path) -> list[Forgetting]:
    """Read all decisions, by the names of their files; none where there is no folder.

    Raises:
        DataError: A file is no decision.
    """
    return [read_forgetting(path) for path in _files(forgotten_folder(review))]


def read_forgetting(path: Path) -> Forgetting:
    """Read one decision.

    Raises:
        DataError: The file is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _checked(content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            path, f"is no decision: {error}", remedy="restore it with `git checkout -- review`"
        ) from error


def write_forgetting(review: Path, decision: Forgetting) -> Path:
    """Write a decision, whole or not at all, and return its file."""
    path = forgotten_folder(review) / decision.name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(decision))
    return path


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(each for each in folder.glob("*.json") if not each.name.startswith("."))


def _checked(content: Any) -> Forgetting:
    items = tuple(
        (str(each), None if other is None else str(other)) for each, other in content["items"]
    )
    objects, manifests = tuple(content["objects"]), tuple(content["manifests"])
    for each, _ in items:
        if not _DIGEST.fullmatch(each):
            raise ValueError(f"an id must be 64 hex digits, got {each!r}")
    for each in (*objects, *manifests):
        if not _MD5.fullmatch(each):
            raise ValueError(f"an object must be an md5, got {each!r}")
    if not items:
        raise ValueError("it names no item")
    by, time, reason = (str(content[name]) for name in ("by", "time", "reason"))
    return Forgetting(by, time, reason, items, objects, manifests)
