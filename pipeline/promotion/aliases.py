"""The aliases of a registered model follow the audit: they move here, and nowhere else.

A decision is written first; then the aliases move, and the tag `audit` of the version comes last. A
version whose tag is not that of its last decision is therefore one that a kill interrupted, or one
that was registered anew in an empty database; in either case the audit says what is missing.

Branches and clones share a registry, and each has only the decisions that were merged into it. An
alias at a version whose tag names a decision that is not here was moved by someone who knew more:
it is left alone.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.promotion.decisions import CANDIDATE, CHAMPION, Decision, replay
from pipeline.repo.lock import AUDIT
from pipeline.repo.state import state_folder
from pipeline.track.connection import Tracking
from pipeline.version.registry import DECIDED, DECISION, MODEL, list_versions, read_aliases

if TYPE_CHECKING:
    from pipeline.version.registry import ModelVersion

log = logging.getLogger(__name__)

ALIASES = (CANDIDATE, CHAMPION)


def audit_folder() -> Path:
    """Return the folder `audit` of the repository.

    Under `dvc exp run --temp` and `--queue` it is that of the repository itself: the folder that
    the experiment runs in is thrown away, and DVC takes no new files from it.
    """
    root = state_folder().parent
    return AUDIT if root.resolve() == Path.cwd().resolve() else root / AUDIT


@dataclass(frozen=True)
class Board:
    """The registered model as it is: versions, aliases, and what the audit knows of them."""

    name: str
    versions: "tuple[ModelVersion, ...]"
    aliases: Mapping[str, str]
    """Alias -> number of the version."""

    last: Mapping[str, Decision]
    """`dvc.model` -> the last decision on it."""

    known: frozenset[str]
    """Hashes of all decisions."""

    def at(self, alias: str) -> "ModelVersion | None":
        """Return the version that an alias points to."""
        number = self.aliases.get(alias)
        return next((each for each in self.versions if str(each.version) == number), None)

    def holding(self, model: str | None) -> "ModelVersion | None":
        """Return the oldest version that holds a model."""
        return next((v for v in self.versions if v.tags.get(MODEL) == model), None)

    def is_known(self, version: "ModelVersion") -> bool:
        """Return whether the decision that a version's tag names is here, or it has none."""
        return version.tags.get(DECIDED) in {None, *self.known}

    def decision_on(self, version: "ModelVersion") -> Decision | None:
        """Return the last decision on a version that is here."""
        return self.last.get(version.tags.get(MODEL, ""))

    def unsettled(self) -> "list[tuple[ModelVersion, Decision]]":
        """Return the versions that do not have the tag of their last decision yet."""
        firsts = [self.holding(model) for model in self.last]
        pairs = [(each, self.last[each.tags[MODEL]]) for each in firsts if each is not None]
        return [
            (version, decision)
            for version, decision in pairs
            if version.tags.get(DECIDED) != decision.hash and self.is_known(version)
        ]


def read_board(tracking: Tracking, name: str, decisions: Sequence[Decision]) -> Board:
    """Look at the registry."""
    versions = tuple(list_versions(tracking, name))
    return Board(
        name=name,
        versions=versions,
        aliases=read_aliases(tracking, name) if versions else {},
        last={each.model: each for each in decisions if each.name == name},
        known=frozenset(each.hash for each in decisions),
    )


def settle(tracking: Tracking, name: str, decisions: Sequence[Decision]) -> list[Decision]:
    """Complete what a kill interrupted; give the decisions that were completed."""
    pending = read_board(tracking, name, decisions).unsettled()
    if pending:
        for line in restore_aliases(tracking, name, decisions):
            log.info("%s", line)
    return [decision for _, decision in pending]


def restore_aliases(tracking: Tracking, name: str, decisions: Sequence[Decision]) -> list[str]:
    """Set the aliases and tags of a registered model as the audit has them.

    Versions are found by their tag `dvc.model`; their numbers may be other ones than when they were
    decided on. A candidate that waits for its decision keeps its alias.

    Args:
        tracking: The registry's server.
        name: The registered model.
        decisions: In the order of `read_audit`.

    Returns:
        A line for each alias that was moved, or that could not be.
    """
    board = read_board(tracking, name, decisions)
    lines = []
    for alias, model in sorted(replay(decisions, name).items()):
        if alias in ALIASES and (line := _restore(tracking, board, alias, model)):
            lines.append(line)
    for version, decision in board.unsettled():
        tag_version(tracking, version, decision)
    return lines


def _restore(tracking: Tracking, board: Board, alias: str, model: str) -> str | None:
    target, present = board.holding(model), board.at(alias)
    name = f"{board.name}: @{alias}"
    if target is None:
        return (
            f"{name}: the registry has no version of model {model[:12]}, which has it by the audit "
            "(run `rootstock sync`)"
        )
    if present is not None and present.version == target.version:
        return None
    if present is not None and not board.is_known(present):
        return f"{name}: stays at version {present.version}, whose decision is not in audit/ here"
    if present is not None and alias == CANDIDATE and board.decision_on(present) is None:
        return None
    tracking.client.set_registered_model_alias(board.name, alias, str(target.version))
    return f"{name}: set to version {target.version}, as the audit has it"


def apply_decision(tracking: Tracking, version: "ModelVersion", decision: Decision) -> None:
    """Move the aliases as a decision says, and tag the version with it, last."""
    for alias in decision.moves:
        tracking.client.set_registered_model_alias(decision.name, alias, str(version.version))
    tag_version(tracking, version, decision)


def tag_version(tracking: Tracking, version: "ModelVersion", decision: Decision) -> None:
    """Write the last decision on a version into its tags."""
    for tag, value in ((DECISION, decision.reason), (DECIDED, decision.hash)):
        tracking.client.set_model_version_tag(version.name, version.version, tag, value[:5000])
