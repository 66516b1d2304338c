"""Cleaning: every raw item is judged once and gets one row; no file is changed."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.clean.carried import carried_section, carried_warnings, refuse_carriers
from pipeline.clean.case import Case, Rules
from pipeline.clean.judges import hear
from pipeline.clean.kept_probes import KeptProbes
from pipeline.clean.near_report import near_section
from pipeline.clean.placeholders import causes, doubts
from pipeline.clean.probe_all import probe_all
from pipeline.clean.probe_cache import Known
from pipeline.clean.report import Findings, build_report
from pipeline.clean.table import Listed, tabulate
from pipeline.compute.engine import MachineParams
from pipeline.ground.errors import DataError
from pipeline.manifest.manifest import KEPT, typed_manifest
from pipeline.manifest.review import describe_decisions
from pipeline.manifest.split import expected_shares
from pipeline.modality.facts import facts
from pipeline.modality.reading import reader
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
    probes: KeptProbes
    """Of all files that were opened."""

    @property
    def searched(self) -> pd.DataFrame | None:
        """Return `near_duplicates`; None where they were not looked for."""
        is_off = self.report["near_duplicates"]["policy"] == "off"
        return None if is_off else self.near_duplicates


def clean_items(
    raw: Path, listed: Listed, rules: Rules, machine: MachineParams, known: Known | None = None
) -> Cleaned:
    """Probe every item and judge them all.

    Args:
        raw: The data folder.
        listed: The items, by `list_items`.
        rules: What is kept, and where.
        machine: Workers and progress.
        known: What an earlier build saw of files, and where sketches wait.

    Raises:
        DataError: As `judge`.
    """
    found = listed.found
    for warning in found.warnings[:_LOGGED]:  # before a rule stops the stage
        log.warning("%s", warning)
    known, part = known or Known(), reader(found.modality)
    look = part.look(rules.clean)
    seen = probe_all(raw, listed.openable, look, machine, known=known.probes)
    probes = KeptProbes.keep(seen, found.modality, known.spill)
    table = tabulate(listed, probes)
    try:
        cleaned = judge(table, probes, found, rules, where=str(raw), spill=known.spill)
    except DataError:
        for line in causes(table, part):  # one of them may be why
            log.warning("%s", line)
        raise
    _tell(cleaned.report, part, told=found.warnings)
    return cleaned


def judge(
    table: pd.DataFrame,
    probes: KeptProbes,
    found: RawItems,
    rules: Rules,
    *,
    where: str,
    spill: Place = MEMORY,
) -> Cleaned:
    """Judge all items of a table from `tabulate`, and report; the table is used up.

    Raises:
        DataError: Items carry what `clean.metadata` refuses, too much is bad, the given splits leak
            (a proof is written), or what is left cannot be learned from.
    """
    if rules.clean.metadata == "refuse":
        refuse_carriers(table, probes, reader(found.modality), where=where)
    reviewed = describe_decisions(table, rules.decisions)
    case = Case(table, probes, rules, found.modality, where, spill, [*found.warnings])
    hear(case)
    near = near_section(case.near, case.near_rule)
    carried = carried_section(table, probes, case.reader, rules.clean.metadata)
    filled = table.loc[case.filled.index, ["path"]].assign(label=case.filled)
    findings = Findings(
        task=rules.task,
        layout=found.layout,
        ignored=found.ignored,
        expected_shares=expected_shares(case.kept("given")["given"], rules.split, case.dealing),
        policy=rules.clean.missing_label,
        filled=filled,
        near=near | {"identical_across_splits": len(case.identical)},
        summary=case.reader.summary(case.kept(*facts(found.modality).columns)),
        carried=carried,
        warnings=[
            *case.warnings,
            *carried_warnings(carried, case.reader),
            *doubts(table, case.reader),
        ],
        review=reviewed,
        placed=case.placed.moved,
    )
    report = build_report(table, findings)
    manifest = typed_manifest(table)
    return Cleaned(found.modality, manifest, report, case.near.pairs, filled, table, probes)


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
