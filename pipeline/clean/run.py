"""Cleaning: every raw item is judged once and gets one row; no file is changed."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.clean.case import Case, Rules
from pipeline.clean.judges import hear
from pipeline.clean.near_report import near_section
from pipeline.clean.placeholders import causes, doubts
from pipeline.clean.probe_all import probe_all
from pipeline.clean.probe_cache import Known, slim
from pipeline.clean.report import Findings, build_report
from pipeline.compute.engine import MachineParams
from pipeline.ground.errors import DataError
from pipeline.manifest.manifest import KEPT, META, QUARANTINED, TEXT, column_types, typed_manifest
from pipeline.manifest.review import describe_decisions
from pipeline.manifest.split import expected_shares
from pipeline.modality.facts import facts
from pipeline.modality.reading import reader
from pipeline.modality.types.probe import Probe
from pipeline.modality.types.protocols import Reader
from pipeline.raw.item import RawItems
from pipeline.store.spill import MEMORY, Place

log = logging.getLogger(__name__)

_LOGGED = 20


@dataclass(frozen=True)
class Cleaned:
    """One row for every raw item, the report on them, and what is nearly the same."""

    modality: str
    manifest: pd.DataFrame
    report: dict[str, Any]
    near_duplicates: pd.DataFrame
    """One row for each pair: `near.PAIR_COLUMNS`."""
    filled: pd.DataFrame
    """Columns path, label: every label that was filled in."""
    table: pd.DataFrame
    """What was judged, in the manifest's order: its columns, and detail, notes, content_hash."""
    probes: tuple[Probe, ...] = ()
    """Of all files that were opened."""

    @property
    def searched(self) -> pd.DataFrame | None:
        """Return `near_duplicates`; None where they were not looked for."""
        is_off = self.report["near_duplicates"]["policy"] == "off"
        return None if is_off else self.near_duplicates


def clean_items(
    raw: Path, found: RawItems, rules: Rules, machine: MachineParams, known: Known | None = None
) -> Cleaned:
    """Probe every item and judge them all.

    Args:
        raw: The data folder.
        found: The items, by `find_items`.
        rules: What is kept, and where.
        machine: Workers and progress.
        known: What an earlier build saw of files, and where sketches wait.

    Raises:
        DataError: Too much is bad, or what is left cannot be learned from.
    """
    for warning in found.warnings[:_LOGGED]:  # before a rule stops the stage
        log.warning("%s", warning)
    known, part = known or Known(), reader(found.modality)
    openable = [item.path for item in found.items if item.reason in (None, "conflict")]
    seen = probe_all(raw, openable, part.look(rules.clean), machine, known=known.probes)
    probes = {path: slim(probe, known.spill) for path, probe in zip(openable, seen, strict=True)}
    table = tabulate(found, probes)
    try:
        cleaned = judge(table, found, rules, where=str(raw), spill=known.spill)
    except DataError:
        for line in causes(table, part):  # one of them may be why
            log.warning("%s", line)
        raise
    _tell(cleaned.report, part, told=found.warnings)
    return replace(cleaned, probes=tuple(probes.values()))


def tabulate(found: RawItems, probes: Mapping[str, Probe]) -> pd.DataFrame:
    """Join items and probes to one table: the manifest's columns, and what only judging needs."""
    items, unseen = found.items, Probe()
    seen = [probes.get(item.path, unseen) for item in items]
    pairs = [(probe if probe.reason else item) for item, probe in zip(items, seen, strict=True)]
    reasons, own = [each.reason for each in pairs], facts(found.modality).columns
    columns: dict[str, Sequence[Any]] = {
        **{
            name: [getattr(item, name) for item in items]
            for name in ("path", "label", "split", "group", "weight", "row", "where")
        },
        "id": [probe.id for probe in seen],
        **{
            name: [probe.facts[at] if probe.facts else None for probe in seen]
            for at, name in enumerate(own)
        },
        "content_hash": [probe.content_hash for probe in seen],
        "status": [QUARANTINED if reason else KEPT for reason in reasons],
        "reason": reasons,
        "detail": [each.detail for each in pairs],
    }
    for at, name in enumerate(found.meta_names):
        columns[META + name] = [None if item.meta is None else item.meta[at] for item in items]
    types = column_types(found.modality) | {"row": pd.Int64Dtype()}
    return pd.DataFrame(
        {name: _column(types.get(name, TEXT), values) for name, values in columns.items()}
        | {"notes": _objects([probe.notes for probe in seen])}
        | {"sketch": _objects([probe.sketch for probe in seen])}
    )


def _column(kind: Any, values: Sequence[Any]) -> Any:
    is_plain = isinstance(kind, np.dtype)
    return np.array(values, dtype=kind) if is_plain else pd.array(list(values), dtype=kind)


def _objects(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    """Return an array of the objects themselves: NumPy looks into them where it gets a list."""
    array = np.empty(len(values), dtype=np.object_)
    for row, value in enumerate(values):
        array[row] = value
    return array


def judge(
    table: pd.DataFrame, found: RawItems, rules: Rules, *, where: str, spill: Place = MEMORY
) -> Cleaned:
    """Judge all items of a table from `tabulate`, and report; the table is used up.

    Raises:
        DataError: Too much is bad, the given splits leak (a proof is written), or what is left
            cannot be learned from.
    """
    reviewed = describe_decisions(table, rules.decisions)
    case = Case(table, rules, found.modality, where, spill, [*found.warnings])
    hear(case)
    near = near_section(case.near, case.near_rule)
    filled = table.loc[case.filled.index, ["path"]].assign(label=case.filled)
    findings = Findings(
        task=rules.task,
        layout=found.layout,
        ignored=found.ignored,
        expected_shares=expected_shares(case.kept["given"], rules.split, case.dealing),
        policy=rules.clean.missing_label,
        filled=filled,
        near=near | {"identical_across_splits": len(case.identical)},
        summary=case.reader.summary(case.kept),
        warnings=[*case.warnings, *doubts(table, case.reader)],
        review=reviewed,
        placed=case.placed.moved,
    )
    report = build_report(table, findings)
    return Cleaned(found.modality, typed_manifest(table), report, case.near.pairs, filled, table)


def _tell(report: Mapping[str, Any], part: Reader, *, told: Sequence[str]) -> None:
    """Log what a person should see of the report and has not been told."""
    for entry in report["missing_label"]["filled"][:_LOGGED]:
        log.info("%s: no label; filled with %r", entry["path"], entry["label"])
    for note, entry in report["notes"].items():
        if note not in part.alarms:  # those are among the warnings
            n, first = entry["n"], entry["first"]
            log.info("%s: %d items; %s; first: %r", note, n, part.notes[note], first)
    for warning in [each for each in report["warnings"] if each not in told][:_LOGGED]:
        log.warning("%s", warning)
    kept = report["status"].get(KEPT, 0)
    named = ", ".join(f"{reason} {n}" for reason, n in report["reasons"].items())
    log.info("kept %d of %d items%s", kept, report["items"], f"; {named}" if named else "")
