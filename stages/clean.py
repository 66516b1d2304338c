"""Stage `clean`: judge every raw item; change none.

Reads   --raw --labels     the raw folder, and the same folder or a label file
        --review           people's decisions on single items, and pinned splits
Writes  --manifest         one row for every raw item, kept or not, with the reason
        --report --page --plots  counts, shares, fills, warnings; the same for people; pictures
        --near-duplicates  one row for every pair of pictures that are nearly the same
        --probes --key     what was seen of each file, and by what code, for the next build
"""

from pathlib import Path

from pipeline.clean.page.plots import write_plots
from pipeline.clean.page.render import write_page
from pipeline.clean.params import CleanParams
from pipeline.clean.probe_cache import known_probes, made_from, write_probes
from pipeline.clean.run import Rules, clean_items
from pipeline.compute.engine import MachineParams
from pipeline.ground.files import write_json
from pipeline.ground.params import Task
from pipeline.ground.stage import run_stage
from pipeline.ground.tables import write_table
from pipeline.manifest.manifest import write_manifest
from pipeline.manifest.params import SplitParams
from pipeline.manifest.pins import read_pins
from pipeline.manifest.review import read_review
from pipeline.raw.items import find_items
from pipeline.raw.params import DataParams
from pipeline.store.previous_build import earlier_build
from pipeline.store.spill import Spill


def main(
    task: Task,
    data: DataParams,
    clean: CleanParams,
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
    rules = Rules(task, clean, split, read_pins(review, raw))
    found = find_items(raw, labels, target=data.target, layout=data.layout, ignore=clean.ignore)
    source = made_from(clean.limits())
    with Spill(Path()) as spill, earlier_build(probes, key=key, made_from=source) as old:
        known, decided = known_probes(old, spill), read_review(review, raw)
        cleaned = clean_items(
            raw, found, decisions=decided, rules=rules, machine=machine, known=known
        )
    write_manifest(manifest, cleaned.manifest)
    write_json(report, cleaned.report)
    write_table(near_duplicates, cleaned.near_duplicates)
    write_plots(plots, cleaned, raw=raw, rules=rules)
    near = None if clean.near_duplicates == "off" else cleaned.near_duplicates
    write_page(page, cleaned, raw=raw, rules=rules, machine=machine, near=near)
    write_probes(probes, cleaned.probes)
    write_json(key, source)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
