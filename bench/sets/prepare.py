"""Clean a set by our stage, and write its items and the weights as plain files for all.

python -m bench.sets.prepare --raw FOLDER --out FOLDER --seed N
"""

import argparse
import csv
import json
import shutil
from pathlib import Path

from bench.sets.project import Project
from pipeline.ground.files import read_json
from pipeline.manifest.manifest import class_names, read_kept

LENIENT = {
    "clean.max_bad_frac": 1.0,
    "clean.max_near_frac": 1.0,
    "clean.leaks": "drop",
    "split.small_classes": "train",
}
"""So that no set is refused for what is wrong with it; else the stage runs by params.yaml."""


def values(seed: int) -> dict[str, object]:
    """Return what is other than in params.yaml, for a seed."""
    return {**LENIENT, "split.seed": seed, "runtime.seed": seed}


def prepare(raw: Path, out: Path, seed: int) -> None:
    """Write `items.csv`, `facts.json`, `backbone.safetensors`, and a project with both stages."""
    shutil.rmtree(out, ignore_errors=True)
    project = Project(out / "project", raw, values(seed))
    made = project.folder / "artifacts"
    for stage in ("clean", "weights"):
        project.ready(stage)()
    items = read_kept(made / "clean/manifest.parquet")
    with (out / "items.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "split"))
        writer.writerows(items[["path", "label", "split"]].itertuples(index=False))
    record = read_json(made / "weights/backbone.json")
    facts = {name: record[name] for name in ("architecture", "input_size", "mean", "std")}
    facts |= {"raw": str(raw), "seed": seed, "classes": class_names(items["label"])}
    (out / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    shutil.copyfile(made / "weights/backbone.safetensors", out / "backbone.safetensors")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m bench.sets.prepare")
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    prepare(options.raw.resolve(), options.out.resolve(), options.seed)


if __name__ == "__main__":
    main()
