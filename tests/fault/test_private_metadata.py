"""What a camera wrote into a file, such as where it was, reaches no output of the stages."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image, PngImagePlugin

from pipeline.store.store import Store
from tests.support.staged import run_clean, run_transform

SECRET = "SECRET-52N-13E-Kiepenkerl"
LATITUDE = (52.0, 31.0, 12.25)


def exif():
    tags = Image.Exif()
    tags[0x010E] = SECRET  # description
    tags[0x8298] = SECRET  # copyright
    gps = tags.get_ifd(0x8825)
    gps[1], gps[2], gps[29] = "N", LATITUDE, "2026:01:02"
    gps[27] = SECRET.encode()  # processing method
    tags.get_ifd(0x8769)[0x9286] = SECRET.encode()  # user's comment
    return tags


def tagged(kind, pixels, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, exif=exif(), **options)
    content = stream.getvalue()
    assert SECRET.encode() in content, "the picture must carry what is looked for"
    return content


def png_text():
    info = PngImagePlugin.PngInfo()
    info.add_text("Location", SECRET)
    info.add_itxt("XML:com.adobe.xmp", f"<x:xmpmeta>{SECRET}</x:xmpmeta>")
    return info


@pytest.fixture
def outputs(tmp_path):
    rng = np.random.default_rng(0)
    raw = tmp_path / "raw"
    for label in ("cat", "dog"):
        (raw / label).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            (raw / label / f"{number}.jpg").write_bytes(
                tagged("JPEG", pixels, comment=SECRET.encode())
            )
            for kind in ("PNG", "WEBP", "TIFF"):
                pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
                options = {"pnginfo": png_text()} if kind == "PNG" else {}
                (raw / label / f"{number}.{kind}").write_bytes(tagged(kind, pixels, **options))
    narrow = rng.integers(0, 256, (32, 900, 3), dtype=np.uint8)
    (raw / "cat/aspect.jpg").write_bytes(tagged("JPEG", narrow))
    (raw / "cat/cut.jpg").write_bytes(tagged("JPEG", narrow)[:-900])
    assert run_clean(tmp_path) == 0
    assert run_transform(tmp_path) == 0
    return tmp_path / "out"


def contents(folder):
    """Give what lies in the outputs: raw bytes, and what packing hides."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        yield path.name, path.read_bytes()
        if path.suffix == ".parquet":
            yield path.name, pd.read_parquet(path).to_csv().encode()
        if path.suffix == ".png":
            with Image.open(path) as picture:
                yield path.name, json.dumps({k: str(v) for k, v in picture.info.items()}).encode()
                yield path.name, repr(dict(picture.getexif())).encode() + picture.tobytes()


def leaks(folder):
    """Give the files in which something private was found."""
    secrets = (SECRET, "2026:01:02", "Exif\0", "xmpmeta", str(LATITUDE))
    seen = list(contents(folder))
    assert seen
    return {name for name, content in seen for secret in secrets if secret.encode() in content}


def test_no_output_holds_any_of_it(outputs):
    assert leaks(outputs) == set()
    assert len(Store.open(outputs / "store")) == 2 * 12 * 4
    assert {path.name for path in outputs.rglob("*")} >= {
        "manifest.parquet",
        "report.json",
        "quarantined.png",
        "classes.csv",
        "index.parquet",
        "store.json",
        "shard-00000.npy",
    }


def test_the_search_finds_it_where_it_is(tmp_path):
    (tmp_path / "a.png").write_bytes(tagged("PNG", np.zeros((8, 8, 3), np.uint8)))
    (tmp_path / "b.jpg").write_bytes(tagged("JPEG", np.zeros((8, 8, 3), np.uint8)))
    table = pd.DataFrame({"x": [SECRET] * 2_000 + ["clean"] * 9})
    table.to_parquet(tmp_path / "c.parquet", compression="zstd")
    (tmp_path / "d.json").write_text("{}", encoding="utf-8")
    assert leaks(tmp_path) == {"a.png", "b.jpg", "c.parquet"}
