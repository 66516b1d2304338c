"""Cleaning: every raw item is judged once and gets one row; no file is changed.

The first reason stands: what a path, then a file, then a picture, then a label, then another item
has against it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.clean.checks import refuse_too_many_bad, refuse_unusable, size_fault
from pipeline.clean.duplicates import find_duplicates
from pipeline.clean.labels import check_labels, fill_labels
from pipeline.clean.leaks import PROOF, identical_leaks, refuse_leaks
from pipeline.clean.near import NearDuplicates, NearRule, find_near_duplicates
from pipeline.clean.near_report import near_section, near_warnings, refuse_many_near
from pipeline.clean.params import CleanParams
from pipeline.clean.placeholders import causes, doubts
from pipeline.clean.probe_all import probe_all
from pipeline.clean.probe_cache import Known, slim
from pipeline.clean.report import Findings, build_report
from pipeline.compute.engine import MachineParams
from pipeline.ground.errors import DataError
from pipeline.ground.params import Task
from pipeline.manifest.manifest import DROPPED, KEPT, META, QUARANTINED, TEXT, typed_manifest
from pipeline.manifest.params import SplitParams
from pipeline.manifest.pins import Pin
from pipeline.manifest.review import Decision, describe_decisions
from pipeline.manifest.small_classes import Placed, place_small_classes
from pipeline.manifest.split import NOT_GIVEN, Dealing, assign_splits, expected_shares, plan_splits
from pipeline.picture.read.probe import ALARMS, NOTES, Probe
from pipeline.raw.item import RawItems
from pipeline.raw.visible import visible
from pipeline.store.spill import MEMORY, Place

log = logging.getLogger(__name__)

_LOGGED = 20
_TEXTS = (
    "path",
    "id",
    "label",
    "split",
    "group",
    "status",
    "reason",
    "detail",
    "mode",
    "format",
    "pixel_hash",
    "where",
)


@dataclass(frozen=True)
class Rules:
    """What decides what is kept, and where: sections of params.yaml, and a file of pins."""

    task: Task
    clean: CleanParams
    split: SplitParams
    pins: Mapping[str, Pin] = field(default_factory=dict)
    """By item id: `pins.read_pins`."""


@dataclass(frozen=True)
class Cleaned:
    """One row for every raw item, the report on them, and what is nearly the same."""

    manifest: pd.DataFrame
    report: dict[str, Any]
    near_duplicates: pd.DataFrame
    """One row for each pair: `near_duplicates.PAIR_COLUMNS`."""
    table: pd.DataFrame
    """What was judged, in the manifest's order: its columns, and detail, notes, pixel_hash."""
    probes: tuple[Probe, ...] = ()
    """Of all files that were opened."""


class Verdict(NamedTuple):
    """Why a row of the table, by its index, is not kept."""

    row: Any
    status: str
    reason: str
    detail: str


def clean_items(
    raw: Path,
    found: RawItems,
    *,
    decisions: Mapping[str, Decision],
    rules: Rules,
    machine: MachineParams,
    known: Known | None = None,
) -> Cleaned:
    """Probe every item and judge them all.

    Args:
        raw: The data folder.
        found: The items, by `find_items`.
        decisions: Of people, by id.
        rules: What is kept, and where.
        machine: Workers and progress.
        known: What an earlier build saw of files, and where thumbnails wait.

    Raises:
        DataError: Too much is bad, or what is left cannot be learned from.
    """
    for warning in found.warnings[:_LOGGED]:  # before a rule stops the stage
        log.warning("%s", warning)
    known = known or Known()
    openable = [item.path for item in found.items if item.reason in (None, "conflict")]
    seen = probe_all(raw, openable, rules.clean.limits(), machine, known=known.probes)
    probes = {path: slim(probe, known.spill) for path, probe in zip(openable, seen, strict=True)}
    table = tabulate(found, probes)
    try:
        cleaned = judge(
            table, found, decisions=decisions, rules=rules, where=str(raw), spill=known.spill
        )
    except DataError:
        for line in causes(table):  # one of them may be why
            log.warning("%s", line)
        raise
    _tell(cleaned.report, told=found.warnings)
    return replace(cleaned, probes=tuple(probes.values()))


def tabulate(found: RawItems, probes: Mapping[str, Probe]) -> pd.DataFrame:
    """Join items and probes to one table: the manifest's columns, and what only judging needs."""
    items, unseen = found.items, Probe()
    seen = [probes.get(item.path, unseen) for item in items]
    pairs = [(probe if probe.reason else item) for item, probe in zip(items, seen, strict=True)]
    reasons = [each.reason for each in pairs]
    columns: dict[str, Sequence[Any]] = {
        **{
            name: [getattr(item, name) for item in items]
            for name in ("path", "label", "split", "group", "weight", "row", "where")
        },
        **{
            name: [getattr(probe, name) for probe in seen]
            for name in ("id", "width", "height", "mode", "format", "pixel_hash")
        },
        "status": [QUARANTINED if reason else KEPT for reason in reasons],
        "reason": reasons,
        "detail": [each.detail for each in pairs],
    }
    for at, name in enumerate(found.meta_names):
        columns[META + name] = [None if item.meta is None else item.meta[at] for item in items]
    return pd.DataFrame(
        {name: _column(name, values) for name, values in columns.items()}
        | {"notes": _objects([probe.notes for probe in seen])}
        | {"thumbnail": _objects([probe.thumbnail for probe in seen])}
    )


def _column(name: str, values: Sequence[Any]) -> Any:
    if name == "weight":
        return np.array(values, dtype=np.float64)
    is_text = name in _TEXTS or name.startswith(META)
    return pd.array(values, dtype=TEXT if is_text else pd.Int64Dtype())


def _objects(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    """Return an array of the objects themselves: NumPy looks into them where it gets a list."""
    array = np.empty(len(values), dtype=np.object_)
    for row, value in enumerate(values):
        array[row] = value
    return array


def judge(
    table: pd.DataFrame,
    found: RawItems,
    *,
    decisions: Mapping[str, Decision],
    rules: Rules,
    where: str,
    spill: Place = MEMORY,
) -> Cleaned:
    """Judge all items of a table from `tabulate`, and report; the table is used up.

    Raises:
        DataError: Too much is bad, the given splits leak (a proof is written), or what is left
            cannot be learned from.
    """
    reviewed = describe_decisions(table, decisions)
    warnings = [*found.warnings, *_review(table, decisions)]
    table["label"], twins = check_labels(table, rules.task)
    _judge_sizes(table, decisions, rules.clean)
    dealing, carved = _plan(table, rules)
    filled = _settle_missing_labels(table, rules, dealing)
    identical = _settle_duplicates(table)
    _tell_lost(table)
    refuse_too_many_bad(table, rules.clean.max_bad_frac, where=where)
    placed = _deal(table, rules, dealing)
    kept = table[table["status"] == KEPT]
    rule = rules.clean.near_rule(rules.task)
    near = find_near_duplicates(kept, rule, _is_wanted(table, decisions), spill)
    if rules.clean.leaks == "refuse":
        refuse_leaks(identical, _given_leaks(table, near, rule), PROOF)
    _settle_near_duplicates(table, near)
    refuse_many_near(kept, near, rule, rules.clean.max_near_frac, where=where)
    refuse_unusable(
        table,
        is_classification=rules.task == "classification",
        is_given=NOT_GIVEN not in dealing,
        where=where,
    )
    warnings += [*carved, *placed.warnings, *_idle_keeps(table, decisions)]
    warnings += _useful_keeps(table, near, decisions)
    findings = Findings(
        task=rules.task,
        layout=found.layout,
        ignored=found.ignored,
        expected_shares=expected_shares(
            table["given"][table["status"] == KEPT], rules.split, dealing
        ),
        policy=rules.clean.missing_label,
        filled=filled,
        near=near_section(near, rule) | {"identical_across_splits": len(identical)},
        warnings=[*warnings, *twins, *near_warnings(near), *doubts(table)],
        review=reviewed,
        placed=placed.moved,
    )
    return Cleaned(typed_manifest(table), build_report(table, findings), near.pairs, table)


def _plan(table: pd.DataFrame, rules: Rules) -> tuple[Dealing, list[str]]:
    """Choose how to deal, from the given splits of what has a label, whatever else is bad."""
    is_filled = rules.clean.missing_label not in ("quarantine", "drop")
    return plan_splits(table["split"][table["label"].notna() | is_filled], rules.split)


def _deal(table: pd.DataFrame, rules: Rules, dealing: Dealing) -> Placed:
    """Set `given` to the given splits, and `split` to those that kept rows have from now on."""
    table["given"] = table["split"]
    kept = table[table["status"] == KEPT]
    table["split"] = assign_splits(kept, rules.split, dealing).reindex(table.index)
    placed = place_small_classes(
        table, rules.split, dealing, rules.pins, is_classification=rules.task == "classification"
    )
    table["split"] = placed.splits.reindex(table.index)
    dropped = [Verdict(row, DROPPED, "untrained", "") for row in placed.dropped]
    _set_aside(table, dropped)
    table.loc[list(placed.dropped), "split"] = None
    _tell_lost(table.loc[list(placed.dropped)])
    return placed


def _given_leaks(table: pd.DataFrame, near: NearDuplicates, rule: NearRule) -> pd.DataFrame:
    """Return pairs across splits that the user gave: not those within what was carved."""
    if rule.policy != "drop":
        return near.leaks[:0]
    given = table.set_index("path")["given"]
    first, second = (given.loc[near.leaks[name]].to_numpy() for name in ("path_a", "path_b"))
    is_given = np.asarray(pd.notna(first) & (first != second), dtype=bool)
    return near.leaks.loc[is_given]


def _set_aside(table: pd.DataFrame, verdicts: Sequence[Verdict]) -> None:
    """Take kept rows out of use, all at once: text columns are copied whenever they are set."""
    rows = [verdict.row for verdict in verdicts]
    for name in ("status", "reason", "detail"):
        table.loc[rows, name] = [getattr(verdict, name) for verdict in verdicts]


def _review(table: pd.DataFrame, decisions: Mapping[str, Decision]) -> list[str]:
    """Apply what people decided; tell what had no effect."""
    decided = _decided(table, decisions)
    drops = [(row, each) for row, each in decided if each.action == "drop"]
    _set_aside(table, [Verdict(row, DROPPED, "review", each.where) for row, each in drops])
    relabels = [(row, each) for row, each in decided if each.action == "relabel"]
    rows = [row for row, _ in relabels]
    settled = table.index.isin(rows) & (table["reason"] == "conflict")
    table.loc[settled, ["status", "reason", "detail"]] = [KEPT, None, ""]
    table.loc[rows, "label"] = [each.label for _, each in relabels]
    table.loc[rows, "where"] = [each.where for _, each in relabels]
    unknown = sorted(set(decisions) - set(table["id"].dropna()))
    if not unknown:
        return []
    first = decisions[unknown[0]].where
    return [f"{first}: no item has this id; {len(unknown)} of {len(decisions)} decisions are so"]


def _decided(table: pd.DataFrame, decisions: Mapping[str, Decision]) -> list[tuple[Any, Decision]]:
    """Return the rows that decisions are on: by bytes, and by pixels under the same label.

    A copy in another format would else take the place of what a person dropped. Under another label
    it is left: to drop one of two may be how a conflict is settled.
    """
    if not decisions:
        return []
    keys = list(zip(table["pixel_hash"].fillna(""), table["label"].fillna(""), strict=True))
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


def _idle_keeps(table: pd.DataFrame, decisions: Mapping[str, Decision]) -> list[str]:
    """Warn of items that people wanted to keep and that cannot be kept."""
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


def _judge_sizes(
    table: pd.DataFrame, decisions: Mapping[str, Decision], params: CleanParams
) -> None:
    kept = table[table["status"] == KEPT]
    verdicts = []
    for row, each, width, height in zip(
        kept.index, kept["id"], kept["width"], kept["height"], strict=True
    ):
        is_wanted = each in decisions and decisions[each].action == "keep"
        fault = size_fault(
            width, height, min_side_px=params.min_side_px, max_aspect=params.max_aspect
        )
        if fault and not is_wanted:
            verdicts.append(Verdict(row, QUARANTINED, *fault))
    _set_aside(table, verdicts)


def _settle_missing_labels(table: pd.DataFrame, rules: Rules, dealing: Dealing) -> pd.Series:
    """Fill labels by the policy, and set aside what stays without; give what was filled."""
    is_kept = table["status"] == KEPT
    labeled = table[is_kept & table["label"].notna()]
    asked = table[["path", "label", "row"]].assign(
        split=assign_splits(labeled, rules.split, dealing).reindex(table.index),
        is_missing=is_kept & table["label"].isna(),
    )
    filled = fill_labels(asked, rules.clean.missing_label, rules.task)
    table.loc[filled.index, "label"] = filled
    status = DROPPED if rules.clean.missing_label == "drop" else QUARANTINED
    missing = table.index[is_kept & table["label"].isna()]
    _set_aside(table, [Verdict(row, status, "no_label", "") for row in missing])
    return filled


def _settle_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """Keep one of several equal pictures; give the pairs that stand in two given splits."""
    statuses = {"duplicate": DROPPED, "conflict": QUARANTINED}
    found = find_duplicates(table[table["status"] == KEPT])
    _set_aside(
        table,
        [Verdict(each.row, statuses[each.reason], each.reason, each.detail) for each in found],
    )
    return identical_leaks(table, found)


def _is_wanted(table: pd.DataFrame, decisions: Mapping[str, Decision]) -> pd.Series:
    wanted = {each for each, decision in decisions.items() if decision.action == "keep"}
    return table["id"].isin(wanted)


def _settle_near_duplicates(table: pd.DataFrame, near: NearDuplicates) -> None:
    dropped = near.dropped
    _set_aside(
        table, [Verdict(each.row, DROPPED, "near_duplicate_of", each.detail) for each in dropped]
    )
    rows = [each.row for each in dropped]
    table.loc[rows, "split"] = None
    _tell_lost(table.loc[rows])


def _tell_lost(table: pd.DataFrame) -> None:
    """Log what is not kept, before a rule stops the stage."""
    lost = table[table["status"] != KEPT]
    for row in lost[:_LOGGED].itertuples():
        log.info("%s", visible(f"{row.path}: {row.status}, {row.reason}: {row.detail}"))
    if len(lost) > _LOGGED:
        log.info("... and %d more", len(lost) - _LOGGED)


def _tell(report: Mapping[str, Any], *, told: Sequence[str]) -> None:
    """Log what a person should see of the report and has not been told."""
    for entry in report["missing_label"]["filled"][:_LOGGED]:
        log.info("%s: no label; filled with %r", entry["path"], entry["label"])
    for note, entry in report["notes"].items():
        if note not in ALARMS:  # those are among the warnings
            n, first = entry["n"], entry["first"]
            log.info("%s: %d pictures; %s; first: %r", note, n, NOTES[note], first)
    for warning in [each for each in report["warnings"] if each not in told][:_LOGGED]:
        log.warning("%s", warning)
    kept = report["status"].get(KEPT, 0)
    named = ", ".join(f"{reason} {n}" for reason, n in report["reasons"].items())
    log.info("kept %d of %d items%s", kept, report["items"], f"; {named}" if named else "")
