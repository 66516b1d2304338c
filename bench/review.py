"""Fifty wrong labels, planted: how many keys it takes a person to settle them in the browser.

Conditions: a clone of this repository under a temporary folder, 600 drawn pictures of three shapes,
50 of them in the folder of another class; the real stages up to `suspects/dvc.yaml` (cached
features, no training of a model); then `rootstock review` and a headless Chromium. The reviewer
knows the true class: Enter where the model is right, K where the label is, else the number of
the class. A key is pressed when the picture of the next item is shown, so the seconds are the
page's own time, without thinking. The rows of review/shapes.csv are then compared with what was
planted. Suspects of the test split come last, after one key more.

    python -m bench.review [FOLDER]    FOLDER: where the clone stays, and is used again
"""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipeline.ground.files import sha256_file
from pipeline.ground.params import replace_values
from tests.support.browser import browser_page

CLASSES = ("cross", "disc", "ring")
ITEMS, WRONG, SIDE = 600, 50, 96
PLANTED = "planted.json"
SETTINGS: dict[str, Any] = {
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


def prepare(folder: Path) -> None:
    """Clone the repository, plant the set and run the stages that find suspects."""
    subprocess.run(["git", "clone", "--quiet", ".", str(folder)], check=True)
    truth = plant(folder / SETTINGS["data.path"])
    params = folder / "params.yaml"
    text = replace_values(params.read_text(encoding="utf-8"), SETTINGS)
    params.write_text(text, encoding="utf-8")
    for target in ("features", "suspects/dvc.yaml:suspects"):
        command = [sys.executable, "-m", "dvc", "repro", "--quiet", target]
        subprocess.run(command, cwd=folder, env=environment(folder), check=True)
    (folder / PLANTED).write_text(json.dumps(truth), encoding="utf-8")


def environment(folder: Path) -> dict[str, str]:
    """Let stages run the clone's code with this interpreter."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PYTHONPATH": str(folder), "PATH": path}


def next_shown(page: Any) -> str | None:
    """Wait until a picture is shown; return its path, or None at the end."""
    while page.is_hidden("#end"):
        if page.is_visible("#work[data-drawn]"):
            return str(page.get_attribute(".view img", "alt"))
        time.sleep(0.005)
    return None


def settle(page: Any, raw: Path, truth: dict[str, str]) -> Counter[str]:
    """Decide on everything that is shown; return how often each kind of key was pressed."""
    keys: Counter[str] = Counter()
    while (path := next_shown(page)) is not None:
        label = path.split("/")[0]
        true = truth.get(sha256_file(raw / path), label)
        is_expected = page.is_visible("#accept") and f"“{true}”" in page.inner_text("#accept")
        key = "Enter" if is_expected else "k" if true == label else str(1 + CLASSES.index(true))
        page.keyboard.press(key)
        keys["number" if key.isdigit() else key] += 1
    return keys


def decide_all(address: str, raw: Path, truth: dict[str, str]) -> tuple[Counter[str], float]:
    """Open the page and settle all suspects by keys; return the keys, and the seconds."""
    with browser_page() as (page, complaints):
        page.goto(address)
        page.wait_for_selector("#work:not([hidden])")
        start = time.monotonic()
        keys = settle(page, raw, truth)
        if page.is_visible("#end-ways button:has-text('test split')"):
            page.keyboard.press("t")
            keys["t"] += 1
            keys += settle(page, raw, truth)
        page.wait_for_selector("#counts:not(:text('being saved'))")
        seconds = time.monotonic() - start
        assert not complaints, complaints
    return keys, seconds


def review(folder: Path) -> None:
    """Settle all suspects by keys, and print what that took and what is in the file."""
    truth = json.loads((folder / PLANTED).read_text(encoding="utf-8"))
    raw, file = folder / SETTINGS["data.path"], folder / "review/shapes.csv"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pipeline.cli", "review", "--no-browser", "--port", "0"]
    server = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        found = next(filter(None, (re.search(r"http://\S+", line) for line in server.stdout)))
        keys, seconds = decide_all(found[0], raw, truth)
        server.send_signal(signal.SIGINT)
        print(server.stdout.read().strip())
    finally:
        server.kill()
        server.wait()
    with file.open(encoding="utf-8", newline="") as stream:
        decisions = {row["id"]: row["decision"] for row in csv.DictReader(stream)}
    right = sum(decisions.get(item) == f"relabel:{true}" for item, true in truth.items())
    kept = sum(decision == "keep" for decision in decisions.values())
    pressed = sum(keys.values())
    named = ", ".join(f"{name} {count}" for name, count in keys.most_common())
    print(
        f"{len(decisions)} suspects settled with {pressed} keys ({named}) and 0 clicks in "
        f"{seconds:.1f} s ({1000 * seconds / pressed:.0f} ms a key); rows: {right} of {WRONG} "
        f"planted labels are set right, {kept} of the others kept"
    )


def main() -> None:
    """Prepare, unless the folder is there already, and review."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if sys.argv[1:] else Path(scratch) / "shapes"
        if not (folder / PLANTED).exists():
            prepare(folder)
        review(folder)


if __name__ == "__main__":
    main()
