"""Fifty wrong labels, planted: how many keys it takes a person to settle them in the browser.

Conditions: a clone of this repository under a temporary folder, 600 drawn pictures of three shapes,
50 of them in the folder of another class; the real stages up to `suspects/dvc.yaml` (cached
features, no training of a model); then `rootstock review` and a headless Chromium. The reviewer
knows the true class: it agrees with the model by Enter, keeps a right label with K, or types the
number of the right class; nothing else. A key is pressed when the picture of the next item is
shown, so the seconds are the page's own time, without thinking. The rows of review/shapes.csv
are then compared with what was planted.

    python -m bench.review [--keep FOLDER]
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipeline.files import sha256_file
from pipeline.params import replace_values

CLASSES = ("cross", "disc", "ring")
ITEMS, WRONG, SIDE = 600, 50, 96
SETTINGS = {
    "data.path": "data/shapes/raw",
    "data.labels": "data/shapes/raw",
    "features.cut": "none",
    "features.views": 1,
    "train.strategy": "head",
    "train.test_views": 1,
    "transform.size_px": 128,
}


def draw(kind: str, seed: int) -> Image.Image:
    """Draw a shape somewhere on a cloudy ground, the same for the same seed."""
    generator = np.random.default_rng(seed)
    ground = generator.integers(40, 130, (6, 6, 3), dtype=np.uint8)
    picture = Image.fromarray(ground).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    x, y = generator.integers(34, SIDE - 34, 2)
    radius, width = int(generator.integers(16, 28)), int(generator.integers(6, 10))
    color = tuple(int(each) for each in generator.integers(170, 256, 3))
    box = (x - radius, y - radius, x + radius, y + radius)
    if kind == "disc":
        pen.ellipse(box, fill=color)
    elif kind == "ring":
        pen.ellipse(box, outline=color, width=width)
    else:
        pen.line((x - radius, y, x + radius, y), fill=color, width=width)
        pen.line((x, y - radius, x, y + radius), fill=color, width=width)
    noise = generator.integers(-12, 13, (SIDE, SIDE, 3))
    pixels = np.asarray(picture.filter(ImageFilter.SMOOTH)).astype(int) + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def plant(raw: Path) -> dict[str, str]:
    """Write the set; give the true class of each file in a wrong folder, by its SHA-256."""
    generator = np.random.default_rng(7)
    moved = set(generator.choice(ITEMS, size=WRONG, replace=False).tolist())
    truth = {}
    for number in range(ITEMS):
        kind = CLASSES[number % len(CLASSES)]
        others = [each for each in CLASSES if each != kind]
        folder = str(generator.choice(others)) if number in moved else kind
        path = raw / folder / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(kind, number).save(path)
        if number in moved:
            truth[sha256_file(path)] = kind
    return truth


def prepare(folder: Path) -> dict[str, str]:
    """Clone the repository, plant the set and run the stages that find suspects."""
    subprocess.run(["git", "clone", "--quiet", ".", str(folder)], check=True)
    truth = plant(folder / SETTINGS["data.path"])
    params = folder / "params.yaml"
    params.write_text(
        replace_values(params.read_text(encoding="utf-8"), SETTINGS), encoding="utf-8"
    )
    for target in ("features", "suspects/dvc.yaml:suspects"):
        subprocess.run(
            [sys.executable, "-m", "dvc", "repro", "--quiet", target],
            cwd=folder,
            env=environment(folder),
            check=True,
        )
    return truth
