"""What must be equal on all machines that work on one map, and which machines are left out.

A machine shows that it sees the shared folder by a token: it reads it there, and writes it back.
"""

import hashlib
import importlib.metadata
import os
import platform
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from pipeline.ground.errors import MachineError

_PACKAGE = Path(__file__).resolve().parents[1]
_DISTRIBUTION = "rootstock"
_TOKEN = "token"


@dataclass(frozen=True)
class Identity:
    """What a machine computes with."""

    code: str
    """SHA-256 over the files of this package."""
    versions: Mapping[str, str]
    """Of Python, and of the packages that this one requires."""
    canary: str = ""
    """A digest of what the first item gives there: two processors may round differently."""


def identify() -> Identity:
    """Return what this process would compute with."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    wanted = map(Requirement, importlib.metadata.requires(_DISTRIBUTION) or ())
    names = sorted({each.name for each in wanted if "extra" not in str(each.marker)})
    versions = {name: importlib.metadata.version(name) for name in names}
    return Identity(digest.hexdigest(), {"python": platform.python_version(), **versions})


class SharedFolder:
    """A folder in which machines show that they see what this one sees.

    Args:
        path: It must not be there yet; relative to the folder that all work in.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._token = secrets.token_hex()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder, with the token; it is removed at the end."""
        self.path.mkdir(parents=True)
        try:
            (self.path / _TOKEN).write_text(self._token, encoding="ascii")
            yield
        finally:
            shutil.rmtree(self.path)

    def has_answer(self, name: str) -> bool:
        """Return whether a machine of this name wrote the token back."""
        answer = self.path / name
        return answer.is_file() and answer.read_text(encoding="ascii") == self._token


def answer_in(home: str, folder: Path, name: str) -> str | None:
    """Enter the folder that all work in, and write the token back; return why that fails."""
    try:
        os.chdir(home)
        token = (folder / _TOKEN).read_text(encoding="ascii")
        (folder / name).write_text(token, encoding="ascii")
    except OSError as error:
        return f"does not share the folder {home}: {os.strerror(error.errno or 0)}"
    return None


def difference(found: Identity, own: Identity) -> str | None:
    """Return how code or versions of a machine differ from ours; None where they do not."""
    for name, version in own.versions.items():
        if (other := found.versions.get(name)) != version:
            return f"has {name} {other}, here it is {version}"
    return None if found.code == own.code else "has other code"


def check_fingerprint(own: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Check that this machine computes by the numeric fingerprint of the first one.

    Raises:
        MachineError: It does not.
    """
    if own != wanted:
        named = {name: own.get(name) for name in own if own.get(name) != wanted.get(name)}
        raise MachineError("runtime", f"computes with {named}, and the first machine does not")


def agreed(found: Mapping[str, Identity], slots: Mapping[str, int]) -> str | None:
    """Return the canary that most processes give; of two the first by name. None without any."""
    votes: Counter[str] = Counter()
    for node, identity in found.items():
        votes[identity.canary] += slots[node]
    return max(sorted(votes), key=votes.__getitem__, default=None)
