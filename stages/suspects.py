"""Stage `suspects`: wrong labels, look-alikes across splits, poor pictures, outliers.

Reads   --features --store --normalization --backbone --record --near-duplicates
                     what earlier stages wrote
Writes  --table      one row for each suspect, for programs
        --csv        the same, for people
        --report     counts, and how many labels of each class are estimated to be wrong
        --sheets     a picture sheet for each reason
"""

from pathlib import Path

from pipeline.compute.device import open_runtime
from pipeline.compute.engine import MachineParams
from pipeline.compute.params import RuntimeParams
from pipeline.ground.files import write_json
from pipeline.ground.params import Task
from pipeline.ground.stage import run_stage
from pipeline.ground.tables import read_table
from pipeline.suspects.find import find_suspects
from pipeline.suspects.heldout import Setting
from pipeline.suspects.params import SuspectsParams
from pipeline.suspects.sheets import draw_sheets
from pipeline.suspects.table import write_suspects
from pipeline.train.inputs import Sources, open_parts


def main(
    task: Task,
    suspects: SuspectsParams,
    runtime: RuntimeParams,
    machine: MachineParams,
    *,
    features: Path,
    store: Path,
    normalization: Path,
    backbone: Path,
    record: Path,
    near_duplicates: Path,
    table: Path,
    csv: Path,
    report: Path,
    sheets: Path,
) -> None:
    """Judge every kept item; change none."""
    parts = open_parts(Sources(features, store, normalization, backbone, record))
    alike = read_table(near_duplicates)
    found = find_suspects(Setting(task, parts, suspects, open_runtime(runtime), machine, alike))
    write_suspects(table, csv=csv, table=found.table)
    draw_sheets(sheets, found.table, parts.store)
    write_json(report, found.report)


if __name__ == "__main__":
    raise SystemExit(run_stage(main))
