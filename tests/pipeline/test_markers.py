"""What pictures carry besides pixels is found in nothing that is made from them.

Every raw file has marks of a person, broken ones too. All that the pipeline leaves is searched:
artifacts, the cache, MLflow's files and database, logs, journals, answers, errors and exports.
"""

import base64
import io
import re
import sqlite3
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.ground.files import md5_file, read_json
from pipeline.picture.read.carried import PERSONAL, find_carried
from tests.support.marked import (
    EMAIL,
    MARKS,
    chunk,
    encoded,
    exif_segment,
    full_tags,
    in_jpeg,
    in_png,
    segment,
)
from tests.support.project import clone, commit, run, set_params
from tests.support.serving import serving

pytestmark = pytest.mark.slow

ITEMS = 40
SMALL = encoded("JPEG", 3, width=16, height=12)
COMMENT = segment(0xFE, EMAIL.encode())
_EMBEDDED = re.compile(rb"data:image/[a-z+]+;base64,([A-Za-z0-9+/=]+)")


def marked_jpeg(content, orientation=1):
    return in_jpeg(content, exif_segment(full_tags(orientation, SMALL)), COMMENT)


def add_items(raw):
    """Write pictures of two colors that all have marks; some are broken, copies, or in conflict."""
    generator = np.random.default_rng(1)
    files = {}
    for number in range(ITEMS):
        label = ("dark", "light")[number % 2]
        shade = generator.integers(0, 120, (48, 48, 3)) + (0, 120)[number % 2]
        stream = io.BytesIO()
        Image.fromarray(shade.astype(np.uint8)).save(stream, "JPEG", quality=95)
        files[f"{label}/{number:02}.jpg"] = marked_jpeg(stream.getvalue(), number % 8 + 1)
    good = files["dark/00.jpg"]
    note = chunk(b"tEXt", b"Author\0" + EMAIL.encode())
    files |= {
        "dark/broken.jpg": good[:-200],
        "dark/header.jpg": good[:600],
        "dark/copy.jpg": marked_jpeg(good, 1),
        "light/conflict.jpg": good,
        "light/small.png": in_png(encoded("PNG", width=8, height=8), note),
        "light/broken.png": in_png(encoded("PNG"), note)[:-40],
        "light/crc.png": in_png(encoded("PNG"), note[:-1] + b"\0"),
        "light/broken.pgm": b"P5\n# " + EMAIL.encode() + b"\n" + EMAIL.encode() + b" 3\n255\n123",
        "light/plain.ppm": b"P3\n2 2\n255\n" + EMAIL.encode() + b" 1 2 3\n",
        "light/text.jpg": EMAIL.encode() * 40,
    }
    for path, content in files.items():
        (raw / path).parent.mkdir(parents=True, exist_ok=True)
        (raw / path).write_bytes(content)
    return files


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = clone(tmp_path_factory.mktemp("markers") / "project")
    files = add_items(folder / "data/shades/raw")
    run(folder, "dvc", "add", "--quiet", "data/shades/raw")
    set_params(
        folder,
        data={"path": "data/shades/raw", "labels": "data/shades/raw"},
        transform={"size_px": 64, "resize": "squash"},
        augment={"hflip": 0.5, "vflip": 0.5, "transpose": 0.5},
        train={
            "strategy": "head",
            "start": "zero",
            "epochs": 3,
            "batch_size": 8,
            "batch_norm": "stored",
            "test_views": 1,
        },
        evaluate={"bootstrap": 50},
        runtime={"threads": 1},
        machine={"workers": 1, "progress": "lines"},
        registry={"verify_items": 8},
    )
    params = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(params.replace("max_bad_frac: 0.05", "max_bad_frac: 0.5"))
    commit(folder, "shades")
    done = run(folder, "dvc", "repro", "--verbose")
    (folder / "repro.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    return folder, files


def inside(content):
    """Yield the bytes of a file, and what is packed in it."""
    yield content
    for found in _EMBEDDED.finditer(content):
        yield base64.b64decode(found[1])
    if content[:4] == b"PAR1":
        table = pq.read_table(pa.BufferReader(content))
        yield repr(table.to_pydict()).encode()
        yield b" ".join(
            bytes(cell.as_buffer())
            for column in table.columns
            if pa.types.is_binary(column.type)
            for cell in column
            if cell.is_valid
        )
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield from inside(archive.read(name))


def marks_in(content):
    """Return the marks in bytes, as text of any width; kinds of what a picture carries too."""
    found = set()
    for part in inside(content):
        for mark in MARKS:
            forms = (mark.encode(), mark.encode("utf-16-le"), mark.encode("utf-16-be"))
            found |= {mark for form in forms if form in part}
        found |= find_carried(part)[0] & PERSONAL
    return found


def test_the_search_finds_marks_where_they_are(tmp_path):
    marked = marked_jpeg(encoded("JPEG"))
    table = pa.table({"a": [b"x", marked]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    assert set(MARKS) <= marks_in((tmp_path / "a.parquet").read_bytes())
    page = b"<img src=data:image/jpeg;base64," + base64.b64encode(marked)
    assert {"gps", EMAIL} <= marks_in(page)
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("create table t (a text)")
        database.execute("insert into t values (?)", (EMAIL,))
    assert EMAIL in marks_in((tmp_path / "a.db").read_bytes())


def test_nothing_that_stays_has_a_mark(project):
    folder, files = project
    raw = folder / "data/shades/raw"
    originals = {md5_file(raw / path) for path in files}
    searched, held = 0, set()
    for path in folder.rglob("*"):
        if not path.is_file() or path.is_symlink() or path.is_relative_to(raw):
            continue
        if path.parent.name + path.name in originals:  # DVC's copy of a raw file
            held.add(path.parent.name + path.name)
            continue
        searched += 1
        assert marks_in(path.read_bytes()) == set(), path
    assert held == originals
    assert searched > 100
    for place in ("mlflow.db", "repro.log", "artifacts/clean/report.html", ".rootstock"):
        assert (folder / place).exists(), place
    report = read_json(folder / "artifacts/clean/report.json")
    assert report["metadata"]["kinds"]["gps"]["items"] >= ITEMS
    assert report["status"]["quarantined"] >= 6


def test_no_answer_and_no_error_has_a_mark(project):
    folder, files = project
    command = [sys.executable, "-m", "pipeline.cli", "predict", "models:/elpv-cells@champion"]
    done = run(folder, *command, "data/shades/raw/light", "data/shades/raw/dark")
    assert "truncated" in done.stdout
    assert marks_in((done.stdout + done.stderr).encode()) == set()
    with serving("models:/elpv-cells@champion", cwd=folder) as server:
        for path, content in sorted(files.items())[-12:]:
            answer = server.post(content, "application/octet-stream")
            assert answer.status_code in (200, 400, 415, 422), (path, answer.text)
            said = answer.content + repr(answer.headers).encode()
            assert marks_in(said) == set(), path
        assert server.post(files["dark/00.jpg"], "image/jpeg").status_code == 200
        assert marks_in(server.client.get("/metrics").content) == set()
        server.stop()
        assert marks_in(server.log.encode()) == set()


def test_no_export_has_a_mark(project, tmp_path):
    folder, _ = project
    command = [sys.executable, "-m", "pipeline.cli", "export", "models:/elpv-cells@champion"]
    done = run(folder, *command, "--format", "onnx", "--output", str(tmp_path / "out"))
    assert marks_in((done.stdout + done.stderr).encode()) == set()
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) > 3
    for path in written:
        assert marks_in(path.read_bytes()) == set(), path


def test_refuse_stops_the_stage_and_the_remedy_helps(project):
    folder, _ = project
    set_params(folder, clean={"metadata": "refuse"})
    done = run(folder, "dvc", "repro", "clean", code=255)
    assert "carry what clean.metadata: refuse does not allow: gps" in done.stderr + done.stdout
    assert marks_in((done.stdout + done.stderr).encode()) == set()
    command = [sys.executable, "-m", "pipeline.cli", "data", "strip"]
    done = run(folder, *command, "data/shades/raw", "data/plain/raw")
    assert marks_in((done.stdout + done.stderr).encode()) == set()
    assert "left out: 'light/broken.png'" in done.stdout
    for path in (folder / "data/plain/raw").rglob("*"):
        assert path.is_dir() or marks_in(path.read_bytes()) == set(), path
