"""The audit for people: what was decided, and how often each test split has been scored.

Every score on a test split tells something of it, and whoever picks the best of many candidates
picks some of their luck. A candidate that is no better than the champion passes a two-sided
interval of 95 % once in forty times; of many, one will.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.judge.metrics import shown
from pipeline.promotion.decisions import CHAMPION, Decision

OFTEN = 10
"""Candidates on one test split from which on it is said that some of them win by luck."""


@dataclass(frozen=True)
class Scored:
    """How often a test split was scored for a decision."""

    split: str
    """Digest of its ids and labels."""

    items: int
    times: int
    candidates: int
    """Different models."""

    luck: float
    """Chance, 0..1, that one of so many that are no better than the champion passes its interval,
    if each were tried on items of its own."""

    @property
    def is_often(self) -> bool:
        """Whether it has been scored by so many that luck counts."""
        return self.candidates >= OFTEN


def count_scores(decisions: Iterable[Decision], name: str) -> list[Scored]:
    """Count what the decisions on a registered model say of each test split, in their order."""
    splits: dict[str, list[Decision]] = {}
    for decision in decisions:
        test = decision.evidence.get("test")
        if decision.name == name and isinstance(test, dict) and "gates" in decision.evidence:
            splits.setdefault(str(test["split"]), []).append(decision)
    counts = []
    for split, each in splits.items():
        models = {decision.model for decision in each}
        rules = each[-1].evidence["rules"]
        luck = 1.0 - (1.0 - (1.0 - float(rules["confidence"])) / 2) ** len(models)
        items = int(each[-1].evidence["test"]["split_items"])
        counts.append(Scored(split, items, len(each), len(models), luck))
    return counts


def tell_history(decisions: Sequence[Decision], name: str) -> str:
    """Return the decisions on a registered model, oldest first, and the counts, as lines."""
    mine = [decision for decision in decisions if decision.name == name]
    if not mine:
        return f"The audit has no decision on {name}.\n"
    count = "1 decision" if len(mine) == 1 else f"{len(mine)} decisions"
    lines = [f"{count} on {name}, oldest first:", ""]
    for decision in mine:
        lines.append(
            f"{decision.time}  {decision.action:<8}  version {decision.version}, model "
            f"{decision.model[:12]}, by {decision.by}  [{decision.hash[:12]}]"
        )
        lines.append(f"    {decision.reason}")
    lines.append("")
    lines += [tell_scored(each) for each in count_scores(mine, name)]
    return "\n".join(lines) + "\n"


def tell_scored(scored: Scored) -> str:
    """Return the line on a test split."""
    text = (
        f"test split {scored.split[:12]} ({scored.items} items): scored for "
        f"{scored.times} {'decision' if scored.times == 1 else 'decisions'}, by "
        f"{scored.candidates} {'candidate' if scored.candidates == 1 else 'candidates'}"
    )
    if not scored.is_often:
        return text
    return (
        f"warning: {text}; if none were better than the champion, one would pass by luck with a "
        f"chance of about {scored.luck:.0%}: a new test split would tell"
    )


def tell_decision(decision: Decision) -> str:
    """Return one decision, with every gate, as lines."""
    champion = decision.aliases.get(CHAMPION)
    lines = [
        f"models:/{decision.name}/{decision.version}: {_WORDS[decision.action]}",
        *(f"  {line}" for line in tell_evidence(decision)),
        f"  champion is now model {champion[:12] if champion else 'none'}",
    ]
    return "\n".join(lines) + "\n"


def tell_evidence(decision: Decision) -> list[str]:
    """Return the reason of a decision, and what was measured for it, as lines."""
    lines = [decision.reason]
    test = decision.evidence.get("test")
    if test:
        left = test.get("left_out") or {}
        lines.append(
            f"{test['items']} of {test['split_items']} test items; left out: "
            f"{left.get('items', 0)} in train or val of one, {left.get('of_groups', 0)} in a group "
            "of it"
        )
    scores = decision.evidence.get("scores")
    if scores:
        lines.append(", ".join(f"{name} {scores[name]:.4f}" for name in shown(scores, place=3)))
    return lines + _tell_gates(decision.evidence.get("gates", []))


def _tell_gates(gates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each gate; of many, those that failed come first, and the rest is counted.

    There is a gate for each class.
    """
    if len(gates) > _MANY:
        gates = sorted(gates, key=lambda gate: bool(gate["is_passed"]))
    lines = [
        f"{'passed' if gate['is_passed'] else 'FAILED'}  {gate['text']}" for gate in gates[:_MANY]
    ]
    rest = [gate["is_passed"] for gate in gates[_MANY:]]
    more = f"and {len(rest)} more gates, {rest.count(False)} of them FAILED"
    return [*lines, *([more] if rest else [])]


_MANY = 20
"""Gates that are told one by one."""

_WORDS = {
    "promote": "is champion",
    "override": "is champion, against the gates",
    "refuse": "is not promoted",
    "rollback": "is champion again",
}
