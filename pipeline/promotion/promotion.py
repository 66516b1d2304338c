"""Who becomes champion. Three ways lead here, and aliases move on no other.

`publish` comes for each new version; `rootstock promote` for any; `rootstock rollback` goes back to
the champion before. Each completes first what a kill interrupted.
"""

import logging
from typing import TYPE_CHECKING

from pipeline.ground.errors import IntegrityError, ParamsError
from pipeline.promotion.aliases import Board, audit_folder, read_board, settle
from pipeline.promotion.contest import Arena
from pipeline.promotion.decide import Answer, ChampionAway, Ruling, decide, record
from pipeline.promotion.decisions import CANDIDATE, CHAMPION, champions, read_audit
from pipeline.version.registry import DECIDED, DECISION, FAILED, MODEL, VERIFIED, set_version_tag
from pipeline.version.version_run import run_of, why_gone

if TYPE_CHECKING:
    from pipeline.version.registry import ModelVersion

log = logging.getLogger(__name__)

WAITS = "waits for `rootstock promote`"


def decide_published(arena: Arena, version: "ModelVersion") -> None:
    """Make a version that was just verified the candidate, and decide on it, once in its life.

    With `registry.promote: manual` it waits for `rootstock promote`. It waits, too, where the
    champion of the audit is not in this registry: nobody can be measured against it.

    Raises:
        IntegrityError: The audit is damaged.
        DataError: Raw files of the test split are not there.
    """
    board = _settled(arena)
    version = _find(board, str(version.version))
    if DECIDED in version.tags:
        return
    if arena.params.promote == "manual":
        if DECISION not in version.tags:
            _make_candidate(arena, board, version)
            set_version_tag(arena.tracking, version, DECISION, WAITS)
        return
    try:
        decide(arena, version, is_candidate=True)
    except ChampionAway as error:
        _make_candidate(arena, board, version)
        log.warning("%s", error)


def promote(arena: Arena, version: str, *, reason: str = "", override: bool = False) -> Answer:
    """Let a version contend with the champion.

    Args:
        arena: Where, and by which rules.
        version: A number, or `@` and an alias.
        reason: Why, in the words of who asks; kept in the audit.
        override: Make it champion whatever the contest says; needs a reason.

    Raises:
        ParamsError: There is no such version, or an override has no reason.
        IntegrityError: The version was never verified, the audit is damaged, or the champion by the
            audit is not in this registry.
        DataError: Raw files of its test split are not there.
    """
    if override and not reason.strip():
        raise ParamsError(
            "rootstock promote",
            "an override needs a reason",
            field="--reason",
            remedy='add --reason "…"',
        )
    candidate = _find(_settled(arena), version)
    verified = candidate.tags.get(VERIFIED, "not yet")
    if verified == "not yet" or verified.startswith(FAILED):
        raise IntegrityError(
            f"models:/{candidate.name}/{candidate.version}",
            "must be verified before it serves",
            field=VERIFIED,
            got=verified,
            remedy="run `dvc repro` at its commit",
        )
    return decide(arena, candidate, reason=reason, override=override)


def rollback(arena: Arena, reason: str) -> Answer:
    """Return the alias back to the champion before; nothing is trained or judged.

    Raises:
        ParamsError: There is no reason, or no champion before.
        IntegrityError: The audit is damaged, the alias is not where the audit has it, or the
            registry has no version of the champion before.
    """
    if not reason.strip():
        raise ParamsError(
            "rootstock rollback", "needs a reason", field="--reason", remedy='add --reason "…"'
        )
    tracking, name = arena.tracking, arena.params.name
    decisions = read_audit(audit_folder())
    for decision in settle(tracking, name, decisions):
        if decision.action == "rollback":  # what was asked for was killed half way
            return Answer(decision, is_new=False)
    board, line = read_board(tracking, name, decisions), champions(decisions, name)
    if len(line) < 2:
        raise ParamsError(
            "rootstock rollback",
            "the audit has no champion before this one",
            got=name,
            remedy="see `rootstock audit`",
        )
    present, before = line[-1], line[-2]
    now, target = board.at(CHAMPION), board.holding(before.model)
    if now is None or now.tags.get(MODEL) != present.model:
        raise IntegrityError(
            f"models:/{name}@{CHAMPION}",
            "is not where the audit has it",
            got=f"version {now.version}" if now else None,
            remedy="see `rootstock audit`",
        )
    if target is None:
        raise IntegrityError(
            f"models:/{name}",
            "has no version of the champion before",
            got=before.model[:12],
            remedy="run `rootstock sync`",
        )
    if run_of(tracking.client, target) is None:
        log.warning(
            "models:/%s/%s: %s (%s); it serves all the same",
            name,
            target.version,
            *why_gone(tracking.client, target),
        )
    evidence = {"from": {"model": present.model, "version": str(now.version)}}
    return record(arena, target, Ruling("rollback", reason, evidence), is_candidate=False)


def _settled(arena: Arena) -> Board:
    """Complete what a kill interrupted, and look at the registry."""
    decisions = read_audit(audit_folder())
    settle(arena.tracking, arena.params.name, decisions)
    return read_board(arena.tracking, arena.params.name, decisions)


def _find(board: Board, version: str) -> "ModelVersion":
    found = (
        board.at(version.removeprefix("@"))
        if version.startswith("@")
        else next((each for each in board.versions if str(each.version) == version), None)
    )
    if found is None:
        numbers = ", ".join(str(each.version) for each in board.versions[-5:]) or "none"
        raise ParamsError(
            f"models:/{board.name}",
            "has no such version",
            got=version,
            remedy=f"the last ones are: {numbers}",
        )
    return found


def _make_candidate(arena: Arena, board: Board, version: "ModelVersion") -> None:
    if board.aliases.get(CANDIDATE) != str(version.version):
        arena.tracking.client.set_registered_model_alias(board.name, CANDIDATE, version.version)
