"""Near-duplicates: what is found of planted copies, what is found wrongly, and at what cost.

Recall and precision: the 2,624 pictures of the demonstration set, and 200 of them (drawn) once more
after each change. Found is a copy that makes a pair with its own original; wrong is a pair of it
with another picture, and a pair of two originals, which are all different cells. A picture of a
flipped or turned copy is searched with `clean.near_turns`.

Time and memory: thumbnails with the spectrum of photographs (amplitude 1 / frequency), 1 % of them
planted copies; and the worst case, one picture with other noise each time. Each in a process of its
own. The time is that of finding, clustering, dropping and searching anew what stays, as the clock
and as the processor counts it; memory is how far the peak lies above what the table itself needs.

    python -m bench.near_duplicates
"""

import io
import math
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance

from data.elpv.fetch import _package_folder
from pipeline.clean.near import find_near_duplicates
from pipeline.manifest.manifest import SPLITS
from pipeline.picture.read.near_search import find_alike
from pipeline.picture.read.thumbnail import SIDE_PX, thumbnail
from pipeline.picture.read.thumbnail_match import Thumbnails
from tests.support.near import near_rule

PLANTED = 200
CORRELATIONS = (0.999, 0.997, 0.995, 0.99)
DEFAULT = 0.997
SIZES = (10_000, 100_000)

Change = Callable[[Image.Image], Image.Image]


def encode(picture: Image.Image, quality: int) -> Image.Image:
    """Return a picture as JPEG has it."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def crop(picture: Image.Image, share: float) -> Image.Image:
    """Cut a share of the side off all four sides."""
    x, y = round(picture.width * share), round(picture.height * share)
    return picture.crop((x, y, picture.width - x, picture.height - y))


def brighten(picture: Image.Image, factor: float) -> Image.Image:
    """Scale the brightness."""
    return ImageEnhance.Brightness(picture).enhance(factor)


def contrast(picture: Image.Image, factor: float) -> Image.Image:
    """Scale the contrast."""
    return ImageEnhance.Contrast(picture).enhance(factor)


def rotate(picture: Image.Image, degrees: float) -> Image.Image:
    """Rotate by some degrees, black in the corners."""
    return picture.rotate(degrees, Image.Resampling.BICUBIC)


def shrink(picture: Image.Image, side: int) -> Image.Image:
    """Bring to another size."""
    return picture.resize((side, side), Image.Resampling.BICUBIC)


def turn(picture: Image.Image, method: Image.Transpose) -> Image.Image:
    """Flip or turn."""
    return picture.transpose(method)


CHANGES: dict[str, Change] = {
    **{f"JPEG, quality {quality}": partial(encode, quality=quality) for quality in (90, 70, 50)},
    **{f"brightness x {each}": partial(brighten, factor=each) for each in (0.7, 0.9, 1.1, 1.3)},
    **{f"contrast x {each}": partial(contrast, factor=each) for each in (0.7, 1.3)},
    **{f"resized to {side} px": partial(shrink, side=side) for side in (100, 224, 400)},
    **{f"cropped by {each:.0%} a side": partial(crop, share=each) for each in (0.02, 0.05, 0.1)},
    **{f"rotated by {each} degrees": partial(rotate, degrees=each) for each in (0.5, 1, 3)},
    **{
        each.name.lower().replace("_", " "): partial(turn, method=each)
        for each in (
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.ROTATE_90,
            Image.Transpose.ROTATE_180,
            Image.Transpose.ROTATE_270,
        )
    },
}
TURNED = 5
"""How many of the changes, the last ones, are flips and turns."""


def small(path: Path, change: str | None = None) -> np.ndarray:
    """Return the thumbnail of a picture, changed where a change is named."""
    with Image.open(path) as picture:
        pixels = picture.convert("RGB")
    return thumbnail(np.asarray(CHANGES[change](pixels) if change else pixels))


def find(pixels: np.ndarray, *, correlation: float, turns: bool) -> pd.DataFrame:
    """Return the pairs among all of some thumbnails."""
    everyone = np.arange(len(pixels))
    thumbnails = Thumbnails.measure(pixels)
    return find_alike(
        thumbnails, everyone, everyone * 0, correlation=correlation, turns=turns
    ).pairs


def measure_finding(pool: ProcessPoolExecutor) -> None:
    """Print recall and wrong pairs of every change, at several correlations."""
    paths = sorted((_package_folder() / "images").glob("*.png"))
    originals = np.stack(list(pool.map(small, paths, chunksize=64)))
    n = len(originals)
    drawn = np.sort(np.random.default_rng(1).choice(n, PLANTED, replace=False))
    print(f"{n} pictures, {PLANTED} copies of each kind; found / wrong pairs, by the correlation")
    print(f"{'':24}" + "".join(f"{each:>14}" for each in CORRELATIONS))
    found = [find(originals, correlation=c, turns=False) for c in CORRELATIONS]
    turned = [find(originals, correlation=c, turns=True) for c in CORRELATIONS]
    print(f"{'no copies':24}" + "".join(f"{f'- / {len(each)}':>14}" for each in found))
    print(f"{'no copies, with turns':24}" + "".join(f"{f'- / {len(each)}':>14}" for each in turned))
    for place, name in enumerate(CHANGES):
        copies = np.stack(
            list(
                pool.map(partial(small, change=name), [paths[each] for each in drawn], chunksize=8)
            )
        )
        cells = []
        for correlation in CORRELATIONS:
            pairs = find(
                np.concatenate([originals, copies]),
                correlation=correlation,
                turns=place >= len(CHANGES) - TURNED,
            )
            pairs = pairs[(pairs["first"] < n) & (pairs["second"] >= n)]
            is_own = pairs["first"].to_numpy() == drawn[pairs["second"] - n]
            cells.append(f"{is_own.sum() / PLANTED:.3f} / {(~is_own).sum()}")
        print(f"{name:24}" + "".join(f"{each:>14}" for each in cells), flush=True)


def photographs(n: int) -> np.ndarray:
    """Return thumbnails with the spectrum of photographs; every hundredth is a copy, darker."""
    waves = np.arange(SIDE_PX)
    cosines = np.cos(np.pi / SIDE_PX * (waves + 0.5) * waves[:, np.newaxis])
    fall = 1.0 / np.maximum(1.0, np.hypot(waves, waves[:, np.newaxis]))
    thumbnails = np.zeros((n, SIDE_PX, SIDE_PX), dtype=np.uint8)
    generator = np.random.default_rng(1)
    for start in range(0, n, 1000):
        spectra = generator.normal(size=(min(1000, n - start), SIDE_PX, SIDE_PX)) * fall
        spectra[:, 0, 0] = 0.0
        values = cosines.T @ spectra @ cosines
        values *= 45.0 / values.std(axis=(1, 2), keepdims=True)
        thumbnails[start : start + 1000] = np.clip(np.rint(128.0 + values), 0, 255)
    thumbnails[99::100] = np.rint(thumbnails[49::100] * 0.9)
    return thumbnails


def one_picture(n: int) -> np.ndarray:
    """Return one picture n times, each with its own noise."""
    noise = np.random.default_rng(2).integers(-3, 4, (n, SIDE_PX, SIDE_PX), dtype=np.int16)
    return np.asarray(np.clip(photographs(100)[0] + noise, 0, 255), dtype=np.uint8)


KINDS = {"photographs": photographs, "one picture": one_picture}


def measure_cost(kind: str, n: int, turns: bool) -> dict[str, float]:
    """Search n thumbnails in this process; give seconds, MB, pairs, clusters, leaks."""
    thumbnails = KINDS[kind](n)
    table = pd.DataFrame(
        {
            "path": [f"{number:07}" for number in range(n)],
            "split": np.random.default_rng(3).choice(SPLITS, n, p=(0.6, 0.15, 0.25)),
            "label": "x",
            "sketch": [each.tobytes() for each in thumbnails],
        }
    )
    del thumbnails
    before = _memory_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on (Linux)
    start, start_cpu = time.perf_counter(), time.process_time()
    near = find_near_duplicates(
        table,
        near_rule("drop", correlation=DEFAULT, turns=turns, task="classification"),
        pd.Series(data=False, index=table.index),
    )
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - start_cpu,
        "mb": _memory_mb("VmHWM") - before,
        "pairs": len(near.pairs),
        "clusters": len(near.cluster_sizes),
        "crowded": near.crowded,
        "dropped": len(near.dropped),
        "leaks": near.leaks_left,
    }


def _memory_mb(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return float(status.split(f"{name}:")[1].split()[0]) / 1024


def print_costs(context: multiprocessing.context.SpawnContext) -> None:
    """Print time and memory for both sizes, and how they grow."""
    print(
        f"\n{'':24}{'n':>9}{'s':>9}{'cpu s':>9}{'MB':>8}{'pairs':>9}{'clusters':>9}{'crowded':>9}"
        f"{'dropped':>9}{'leaks':>7}"
    )
    for name, kind, turns in (
        ("photographs", "photographs", False),
        ("photographs, turns", "photographs", True),
        ("one picture and noise", "one picture", False),
    ):
        spent = []
        for n in SIZES:
            with ProcessPoolExecutor(1, context) as pool:
                cost = pool.submit(measure_cost, kind, n, turns).result()
            spent.append(cost["cpu"])
            print(
                f"{name:24}{n:9}{cost['seconds']:9.1f}{cost['cpu']:9.1f}{cost['mb']:8.0f}{cost['pairs']:9.0f}"
                f"{cost['clusters']:9.0f}{cost['crowded']:9.0f}{cost['dropped']:9.0f}"
                f"{cost['leaks']:7.0f}",
                flush=True,
            )
        growth = math.log(spent[1] / spent[0]) / math.log(SIZES[1] / SIZES[0])
        print(f"{'':24}processor time grows with n to the power of {growth:.2f}")


def main() -> None:
    """Print both tables."""
    context = multiprocessing.get_context("spawn")
    if "cost" not in sys.argv[1:]:
        with ProcessPoolExecutor(2, context) as pool:
            measure_finding(pool)
    if "recall" not in sys.argv[1:]:
        print_costs(context)


if __name__ == "__main__":
    main()
