"""Mutated bytes give an answer or one of our errors, soon, whatever they are.

The mutations come from fixed seeds. ROOTSTOCK_FUZZ multiplies their number (1: some seconds); it is
read when the tests are collected, before the environment is cleaned.
"""

import io
import os
import time
import traceback
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.clean.probe_item import probe_item
from pipeline.compute.engine import Lost, MachineParams, map_in_order
from pipeline.ground.errors import PipelineError
from pipeline.ground.limits import ItemLimits
from pipeline.manifest.manifest import reasons
from pipeline.modality.types.probe import Probe
from pipeline.picture.read.probe import Limits
from pipeline.raw.folder import look_into
from pipeline.raw.items import find_items
from tests.support.packed import packed, tar

REASONS = reasons("picture")

pytestmark = pytest.mark.fuzz

ROUNDS = int(os.environ.get("ROOTSTOCK_FUZZ", "1"))
MACHINE = MachineParams.alone(workers=2, progress="none")
LIMITS = Limits(200_000, "first")
BOUND = ItemLimits(
    bytes=1 << 30, seconds=20.0, memory=8 << 30
)  # arrow's allocator reserves much of it
NOISE = np.random.default_rng(0).integers(0, 256, (48, 56, 3), dtype=np.uint8)


def encoded(kind, **options):
    stream = io.BytesIO()
    Image.fromarray(NOISE).save(stream, kind, **options)
    return stream.getvalue()


def frames(kind):
    stream = io.BytesIO()
    more = [Image.fromarray(NOISE[::-1]), Image.fromarray(NOISE[:, ::-1])]
    Image.fromarray(NOISE).save(stream, kind, save_all=True, append_images=more)
    return stream.getvalue()


def pictures():
    exif = Image.Exif()
    exif[0x0112] = 6
    tiffs = {
        f"tiff {name}": encoded("TIFF", compression=name)
        for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    }
    return tiffs | {
        "jpeg": encoded("JPEG", exif=exif),
        "jpeg progressive": encoded("JPEG", progressive=True),
        "png": encoded("PNG"),
        "gif": frames("GIF"),
        "bmp": encoded("BMP"),
        "webp": encoded("WEBP", exif=exif),
        "webp lossless": encoded("WEBP", lossless=True),
        "webp animated": frames("WEBP"),
        "avif": encoded("AVIF"),
        "mpo": frames("MPO"),
        "apng": frames("PNG"),
    }


def parquet():
    stream = io.BytesIO()
    table = {
        "path": [f"{n}.png" for n in range(50)],
        "label": ["cat", "dog"] * 25,
        "weight": [0.5] * 50,
        "site": pa.array(["a", None] * 25).dictionary_encode(),
    }
    pq.write_table(pa.table(table), stream)
    return stream.getvalue()


CSV = (
    "path,label,split,group,weight\n"
    + "".join(f'{n}.png,"cat, {n % 3}",train,g{n % 5},0.5\n' for n in range(20))
).encode()
MEMBERS = [("cat/1.jpg", b"1" * 700), ("dog/\u00e9" + "x" * 120 + ".jpg", b"22" * 90), ("3", b"")]
ARCHIVES = {
    "tar": tar(MEMBERS),
    "pax.tar": tar(MEMBERS, kind=1 + 1),
    "zip": packed(MEMBERS),
    "stored.zip": packed(MEMBERS, method=0),
}


def picture_table(**options):
    stream = io.BytesIO()
    contents = [encoded("PNG"), encoded("JPEG"), None, b""] * 10
    columns = {
        "image": pa.array([{"bytes": each, "path": "x"} for each in contents]),
        "label": list(range(40)),
    }
    pq.write_table(pa.table(columns), stream, row_group_size=8, **options)
    return stream.getvalue()


TABLES_OF_PICTURES = {
    "parquet": picture_table(),
    "plain parquet": picture_table(compression="none", use_dictionary=False),
}
SAMPLES = [
    (f"{n}{end}", content)
    for n in range(6)
    for end, content in ((".png", b"1"), (".cls", b"7"), (".json", b'{"label": "x", "a": [1]}'))
]


def mutate(content, seed):
    """Change, cut, double or shuffle some bytes; more of it near the beginning and the end."""
    rng = np.random.default_rng(seed)
    raw = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        reach = min(len(raw), int(rng.choice([64, 400, len(raw)])))
        at = int(rng.integers(0, reach))
        at = len(raw) - 1 - at if rng.random() < 0.3 else at
        way = rng.integers(0, 6)
        if way == 0:
            raw[at] ^= 1 << int(rng.integers(0, 8))
        elif way == 1:
            raw[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
        elif way == 2:
            raw[at : at + 4] = int(rng.integers(0, 1 << 32)).to_bytes(4, "little")
        elif way == 3:
            del raw[at : at + int(rng.integers(1, 40))]
        elif way == 4:
            raw[at:at] = raw[at : at + int(rng.integers(1, 40))]
        else:
            raw = raw[: max(1, at)]
        if not raw:
            return b""
    return bytes(raw)


def answer(check, folder, job):
    """Run one check on one mutation; say in words what was wrong, or give its outcome."""
    name, content, seed = job
    place = folder / f"{seed}"
    place.mkdir(exist_ok=True)
    start = time.process_time()  # of this process alone: the machine may be busy
    try:
        outcome = check(place, name, mutate(content, seed))
    except PipelineError as error:
        outcome = f"refused with {error.exit_code}"
        if error.exit_code not in (2, 3) or "\n" in str(error):
            return f"wrong: {name} {seed}: {error!r}"
    except Exception:  # noqa: BLE001
        return f"wrong: {name} {seed}: {traceback.format_exc()}"
    seconds = time.process_time() - start
    return outcome if seconds < 5.0 else f"wrong: {name} {seed}: took {seconds:.1f} s"


def fuzz(check, folder, contents, number):
    """Give the outcomes of many mutations of each content."""
    jobs = [
        (name, content, 1000 * place + seed)
        for place, (name, content) in enumerate(sorted(contents.items()))
        for seed in range(number * ROUNDS)
    ]
    outcomes = list(
        map_in_order(
            partial(answer, check, folder), jobs, MACHINE, title="fuzz", limits=BOUND, lost=tell
        )
    )
    assert [each for each in outcomes if each.startswith("wrong")] == []
    return set(outcomes)


def tell(job, loss: Lost):
    return f"wrong: {job[0]} {job[2]}: {loss}"


def look(place, name, content):
    (place / "x.png").write_bytes(content)
    probe = probe_item(place, LIMITS, "x.png")
    assert isinstance(probe, Probe)
    assert probe.reason is None or probe.reason in REASONS
    assert (probe.content_hash is None) == (probe.reason is not None)
    return probe.reason or "kept"


def test_pictures(tmp_path):
    outcomes = fuzz(look, tmp_path, pictures(), 60)
    assert {"kept", "damaged", "truncated", "not_image"} <= outcomes


def read_labels(place, name, content):
    (place / "1.png").touch()
    (place / f"labels.{name}").write_bytes(content)
    found = find_items(place, place / f"labels.{name}", target="label")
    assert "1.png" in [item.path for item in found.items]
    return found.layout


def test_label_files(tmp_path):
    outcomes = fuzz(read_labels, tmp_path, {"csv": CSV, "parquet": parquet()}, 300)
    assert {"label file", "refused with 3"} <= outcomes


CELLS = st.one_of(
    st.sampled_from(["path", "label", "split", "1.png", "train", "cat", "", '"', "../x", "C:\\x"]),
    st.text(max_size=12),
)
TABLES = st.lists(st.lists(CELLS, max_size=4), max_size=6)


@settings(max_examples=150 * ROUNDS, derandomize=True, deadline=None, database=None)
@given(rows=TABLES, separator=st.sampled_from([",", ";", "\t"]), has_header=st.booleans())
def test_tables_of_any_text(tmp_path_factory, rows, separator, has_header):
    place = tmp_path_factory.mktemp("table", numbered=True)
    lines = [separator.join(cells) for cells in ([["path", "label"]] if has_header else []) + rows]
    text = "\n".join(lines)
    try:
        layout = read_labels(place, "csv", text.encode("utf-8", "surrogatepass"))
    except PipelineError as error:
        assert error.exit_code == 3
        assert "\n" not in str(error)
        assert "labels.csv" in str(error)
    else:
        assert layout == "label file"


def open_archive(place, name, content):
    file = f"x.{name.rpartition('.')[2]}"
    (place / file).write_bytes(content)
    inside = look_into(place, file)
    assert len(set(inside.files)) == len(inside.files)
    assert not {path for path, _, _ in inside.unsafe} & set(inside.files)
    for path in inside.files:
        assert ".." not in path.split("/")
        probe = probe_item(place, LIMITS, path)
        assert probe.reason in REASONS
        assert not probe.detail.startswith("no such member")
    return "listed"


def test_archives(tmp_path):
    outcomes = fuzz(open_archive, tmp_path, ARCHIVES, 150)
    assert {"listed", "refused with 3"} <= outcomes


def open_table(place, name, content):
    (place / "x.parquet").write_bytes(content)
    found = find_items(place, place, target="label")
    for item in found.items:
        probe = probe_item(place, LIMITS, item.path)
        assert probe.reason is None or probe.reason in REASONS
    return found.layout


def test_tables_of_pictures(tmp_path):
    outcomes = fuzz(open_table, tmp_path, TABLES_OF_PICTURES, 100)
    assert {"item tables", "refused with 3"} <= outcomes


def read_samples(place, name, content):
    members = [(key, content if key == name else each) for key, each in SAMPLES]
    (place / "0.tar").write_bytes(tar(members))
    return find_items(place, place, target="label").layout


def test_labels_beside_pictures(tmp_path):
    outcomes = fuzz(read_samples, tmp_path, dict(SAMPLES[1:3]), 60)
    assert outcomes == {"samples"}


def test_a_fault_would_be_seen(tmp_path):
    for check in (fail, crash):
        with pytest.raises(AssertionError, match="wrong: png"):
            fuzz(check, tmp_path, {"png": b"x" * 99}, 2)


def fail(place, name, content):
    raise KeyError(name)


def crash(place, name, content):
    os.abort()
