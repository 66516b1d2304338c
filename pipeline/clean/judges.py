"""The judges of items, in their order: the first reason stands.

What a path, then a file, then a person, then a fact, then a label, then another item has against
it. A judge returns verdicts on kept rows; some learn what a later one needs, or stop the stage.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.clean.case import Case, Verdict
from pipeline.clean.duplicates import find_duplicates, is_repeated
from pipeline.clean.labels import check_labels, check_policy, fill_labels
from pipeline.clean.leaks import PROOF, identical_leaks, refuse_leaks
from pipeline.clean.near import NearDuplicates, NearRule, find_near_duplicates
from pipeline.clean.near_report import near_warnings, refuse_many_near
from pipeline.clean.stops import refuse_too_many_bad, refuse_unusable
from pipeline.manifest.manifest import DROPPED, FORGOTTEN, KEPT, QUARANTINED
from pipeline.manifest.review import Decision
from pipeline.manifest.small_classes import place_small_classes
from pipeline.manifest.split import NOT_GIVEN, assign_splits, plan_splits
from pipeline.modality.facts import facts
from pipeline.raw.visible import visible

log = logging.getLogger(__name__)

_LOGGED = 20
_DEALT = ("path", "split", "group", "content_hash")
"""Columns by which splits are dealt."""


def by_review(case: Case) -> Iterable[Verdict]:
    """Apply what people decided; warn of what had no effect."""
    table = case.table
    decided = _decided(table, case.rules.decisions)
    relabels = [(row, each) for row, each in decided if each.action == "relabel"]
    rows = [row for row, _ in relabels]
    settled = table.index.isin(rows) & (table["reason"] == "conflict")
    table.loc[settled, ["status", "reason", "detail"]] = [KEPT, None, ""]
    if rows:  # else the columns would be copied
        table.loc[rows, "label"] = [each.label for _, each in relabels]
        table.loc[rows, "where"] = [each.where for _, each in relabels]
    if unknown := sorted(set(case.rules.decisions) - set(table["id"].dropna())):
        case.warnings.append(
            f"{case.rules.decisions[unknown[0]].where}: no item has this id; {len(unknown)} of "
            f"{len(case.rules.decisions)} decisions are so"
        )
    return [
        Verdict(row, DROPPED, "review", each.where)
        for row, each in decided
        if each.action == "drop"
    ]


def _decided(table: pd.DataFrame, decisions: Mapping[str, Decision]) -> list[tuple[Any, Decision]]:
    """Return the rows that decisions are on: by bytes, and by content under the same label.

    A copy in another format would else take the place of what a person dropped. Under another label
    it is left: to drop one of two may be how a conflict is settled.
    """
    if not decisions:
        return []
    keys = list(zip(table["content_hash"].fillna(""), table["label"].fillna(""), strict=True))
    on_copies: dict[tuple[str, str], dict[str, Decision]] = {}
    for key, each in zip(keys, table["id"], strict=True):
        if each in decisions and key[0]:
            on_copies.setdefault(key, {})[decisions[each].text] = decisions[each]
    shared = {key: list(found.values()) for key, found in on_copies.items()}
    decided = []
    for row, key, each in zip(table.index, keys, table["id"], strict=True):
        found = [decisions[each]] if each in decisions else shared.get(key, [])
        if len(found) == 1:  # where people decided on copies one by one, on none but these
            decided.append((row, found[0]))
    return decided


def by_forgotten(case: Case) -> Iterable[Verdict]:
    """Drop what was forgotten and came back: by its bytes, or by what they decode to."""
    table, gone = case.table, case.rules.forgotten
    is_back = table["id"].isin(gone.ids) | table["content_hash"].isin(gone.contents)
    rows = table.index[is_back]
    if len(rows):
        case.warnings.append(
            f"{len(rows)} items that were to be forgotten are in the raw data again, and are left "
            f"out; first: {table['path'].loc[rows[0]]} (`rootstock forget` takes them out)"
        )
    return [Verdict(row, DROPPED, FORGOTTEN) for row in rows]


def by_label(case: Case) -> Iterable[Verdict]:
    """Bring labels into the form of the manifest; stop at those that cannot be meant."""
    case.table["label"], warnings = check_labels(case.table, case.rules.task)
    case.warnings += warnings
    return ()


def by_facts(case: Case) -> Iterator[Verdict]:
    """Refuse what the modality's facts say is unfit, unless a person wants it kept."""
    own, wanted = list(facts(case.modality).columns), case.decided("keep")
    for row, digest, *values in case.kept("id", *own).itertuples(name=None):
        if digest in wanted:
            continue
        if fault := case.reader.fault(dict(zip(own, values, strict=True)), case.rules.clean):
            yield Verdict(row, QUARANTINED, *fault)


def by_missing_label(case: Case) -> Iterable[Verdict]:
    """Fill labels by the policy, and set aside what stays without one."""
    table, rules, policy = case.table, case.rules, case.rules.clean.missing_label
    is_filled = policy not in ("quarantine", "drop")
    case.dealing, carved = plan_splits(
        table["split"][table["label"].notna() | is_filled], rules.split
    )
    case.warnings += carved
    is_missing = (table["status"] == KEPT) & table["label"].isna()
    if not is_missing.any():
        check_policy(policy, rules.task)
        case.filled = table["label"][:0]
        return []
    labeled = case.kept(*_DEALT, "label").dropna(subset="label")
    asked = table[["path", "label", "row"]].assign(
        split=assign_splits(labeled, rules.split, case.dealing).reindex(table.index),
        is_missing=is_missing,
    )
    case.filled = fill_labels(asked, policy, rules.task)
    table.loc[case.filled.index, "label"] = case.filled
    status = DROPPED if policy == "drop" else QUARANTINED
    rest = table.index[is_missing & table["label"].isna()]
    return [Verdict(row, status, "no_label") for row in rest]


def by_copies(case: Case) -> Iterable[Verdict]:
    """Keep one of several equal items, none where their labels differ."""
    statuses = {"duplicate": DROPPED, "conflict": QUARANTINED}
    hashes = case.kept("content_hash")["content_hash"]
    columns = ["path", "label", "split", "content_hash"]
    found = find_duplicates(case.table.loc[hashes.index[is_repeated(hashes)], columns])
    case.identical = identical_leaks(case.table, found)
    return [Verdict(each.row, statuses[each.reason], each.reason, each.detail) for each in found]


def stop_at_too_many_bad(case: Case) -> Iterable[Verdict]:
    """Stop where too much is bad by itself."""
    _tell_lost(case.table)
    refuse_too_many_bad(case.table, case.rules.clean.max_bad_frac, where=case.where)
    return ()


def by_small_class(case: Case) -> Iterable[Verdict]:
    """Deal the splits, and leave out classes of which none is in train.

    From here on, `given` holds the splits that the user gave, `split` those that kept rows have.
    """
    table, rules = case.table, case.rules
    table["given"] = table["split"]
    dealt = assign_splits(case.kept(*_DEALT), rules.split, case.dealing)
    table["split"] = dealt.reindex(table.index)
    case.placed = place_small_classes(
        table, rules.split, case.dealing, rules.pins, is_classification=case.is_classification
    )
    table["split"] = case.placed.splits.reindex(table.index)
    case.warnings += case.placed.warnings
    return [Verdict(row, DROPPED, "untrained") for row in case.placed.dropped]


def by_near_copies(case: Case) -> Iterable[Verdict]:
    """Drop what is nearly the same as an item of a more protected split; stop at given leaks."""
    kept, rule = case.kept("path", "label", "split", "sketch"), case.near_rule
    is_wanted = case.table["id"].isin(case.decided("keep"))
    case.compared = kept[["label", "split"]]
    pieces = case.probes.sketches
    case.near = find_near_duplicates(kept, rule, is_wanted, case.spill, pieces=pieces)
    if case.rules.clean.leaks == "refuse":
        leaks = _given_leaks(case.table, case.near, rule)
        refuse_leaks(case.identical, leaks, PROOF, resembling=case.reader.resembling)
    return [
        Verdict(each.row, DROPPED, "near_duplicate_of", each.detail) for each in case.near.dropped
    ]


def _given_leaks(table: pd.DataFrame, near: NearDuplicates, rule: NearRule) -> pd.DataFrame:
    """Return pairs across splits that the user gave: not those within what was carved."""
    if rule.policy != "drop":
        return near.leaks[:0]
    given = table.set_index("path")["given"]
    first, second = (given.loc[near.leaks[name]].to_numpy() for name in ("path_a", "path_b"))
    is_given = np.asarray(pd.notna(first) & (first != second), dtype=bool)
    return near.leaks.loc[is_given]


def stop_at_unusable(case: Case) -> Iterable[Verdict]:
    """Stop where near-duplicates take too much, or too little is left; warn of the rest."""
    most, is_given = case.rules.clean.max_near_frac, NOT_GIVEN not in case.dealing
    refuse_many_near(case.compared, case.near, case.near_rule, most, where=case.where)
    refuse_unusable(
        case.table, is_classification=case.is_classification, is_given=is_given, where=case.where
    )
    case.warnings += _idle_keeps(case.table, case.rules.decisions)
    case.warnings += _useful_keeps(case.table, case.near, case.rules.decisions)
    case.warnings += near_warnings(case.near)
    return ()


def _idle_keeps(table: pd.DataFrame, decisions: Mapping[str, Decision]) -> list[str]:
    """Warn of items that people wanted to keep and that cannot be kept."""
    if not any(each.action == "keep" for each in decisions.values()):
        return []
    is_kept = table["status"] == KEPT
    lost = table[~is_kept & ~table["id"].isin(table["id"][is_kept])]
    return [
        f"{decisions[each].where}: {path} is to be kept, and cannot be: {reason}"
        for each, path, reason in zip(lost["id"], lost["path"], lost["reason"], strict=True)
        if each in decisions and decisions[each].action == "keep"
    ]


def _useful_keeps(
    table: pd.DataFrame, near: NearDuplicates, decisions: Mapping[str, Decision]
) -> list[str]:
    """Warn of items that a person keeps although they leak."""
    ids = table["id"].loc[[each.row for each in near.wanted]]
    return [
        f"{decisions[digest].where}: {each.path} stays in {each.split}, although it is "
        f"{each.detail}"
        for digest, each in zip(ids, near.wanted, strict=True)
    ]


JUDGES: tuple[Callable[[Case], Iterable[Verdict]], ...] = (
    by_review,
    by_forgotten,
    by_label,
    by_facts,
    by_missing_label,
    by_copies,
    stop_at_too_many_bad,
    by_small_class,
    by_near_copies,
    stop_at_unusable,
)
"""In their order. Before them, the look at paths and files has set aside what it could not read."""


def hear(case: Case) -> None:
    """Let all judges judge, one after the other.

    Raises:
        DataError: Too much is bad, the given splits leak (a proof is written), or what is left
            cannot be learned from.
    """
    for judge in JUDGES:
        _set_aside(case.table, list(judge(case)))


def _set_aside(table: pd.DataFrame, verdicts: Sequence[Verdict]) -> None:
    """Take kept rows out of use, all at once: text columns are copied whenever they are set."""
    if not verdicts:
        return
    rows = [verdict.row for verdict in verdicts]
    for name in ("status", "reason", "detail"):
        table.loc[rows, name] = [getattr(verdict, name) for verdict in verdicts]
    if "given" in table:  # the splits have been dealt, and what was bad before has been told
        table.loc[rows, "split"] = None
        _tell_lost(table.loc[rows])


def _tell_lost(table: pd.DataFrame) -> None:
    """Log what is not kept, before a rule stops the stage."""
    lost = table[table["status"] != KEPT]
    for row in lost[:_LOGGED].itertuples():
        log.info("%s", visible(f"{row.path}: {row.status}, {row.reason}: {row.detail}"))
    if len(lost) > _LOGGED:
        log.info("... and %d more", len(lost) - _LOGGED)
