"""Stage `clean`: judge every raw item; change none.

Reads   --raw --labels     the raw folder, and the same folder or a label file
        --review           people's decisions on single items, and pinned splits
Writes  --manifest         one row for every raw item, kept or not, with the reason
        --report --page --plots  counts, shares, fills, warnings; the same for people; pictures
        --near-duplicates  one row for every pair of items that are nearly the same
        --probes --key     what was seen of each file, and by what code, for the next build
"""

from pathlib import Path

from pipeline.clean.case import Rules
from pipeline.clean.page.plots import write_plots
from pipeline.clean.page.render import write_page
from pipeline.clean.probe_cache import known_probes, made_from, write_probes
from pipeline.clean.run import clean_items
from pipeline.clean.table import list_items
from pipeline.compute.engine import MachineParams
from pipeline.ground.files import write_json
from pipeline.ground.params import Task, Unchecked
from pipeline.ground.stage import run_stage
from pipeline.ground.tables import write_table
from pipeline.manifest.manifest import write_manifest
from pipeline.manifest.params import SplitParams
from pipeline.modality.reading import reader
from pipeline.modality.types.params import IgnoreParams
from pipeline.raw.items import find_items
from pipeline.raw.params import DataParams
from pipeline.store.previous_build import earlier_build
from pipeline.store.spill import Spill


def main(
    task: Task,
    data: DataParams,
    clean: Unchecked,
    split: SplitParams,
    machine: MachineParams,
    *,
    raw: Path,
    labels: Path,
    review: Path,
    manifest: Path,
    report: Path,
    near_duplicates: Path,
    plots: Path,
    page: Path,
    probes: Path,
    key: Path,
) -> None:
    """Judge every item in the raw folder."""
    ignore = clean.check_keys(IgnoreParams).ignore
    with Spill(Path()) as spill:
        listed = list_items(find_items(raw, labels, ignore=ignore, place=spill, **data.meaning()))
        modality = listed.found.modality
        params = clean.check(reader(modality).params)
        rules = Rules.read(task, params, split, review=review, raw=raw)
        source = made_from(modality, params)
        with earlier_build(probes, key=key, made_from=source) as old:
            cleaned = clean_items(raw, listed, rules, machine, known_probes(old, modality, spill))
    write_manifest(manifest, cleaned.manifest)
    write_json(report, cleaned.report)
    write_table(near_duplicates, cleaned.near_duplicates)
    write_plots(plots, cleaned, raw=raw, rules=rules)
    write_page(page, cleaned, raw=raw, rules=rules, machine=machine, near=cleaned.searched)
    write_probes(probes, cleaned.probes, modality)
    write_json(key, source)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
