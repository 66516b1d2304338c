"""Are a set's choices the same after one percent less, or more, data?

    python -m bench.sets.choices --sets FOLDER [--set NAME ...] [--draws N]

The stage `recipe` runs on all items of a set, then on all but one percent of them, chosen at random
(at least one item), as often as asked. From the smaller to the larger it is one percent more. One
line a run; the last one counts. `clean` runs once, as in `python -m bench.sets`, with seed 1.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.sets.prepare import values
from bench.sets.project import Project
from bench.sets.sources import find_sources
from pipeline.ground.files import read_json
from pipeline.manifest.manifest import KEPT, read_manifest, write_manifest

SEED = 1
FOLDER = Path(".rootstock/sets")


def choices(project: Project, rows: pd.DataFrame) -> dict[str, Any]:
    """Run the stage on these rows of the manifest, and return what it chose."""
    made = project.folder / "artifacts"
    (made / "clean").mkdir(parents=True, exist_ok=True)
    write_manifest(made / "clean/manifest.parquet", rows)
    project.ready("recipe")()
    found: dict[str, Any] = read_json(made / "recipe/recipe.json")["choices"]
    return found


def without_some(rows: pd.DataFrame, draw: int) -> pd.DataFrame:
    """Return the rows without one percent of those that are kept."""
    usable = rows.index[rows["status"] == KEPT].to_numpy()
    generator = np.random.default_rng([SEED, draw])
    return rows.drop(generator.choice(usable, max(1, round(0.01 * len(usable))), replace=False))


def main() -> None:
    """Run all, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--set", nargs="+", default=None)
    parser.add_argument("--draws", type=int, default=2)
    options = parser.parse_args()
    same = count = 0
    for source in find_sources(options.sets, with_demonstration=False):
        if options.set and source.name not in options.set:
            continue
        data = FOLDER / "data" / source.name / str(SEED)
        raw = source.unpack(FOLDER / "raw", is_quick=False)
        if not (data / "facts.json").exists():
            words = ("-m", "bench.sets.prepare", "--raw", raw, "--out", data, "--seed", SEED)
            subprocess.run([sys.executable, *map(str, words)], check=True)
        shutil.rmtree(data / "choices", ignore_errors=True)
        project = Project(data / "choices", raw.resolve(), values(SEED))
        made = data / "project/artifacts"
        shutil.copytree(made / "weights", project.folder / "artifacts/weights")
        rows = read_manifest(made / "clean/manifest.parquet")
        whole = choices(project, rows)
        print(f"{source.name}: {whole}", flush=True)
        for draw in range(1, options.draws + 1):
            less = choices(project, without_some(rows, draw))
            same, count = same + (less == whole), count + 1
            print(f"  without 1 %, draw {draw}: {'same' if less == whole else less}", flush=True)
    print(f"same: {same} of {count}")


if __name__ == "__main__":
    main()
