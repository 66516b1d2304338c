"""The plots of cleaning: what was quarantined, and how the classes lie in the splits."""

from pathlib import Path

from pipeline.clean.carried import COLUMNS as CARRIED_COLUMNS
from pipeline.clean.carried import carriers
from pipeline.clean.case import Rules
from pipeline.clean.page.samples import rows_of
from pipeline.clean.report import balance
from pipeline.clean.run import Cleaned
from pipeline.ground.files import replacing_folder, write_rows
from pipeline.ground.limits import SHEET_LIMIT
from pipeline.manifest.manifest import KEPT, QUARANTINED
from pipeline.modality.reading import reader
from pipeline.modality.shown.reporting import report
from pipeline.modality.shown.showing import show
from pipeline.raw.visible import safe_cell


def write_plots(folder: Path, cleaned: Cleaned, *, raw: Path, rules: Rules) -> None:
    """Write the sheet of quarantined items, the table of the balance, fills and carriers."""
    manifest = cleaned.manifest
    bad = manifest[manifest["status"] == QUARANTINED]
    items, limits = report(cleaned.modality), reader(cleaned.modality).look(rules.clean)
    shown = show(cleaned.modality)
    cells = [
        (
            [items.tile(raw, None if items.work(row) is None else row["path"], limits)],
            f"{Path(row['path']).name}\n{row['reason']}",
        )
        for row in rows_of(bad.head(SHEET_LIMIT))
    ]
    rest = f", shown are {SHEET_LIMIT}" if len(bad) > SHEET_LIMIT else ""
    with replacing_folder(folder) as scratch:
        shown.write_sheet(
            scratch / f"quarantined{shown.suffix}",
            cells,
            title=f"{len(bad)} of {len(manifest)} items are quarantined{rest}",
            empty="nothing was quarantined",
        )
        kept = manifest.loc[manifest["status"] == KEPT, ["split", "label"]]
        rows = balance(kept, rules.task)
        write_rows(scratch / "classes.csv", rows, columns=("split", "label", "n"))
        if len(cleaned.filled):
            fills = [map(safe_cell, row) for row in cleaned.filled.itertuples(index=False)]
            named = [dict(zip(("path", "label"), row, strict=True)) for row in fills]
            write_rows(scratch / "filled.csv", named, columns=("path", "label"))
        if cleaned.report["metadata"]["items"]:
            write_rows(scratch / "carried.csv", _carried(cleaned), columns=CARRIED_COLUMNS)


def _carried(cleaned: Cleaned) -> list[dict[str, str]]:
    """Return all items that tell of people and places, with the kinds of what they tell."""
    paths = cleaned.table["path"].array
    return [
        {"path": safe_cell(paths[each.row]), "kinds": " ".join(kind for kind, _ in each.kinds)}
        for each in carriers(cleaned.table, cleaned.probes)
    ]
