"""Does the registry stand where the audit has it, and is every entry of the audit still there?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.ground.errors import IntegrityError
from pipeline.promotion.aliases import ALIASES, Board, audit_folder, read_board
from pipeline.promotion.decisions import CANDIDATE, Decision, read_audit, replay, rivals
from pipeline.repo.git import ask_git, ask_line
from pipeline.track.connection import Tracking
from pipeline.version.registry import DECIDED, MODEL


@dataclass(frozen=True)
class Drift:
    """How registry and audit differ, a line each."""

    wrong: tuple[str, ...]
    """What only a hand can have done, or an entry that is nowhere here."""

    notes: tuple[str, ...]
    """What another branch explains."""

    met: tuple[str, ...]
    """Decisions that two clones made apart, and that nobody has settled yet."""


def find_drift(tracking: Tracking, name: str, decisions: Sequence[Decision]) -> Drift:
    """Return each alias and tag that is not as the audit has it, and what happened."""
    board, wanted = read_board(tracking, name, decisions), replay(decisions, name)
    wrong, notes, met = [], [], []
    for alias in ALIASES:
        apart, present = rivals(decisions, name, alias), board.at(alias)
        if present is not None and present.tags.get(MODEL) in {each.model for each in apart}:
            met.append(_tell_met(board, alias, apart))
        elif line := _alias(board, alias, wanted.get(alias)):
            wrong.append(line)
    for version in board.versions:
        if board.is_known(version):
            continue
        digest = str(version.tags[DECIDED])[:12]
        where = f"models:/{name}/{version.version}: its decision {digest}"
        commit = _commit_of(digest)
        if commit:
            notes.append(f"{where} is in commit {commit}, not here (merge it)")
        else:
            wrong.append(
                f"{where} is in no commit here: it was made in another clone, or was removed "
                "(pull and merge, or restore audit/)"
            )
    return Drift(tuple(wrong), tuple(notes), tuple(met))


def _tell_met(board: Board, alias: str, apart: Sequence[Decision]) -> str:
    """Return that two clones decided apart, where the alias is, and how to settle it."""
    told = " and ".join(
        f"{each.action} of model {each.model[:12]} by {each.by}, {each.time} [{each.hash[:12]}]"
        for each in apart
    )
    numbers = [str(found.version) for each in apart if (found := board.holding(each.model))]
    options = " or ".join(f"`rootstock promote {number}`" for number in numbers)
    return (
        f"models:/{board.name}@{alias}: two decisions met that were made apart: {told}; it is at "
        f"version {board.aliases.get(alias)} now (settle it with {options}: who is not champion "
        "contends with who is; or with `rootstock sync`: the later decision counts)"
    )


def _alias(board: Board, alias: str, model: str | None) -> str | None:
    present = board.at(alias)
    where = f"models:/{board.name}@{alias}"
    if present is None:
        if model is None or not board.versions:
            return None  # no alias, or no registry yet
        return f"{where}: is gone; by the audit model {model[:12]} has it (run `rootstock sync`)"
    if present.tags.get(MODEL) == model or not board.is_known(present):
        return None
    if alias == CANDIDATE and board.decision_on(present) is None:
        return None  # it waits for its decision
    return (
        f"{where}: was moved by hand to version {present.version}; by the audit "
        f"{f'model {model[:12]}' if model else 'none'} has it (run `rootstock sync` to undo, or "
        f"`rootstock promote {present.version}` to have it decided)"
    )


def _commit_of(digest: str) -> str:
    """Return a commit of any branch that has the entry of a hash; empty where there is none."""
    path = f"{audit_folder().as_posix()}/*-{digest}.json"
    return ask_line(Path(), "log", "--all", "-1", "--format=%h", "--", path)


def read_sound_audit(folder: Path) -> list[Decision]:
    """Read all decisions, oldest first, and see that none was altered or removed; offline.

    Raises:
        IntegrityError: One was altered, renamed or removed.
    """
    decisions = read_audit(folder)
    check_removed(folder)
    return decisions


def check_removed(folder: Path) -> None:
    """See that every entry that the history of HEAD has is still there.

    Raises:
        IntegrityError: One was removed.
    """
    listed = ask_git(
        Path(),
        "log",
        "HEAD",
        "--no-renames",
        "--diff-filter=A",
        "--name-only",
        "--format=",
        "--relative",
        "--",
        f"{folder.as_posix()}/*.json",
    )
    for name in sorted(set((listed or "").split("\n")) - {""}):
        if not Path(name).exists():
            commit = ask_line(
                Path(), "log", "HEAD", "-1", "--diff-filter=A", "--format=%h", "--", name
            )
            raise IntegrityError(
                name,
                f"was removed; commit {commit} has it",
                remedy=f"restore it with `git checkout {commit} -- {name}`",
            )
