"""One decision: the contest is held, the entry written, and then the aliases move.

A question (the same candidate, champion, test items and rules) that was refused is not asked again,
so whatever is repeated leaves one entry.
"""

import getpass
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.ground.errors import IntegrityError
from pipeline.ground.files import sha256_json
from pipeline.promotion.aliases import (
    ALIASES,
    Board,
    apply_decision,
    audit_folder,
    read_board,
    restore_aliases,
)
from pipeline.promotion.contender import Unfit
from pipeline.promotion.contest import Arena, Contest, rules
from pipeline.promotion.decisions import (
    CANDIDATE,
    CHAMPION,
    Action,
    Decision,
    Draft,
    champions,
    read_audit,
    replay,
    rivals,
    write_decision,
)
from pipeline.repo.git import ask_line
from pipeline.version.registry import MODEL
from pipeline.version.version_run import run_of, why_gone

if TYPE_CHECKING:
    from pipeline.version.registry import ModelVersion

log = logging.getLogger(__name__)

_TRIES = 5


@dataclass(frozen=True)
class Answer:
    """What was decided, and whether just now or before."""

    decision: Decision
    is_new: bool


@dataclass(frozen=True)
class Ruling:
    """What is to be decided."""

    action: Action
    reason: str
    evidence: dict[str, Any]


class ChampionAway(IntegrityError):
    """The champion by the audit has no version in this registry, or no run to be measured by."""


def decide(
    arena: Arena,
    version: "ModelVersion",
    *,
    is_candidate: bool = False,
    reason: str = "",
    override: bool = False,
) -> Answer:
    """Judge and record; anew where the champion changed meanwhile."""
    for _ in range(_TRIES):
        decisions = read_audit(audit_folder())
        board = read_board(arena.tracking, arena.params.name, decisions)
        champion = board.at(CHAMPION)
        if champion is not None and champion.version == version.version:
            known = board.decision_on(version)
            met = [each.hash for each in rivals(decisions, version.name, CHAMPION)]
            if known is not None and CHAMPION in known.moves and not met:
                return Answer(known, is_new=False)
            told = (
                "stays champion: settles two decisions that met"
                if met
                else ("was champion before the audit began")
            )
            ruling = Ruling("promote", _join(reason, told), {"met": met} if met else {})
            return record(arena, version, ruling, is_candidate=is_candidate)
        champion = champion or _lost_champion(arena, board, decisions, version, override=override)
        if not override:
            _check_runs(arena, version, champion)
        judged = _judge(arena, decisions, version, champion, override=override)
        if isinstance(judged, Decision):
            return Answer(judged, is_new=False)
        now = read_board(arena.tracking, arena.params.name, decisions).at(CHAMPION)
        if (now and now.version) == (champion and champion.version):
            ruling = replace(judged, reason=_join(reason, judged.reason))
            return record(arena, version, ruling, is_candidate=is_candidate)
        log.info("the champion changed meanwhile: judged again")
    raise IntegrityError(
        f"models:/{arena.params.name}@{CHAMPION}",
        "keeps changing",
        remedy="try again when others are done",
    )


def _join(given: str, found: str) -> str:
    given = given.strip()
    return f"{given} ({found})" if given and found else given or found


def _lost_champion(
    arena: Arena,
    board: Board,
    decisions: list[Decision],
    version: "ModelVersion",
    *,
    override: bool,
) -> "ModelVersion | None":
    """Return the champion that the audit has and no alias; None where there was never one.

    It may be one whose inputs are the candidate's own, trained on another machine to other bits:
    then the candidate is that champion, and needs to beat nobody.
    """
    model = replay(decisions, board.name).get(CHAMPION)
    if model is None:
        return None
    found = board.holding(model)
    if found is not None:
        for line in restore_aliases(arena.tracking, board.name, decisions):
            log.info("%s", line)
        return found
    was = champions(decisions, board.name)
    if override or (was and was[-1].key == version.tags.get("dvc.key")):
        return None
    raise ChampionAway(
        f"models:/{board.name}/{version.version}",
        f"cannot be decided on: the champion by the audit, model {model[:12]}, has no version in "
        "this registry",
        remedy="run `rootstock sync`, then `rootstock promote`; or give registry.name another name",
    )


def _check_runs(arena: Arena, version: "ModelVersion", champion: "ModelVersion | None") -> None:
    """See that the runs are there that say what each was trained on; nothing is decided without."""
    client = arena.tracking.client
    for each, kind in ((champion, ChampionAway), (version, IntegrityError)):
        if each is None or not each.run_id or run_of(client, each) is not None:
            continue
        rule, remedy = why_gone(client, each)
        who = "the champion, " if each is champion else ""
        raise kind(
            f"models:/{version.name}/{version.version}",
            f"cannot be decided on: of {who}version {each.version}, {rule}",
            remedy=f"{remedy}; then `rootstock promote`",
        )


def _judge(
    arena: Arena,
    decisions: list[Decision],
    version: "ModelVersion",
    champion: "ModelVersion | None",
    *,
    override: bool,
) -> Ruling | Decision:
    """Hold the contest and give what follows from it; or the decision that answers it already."""
    asked: dict[str, Any] = {
        "candidate": version.tags.get(MODEL),
        "champion": champion.tags.get(MODEL) if champion else None,
        "rules": rules(arena.params),
        "override": override,
    }
    against = {"model": asked["champion"], "version": str(champion.version)} if champion else None
    evidence: dict[str, Any] = {"against": against, "rules": asked["rules"]}
    try:
        contest = Contest(arena, version, champion)
        asked["test"] = evidence["test"] = contest.test
        evidence["question"] = sha256_json(asked)
        if known := _answer(decisions, version, evidence["question"]):
            return known
        found = contest.hold()
    except Unfit as error:
        if "question" not in evidence:
            evidence["question"] = sha256_json(asked | {"unfit": str(error)})
            if known := _answer(decisions, version, evidence["question"]):
                return known
        evidence["unfit"] = str(error)
        return Ruling("override" if override else "refuse", str(error), evidence)
    evidence |= found.evidence
    if not found.is_passed:
        return Ruling("override" if override else "refuse", found.reason, evidence)
    first = "there was no champion yet"
    return Ruling("promote", found.reason if champion else _join(first, found.reason), evidence)


def _answer(decisions: list[Decision], version: "ModelVersion", question: str) -> Decision | None:
    """Return the last decision on a version, if it refused the same.

    A promotion is no answer: if its version is not champion now, it was taken back since.
    """
    mine = [
        each
        for each in decisions
        if each.name == version.name and each.model == version.tags.get(MODEL)
    ]
    is_same = bool(mine) and mine[-1].evidence.get("question") == question
    return mine[-1] if is_same and mine[-1].action == "refuse" else None


def record(arena: Arena, version: "ModelVersion", ruling: Ruling, *, is_candidate: bool) -> Answer:
    """Write the entry, then carry it out."""
    folder, name, mine = audit_folder(), arena.params.name, version.tags[MODEL]
    board = read_board(arena.tracking, name, read_audit(folder))
    aliases = _models_at(board)
    if is_candidate or CANDIDATE not in aliases:
        aliases[CANDIDATE] = mine
    if ruling.action != "refuse":
        aliases[CHAMPION] = mine
    draft = Draft(
        by=author(),
        action=ruling.action,
        name=name,
        model=mine,
        key=version.tags.get("dvc.key", ""),
        version=str(version.version),
        aliases=aliases,
        reason=ruling.reason,
        evidence=ruling.evidence,
    )
    decision = write_decision(folder, draft)
    apply_decision(arena.tracking, version, decision)
    log.info(
        "%s version %s: %s: %s", name, version.version, _WORDS[decision.action], decision.reason
    )
    log.info("recorded in %s: commit it (`git add audit`)", folder / decision.file_name)
    return Answer(decision, is_new=True)


_WORDS: Mapping[Action, str] = {
    "promote": "is champion",
    "override": "is champion, against the gates",
    "refuse": "not champion",
    "rollback": "is champion again",
}


def _models_at(board: Board) -> dict[str, str]:
    at = {alias: board.at(alias) for alias in ALIASES}
    return {alias: v.tags[MODEL] for alias, v in at.items() if v is not None and MODEL in v.tags}


def author() -> str:
    """Return the name that git signs with, else that of the user."""
    return ask_line(Path(), "config", "user.name") or getpass.getuser()
