"""Small raw folders with known content, for the tests of cleaning."""

import numpy as np
from PIL import Image

from pipeline.clean.case import Rules
from pipeline.clean.run import clean_items
from pipeline.clean.table import list_items
from pipeline.compute.engine import MachineParams
from pipeline.manifest.params import SplitParams
from pipeline.picture.read.params import PictureCleanParams
from pipeline.raw.items import find_items

SPLIT = SplitParams(seed=1, train=0.6, val=0.15, test=0.25, missing="carve", small_classes="train")
MACHINE = MachineParams.alone(workers=1, progress="none")


def clean_params(**changes):
    """Give the section `clean` as a user would start with it, but for `changes`."""
    usual = {
        "ignore": [],
        "missing_label": "quarantine",
        "max_bad_frac": 0.5,
        "min_side_px": 8,
        "max_pixels": 1_000_000,
        "max_aspect": 20.0,
        "animated": "first",
        "near_duplicates": "drop",
        "near_correlation": 0.997,
        "near_turns": False,
        "max_near_frac": 0.2,
        "leaks": "refuse",
        "metadata": "report",
    }
    return PictureCleanParams(**usual | changes)


def save_picture(path, seed, *, size=(12, 10), **options):
    """Write a picture of noise, the same for the same seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **options)
    return path


def write_labels(raw, lines, *, header="path,label", name="labels.csv"):
    """Write a label file from lines of CSV."""
    raw.mkdir(parents=True, exist_ok=True)
    path = raw / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def class_folders(raw, *, cats=24, dogs=24):
    """Make pictures cat/00.png ... and dog/00.png ..., all different."""
    for label, n, first in (("cat", cats, 0), ("dog", dogs, 1000)):
        for number in range(n):
            save_picture(raw / label / f"{number:02}.png", first + number)
    return raw


def clean_folder(
    raw, *, task="classification", decisions=None, target="label", labels=None, **clean
):
    """Find, probe and judge all items of a folder."""
    found = find_items(raw, labels or raw, target=target)
    rules = Rules(task, clean_params(**clean), SPLIT, decisions=decisions or {})
    return clean_items(raw, list_items(found), rules, MACHINE)


def by_path(cleaned):
    """Give the manifest as a mapping from path to row."""
    return {row["path"]: row for row in cleaned.manifest.to_dict("records")}
