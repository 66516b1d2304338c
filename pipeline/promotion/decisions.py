"""The audit: who became champion, who did not, and why; one file for each decision.

A file `audit/<time>-<first 12 hex digits of its hash>.json` holds one decision as canonical JSON
with a final newline; its hash is the SHA-256 of these bytes. Each names the hashes of its parents,
the decisions that no other one followed when it was made. So the files are a graph as git's commits
are: two clones that decided apart have two ends, git merges their folders without a conflict, and
the next decision joins the ends.

Nothing is ever changed or removed. Whoever alters an entry alters its hash: its name does not fit
any more, and those after it name a parent that is not there. The last entries have none after
them; their hashes stand as the tag `audit` of the model versions, and `git log` has the files.
"""

import heapq
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, cast, get_args

from pipeline.ground.errors import IntegrityError
from pipeline.ground.files import canonical_json, write_text
from pipeline.repo.lock import AUDIT

CANDIDATE = "candidate"
CHAMPION = "champion"

Action = Literal["promote", "refuse", "rollback", "override"]

_NAME = re.compile(r"(\d{8}T\d{6}Z)-([0-9a-f]{12})\.json")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_README = "README.md"
_FIELDS = {
    "parents": list,
    "time": str,
    "by": str,
    "action": str,
    "name": str,
    "model": str,
    "key": str,
    "version": str,
    "aliases": dict,
    "reason": str,
    "evidence": dict,
}
_RESTORE = "restore it with `git checkout -- audit`, or pull and merge"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What is decided on one version of a registered model."""

    by: str
    """Who decided, or started what decided."""

    action: Action
    name: str
    """The registered model."""

    model: str
    """`dvc.model` of the version that was judged, or that a rollback went back to."""

    key: str
    """Its `dvc.key`."""

    version: str
    """Its number in the registry at that time; may be another one after a rebuild."""

    aliases: Mapping[str, str]
    """Alias -> `dvc.model`, as they are after the decision."""

    reason: str
    """One line for people."""

    evidence: Mapping[str, Any]
    """Gates, values, intervals, digests of the test items, counts."""


@dataclass(frozen=True, kw_only=True)
class Decision(Draft):
    """A decision as it stands in the audit."""

    hash: str
    """SHA-256 of the file's bytes, hex."""

    parents: tuple[str, ...]
    """Hashes of the last decisions before it, sorted."""

    time: str
    """UTC, `2026-01-31T12:00:00Z`."""

    @property
    def moves(self) -> dict[str, str]:
        """The aliases that the decision itself moved or confirmed: those at its own model."""
        return {alias: model for alias, model in self.aliases.items() if model == self.model}

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return _file_name(self.time, self.hash)


def read_audit(folder: Path = AUDIT) -> list[Decision]:
    """Read and check all decisions, oldest first.

    Parents come before their children, and else the earlier comes first, then the smaller hash: an
    order that the set of files alone decides. A folder that is not there has none.

    Raises:
        IntegrityError: A file was altered or renamed, is no decision, or lacks a parent.
    """
    if not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.iterdir())
    # Hidden ones are what a killed writer or a file browser left.
    found = [_read(folder / each) for each in names if each != _README and not each.startswith(".")]
    known = {decision.hash for decision in found}
    for decision in found:
        for parent in decision.parents:
            if parent not in known:
                raise IntegrityError(
                    folder / decision.file_name,
                    "names a decision before it that is not there: it was removed or altered",
                    field="parents",
                    got=parent[:12],
                    remedy=_RESTORE,
                )
    return _sort(found)


def write_decision(folder: Path, draft: Draft, *, time: datetime | None = None) -> Decision:
    """Add a decision after all that are there; its file appears whole or not at all.

    Args:
        folder: Made if it is not there.
        draft: What was decided; line breaks in its reason become spaces.
        time: Now, if not given.

    Raises:
        IntegrityError: What is there already is damaged; nothing is added to it.
        ValueError: There is a NaN or an infinity in the evidence.
    """
    moment = (time or datetime.now(UTC)).astimezone(UTC).strftime(_TIME)
    content = asdict(draft) | {
        "parents": heads(read_audit(folder)),
        "time": moment,
        "reason": " ".join(draft.reason.split()),
    }
    text = canonical_json(content) + "\n"
    path = folder / _file_name(moment, sha256(text.encode()).hexdigest())
    write_text(path, text)
    return _read(path)


def heads(decisions: Iterable[Decision]) -> list[str]:
    """Return the hashes of the decisions that no other one follows, sorted."""
    decisions = list(decisions)
    followed = {parent for decision in decisions for parent in decision.parents}
    return sorted(decision.hash for decision in decisions if decision.hash not in followed)


def replay(decisions: Iterable[Decision], name: str) -> dict[str, str]:
    """Return alias -> `dvc.model` as the decisions on a registered model leave them.

    Of two clones that decided apart, the later decision counts; one that left an alias alone, such
    as a refusal in the other clone, does not undo a promotion.

    Args:
        decisions: In the order of `read_audit`.
        name: The registered model.
    """
    aliases: dict[str, str] = {}
    for decision in decisions:
        if decision.name == name:
            aliases = {**decision.aliases, **aliases, **decision.moves}
    return aliases


def rivals(decisions: Sequence[Decision], name: str, alias: str) -> list[Decision]:
    """Return the decisions that moved an alias apart from each other, in clones that met since.

    They are those that no other one that moved the alias follows, where they chose different
    models. The next decision that moves it follows them all, and settles it.

    Args:
        decisions: In the order of `read_audit`.
        name: The registered model.
        alias: One of its aliases.
    """
    before: dict[str, frozenset[str]] = {}
    for decision in decisions:
        before[decision.hash] = frozenset(decision.parents).union(
            *(before[parent] for parent in decision.parents)
        )
    moving = [each for each in decisions if each.name == name and alias in each.moves]
    followed = frozenset[str]().union(*(before[each.hash] for each in moving))
    last = [each for each in moving if each.hash not in followed]
    return last if len({each.model for each in last}) > 1 else []


def champions(decisions: Iterable[Decision], name: str) -> list[Decision]:
    """Return the decisions that led to the present champion, first to last, one for each champion.

    The last one is of the present champion, the one before it of the champion that a rollback goes
    back to. What a rollback took back is not among them.
    """
    stack: list[Decision] = []
    for decision in decisions:
        if decision.name != name or CHAMPION not in decision.moves:
            continue
        models = [each.model for each in stack]
        if decision.action == "rollback" and decision.model in models:
            del stack[len(models) - models[::-1].index(decision.model) :]
        elif not stack or models[-1] != decision.model:
            stack.append(decision)
    return stack


def as_json(decision: Decision) -> dict[str, Any]:
    """Return a decision as a JSON value, with its hash."""
    return asdict(decision) | {"parents": list(decision.parents)}


def _file_name(time: str, digest: str) -> str:
    return f"{re.sub('[-:]', '', time)}-{digest[:12]}.json"


def _read(path: Path) -> Decision:
    """Read one file and check that it is what its name says."""
    match = _NAME.fullmatch(path.name)
    if not match or not path.is_file() or path.is_symlink():
        raise IntegrityError(
            path, "is no decision: it does not belong into the audit", remedy="move it elsewhere"
        )
    raw = path.read_bytes()
    digest = sha256(raw).hexdigest()
    if not digest.startswith(match[2]):
        raise IntegrityError(
            path, f"was altered or renamed: its hash begins with {digest[:12]}", remedy=_RESTORE
        )
    try:
        content = json.loads(raw)
        is_canonical = (canonical_json(content) + "\n").encode() == raw
    except ValueError:
        content, is_canonical = None, False
    if (
        not is_canonical
        or not _is_valid(content)
        or _file_name(content["time"], digest) != path.name
    ):
        raise IntegrityError(
            path, "is no decision as this version writes it, or was renamed", remedy=_RESTORE
        )
    return Decision(
        hash=digest,
        parents=tuple(content.pop("parents")),
        action=cast("Action", content.pop("action")),
        **content,
    )


def _is_valid(content: Any) -> bool:
    if not isinstance(content, dict) or set(content) != set(_FIELDS):
        return False
    if not all(isinstance(content[name], kind) for name, kind in _FIELDS.items()):
        return False
    texts = [*content["parents"], *content["aliases"].values()]
    return content["action"] in get_args(Action) and all(isinstance(text, str) for text in texts)


def _sort(decisions: list[Decision]) -> list[Decision]:
    """Order a graph: parents first, then by time and hash."""
    waiting = {each.hash: len(set(each.parents)) for each in decisions}
    children: dict[str, list[Decision]] = {each.hash: [] for each in decisions}
    for each in decisions:
        for parent in set(each.parents):
            children[parent].append(each)
    by_hash = {each.hash: each for each in decisions}
    ready = [(each.time, each.hash) for each in decisions if not each.parents]
    heapq.heapify(ready)
    ordered: list[Decision] = []
    while ready:
        decision = by_hash[heapq.heappop(ready)[1]]
        ordered.append(decision)
        for child in children[decision.hash]:
            waiting[child.hash] -= 1
            if not waiting[child.hash]:
                heapq.heappush(ready, (child.time, child.hash))
    return ordered
