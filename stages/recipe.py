"""Stage `recipe`: find what params.yaml leaves to the data, on a sample of train.

Reads   --raw       the folder with the raw files
        --manifest  the items; those of train are tried on, the test split is never looked at
        --backbone  the pretrained backbone's tensors
        --record    the backbone's record
Writes  --choices   the values that stand for `auto` in the stages after this one
        --table     every candidate with its score and interval
"""

from pathlib import Path

from pipeline.compute.device import open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.ground.files import write_json, write_rows
from pipeline.ground.params import Task, Unchecked
from pipeline.ground.stage import run_stage
from pipeline.manifest.manifest import read_kept
from pipeline.modality.facts import modality_of
from pipeline.modality.sections import candidates
from pipeline.model.params import FeaturesParams
from pipeline.recipe.run import COLUMNS, Sections, find_recipe
from pipeline.recipe.sample import Bench, draw


def main(
    task: Task,
    transform: Unchecked,
    normalize: Unchecked,
    features: FeaturesParams,
    augment: Unchecked,
    runtime: RuntimeParams,
    machine: MachineParams,
    *,
    raw: Path,
    manifest: Path,
    backbone: Path,
    record: Path,
    choices: Path,
    table: Path,
) -> None:
    """Write the choices."""
    rows = read_kept(manifest)
    modality = modality_of(rows.columns)
    sections = Sections(transform, normalize, augment)
    bench = Bench(
        draw(rows), modality, raw, backbone, record, features, open_runtime(runtime), machine
    )
    found, lines = find_recipe(bench, sections, sections.open(candidates(modality)), task=task)
    write_rows(table, lines, columns=COLUMNS)
    write_json(choices, found)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
