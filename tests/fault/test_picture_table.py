"""Bad pictures, row by row of a table, through the stages: loose, in a tar, and in a zip.

The numbers are those of the project's table of faults. Every item has a row of the manifest, kept
with a note or set aside with a reason; none hangs or ends the stage, or is seen as what it is not.
"""

import io
import json
import os
import re
import struct
import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.manifest.manifest import read_manifest
from pipeline.picture.read.decode import open_picture
from pipeline.store.store import Store
from tests.support.packed import pack_folder, packed, tar
from tests.support.powerless import runs_elsewhere
from tests.support.staged import run_clean, run_transform
from tests.unit.picture.read.test_decode import wide_gamut_profile

SIDE = 40
SEEDS = iter(range(10_000))


def noise(shape=(SIDE, SIDE + 8, 3), dtype=np.uint8):
    """Give noise that no other picture of the table has."""
    rng = np.random.default_rng(next(SEEDS))
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def encode(kind, image=None, **options):
    """Give the bytes of a picture."""
    stream = io.BytesIO()
    image = Image.fromarray(noise()) if image is None else image
    image.save(stream, kind, **options)
    return stream.getvalue()


def gray(dtype=np.uint8):
    return Image.fromarray(noise((SIDE, SIDE), dtype))


def frames(kind):
    first, *rest = (Image.fromarray(noise()) for _ in range(3))
    return encode(kind, first, save_all=True, append_images=rest)


def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_of_size(width, height, *extra):
    """Give a PNG whose header promises a size; `extra` chunks stand before its pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(SIDE * (SIDE + 1))))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + body + chunk(b"IEND", b"")


def flip(raw, at):
    return raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1 :]


def oriented(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    return encode("JPEG", exif=exif)


def see_through(alpha):
    pixels = noise((SIDE, SIDE, 4))
    pixels[..., 3] = alpha
    return Image.fromarray(pixels)


def constant(value):
    return Image.new("RGB", (SIDE, SIDE), (value, value, value))


JPEG, PNG, TWIN, OTHER_TWIN = encode("JPEG"), encode("PNG"), noise(), noise()
PALETTE = Image.fromarray(noise()).quantize(16)

BAD = {
    "01 zero bytes": (b"", "empty", "no bytes"),
    "02 HTML": (b"<!DOCTYPE html><html>404", "not_image", "it is an HTML page"),
    "02 JSON": (b'{"error": 404}', "not_image", "it is a JSON file"),
    "03 text": (b"no picture\n", "not_image", "it is a text file"),
    "04 JPEG cut in half": (JPEG[: len(JPEG) // 2], "truncated", ""),
    "05 JPEG without its end": (JPEG[:-2], "truncated", ""),
    "06 PNG cut": (PNG[: len(PNG) // 2], "truncated", "is cut off"),
    "07 JPEG header alone": (JPEG[:200], "truncated", ""),
    "08 JPEG with flipped bits": (flip(JPEG, JPEG.index(b"\xff\xc4") + 5), "damaged", ""),
    "09 PNG with a wrong checksum": (flip(PNG, len(PNG) // 2), "damaged", "wrong checksum"),
    "17 float TIFF": (
        encode("TIFF", Image.fromarray(np.ones((SIDE, SIDE), np.float32))),
        "unsupported_mode",
        "floating-point",
    ),
    "21 bomb of which Pillow warns": (png_of_size(12_000, 12_000), "too_large", "over 50000000"),
    "22 bomb": (png_of_size(20_000, 20_000), "too_large", "over"),
    "23 text bomb": (
        png_of_size(SIDE, SIDE, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(80_000_000)))),
        "damaged",
        "",
    ),
    "24 one pixel": (encode("PNG", Image.fromarray(noise((1, 1)))), "too_small", "1 x 1"),
    "25 a line": (encode("PNG", Image.fromarray(noise((32, 10_000)))), "aspect", "10000 x 32"),
    "26 under the least side": (encode("PNG", Image.fromarray(noise((15, 60)))), "too_small", ""),
    "27 SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "format_not_allowed", "an SVG"),
    "27 PDF": (b"%PDF-1.4\n%", "format_not_allowed", "a PDF"),
    "28 EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "format_not_allowed", "an EPS or PostScript"),
    "29 HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1", "format_not_allowed", "convert it to JPEG"),
    "30 camera's raw": (b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "format_not_allowed", "raw file"),
    "18 nothing to see": (encode("PNG", Image.new("RGBA", (SIDE, SIDE))), "transparent", "nothing"),
    "30 DNG": (encode("TIFF", tiffinfo={50706: b"\1\4\0\0"}), "format_not_allowed", "raw file"),
}
"""Contents, the reason, and what its detail says."""

GOOD = {
    "10 trailing garbage": (JPEG + b"garbage", ["trailing_bytes"]),
    "11 PNG named .jpg": (encode("PNG"), ["other_extension"]),
    "12 animated GIF": (frames("GIF"), ["animated", "other_extension"]),
    "12 animated WebP": (frames("WEBP"), ["animated", "other_extension"]),
    "12 animated PNG": (frames("PNG"), ["animated", "other_extension"]),
    "13 TIFF of several pages": (frames("TIFF"), ["animated", "other_extension"]),
    "14 CMYK": (
        encode("JPEG", Image.fromarray(noise((SIDE, SIDE, 4))[..., :3]).convert("CMYK")),
        [],
    ),
    "15 gray": (encode("JPEG", gray()), []),
    "15 one bit": (encode("PNG", gray().convert("1")), ["other_extension"]),
    "15 gray with alpha": (
        encode("PNG", Image.fromarray(noise((SIDE, SIDE, 2)))),
        ["alpha", "other_extension"],
    ),
    "15 palette": (encode("PNG", PALETTE), ["other_extension"]),
    "16 gray of 16 bits, PNG": (encode("PNG", gray(np.uint16)), ["other_extension"]),
    "16 gray of 16 bits, TIFF": (encode("TIFF", gray(np.uint16)), ["other_extension"]),
    "18 transparent": (
        encode("PNG", see_through(np.repeat([[0, 255]], SIDE // 2, 1))),
        ["alpha", "other_extension"],
    ),
    "18 hidden": (encode("PNG", see_through(0)), ["alpha_ignored", "other_extension"]),
    "19 palette with transparency": (
        encode("PNG", PALETTE, transparency=bytes([9] * 16)),
        ["alpha", "constant", "other_extension"],
    ),
    **{f"20 orientation {turn}": (oriented(turn), ["oriented"]) for turn in range(2, 9)},
    "31 wide gamut": (encode("JPEG", icc_profile=wide_gamut_profile()), ["icc_converted"]),
    "32 all black": (encode("PNG", constant(0)), ["constant", "other_extension"]),
}
"""Contents, and the notes of a picture that is kept."""


def fill(folder):
    """Write every file of the table under a name with the number of its row."""
    for names, label in (
        (sorted(BAD)[::2] + sorted(GOOD)[::2], "cat"),
        (sorted(BAD)[1::2] + sorted(GOOD)[1::2], "dog"),
    ):
        (folder / label).mkdir(parents=True)
        for name in names:
            content = (BAD.get(name) or GOOD[name])[0]
            (folder / label / f"{name}.jpg").write_bytes(content)
    for number in range(20):
        for label in ("cat", "dog"):
            (folder / label / f"fine {number}.jpg").write_bytes(encode("JPEG"))
    (folder / "cat/33 same label.png").write_bytes(encode("PNG", Image.fromarray(TWIN)))
    (folder / "cat/33 same label.bmp").write_bytes(encode("BMP", Image.fromarray(TWIN)))
    (folder / "cat/34 other label.png").write_bytes(encode("PNG", Image.fromarray(OTHER_TWIN)))
    (folder / "dog/34 other label.png").write_bytes(encode("PNG", Image.fromarray(OTHER_TWIN)))
    for name in (".DS_Store", "cat/Thumbs.db", "cat/._x.jpg", "__MACOSX/cat/x.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"42 system")
    return folder


class Outcome:
    """What the stages made of the table."""

    def __init__(self, folder, prefix):
        assert run_clean(folder) == 0
        assert run_transform(folder) == 0
        manifest = read_manifest(folder / "out/manifest.parquet")
        self.rows = {row["path"].removeprefix(prefix): row for row in manifest.to_dict("records")}
        self.report = json.loads((folder / "out/report.json").read_text(encoding="utf-8"))
        self.details = {
            each["path"].removeprefix(prefix): each["detail"] for each in self.report["not_kept"]
        }
        self.store = Store.open(folder / "out/store")
        self.stored = [path.removeprefix(prefix) for path in self.store.index["path"]]

    def find(self, name):
        (path,) = (path for path in self.rows if path.endswith(f"/{name}.jpg"))
        return path, self.rows[path]

    def pixels(self, name):
        row = self.stored.index(self.find(name)[0])
        return self.store.read(np.array([row]))[0]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    table = fill(tmp_path_factory.mktemp("table") / "raw")
    found = {"loose": Outcome(table.parent, "")}
    for name in ("a.tar", "a.zip"):
        folder = tmp_path_factory.mktemp(name)
        pack_folder(table, folder / "raw" / name)
        found[name] = Outcome(folder, f"{name}/")
    return found


@pytest.fixture(params=["loose", "a.tar", "a.zip"])
def outcome(request, outcomes):
    return outcomes[request.param]


@pytest.mark.parametrize("name", BAD)
def test_bad(outcome, name):
    path, row = outcome.find(name)
    _, reason, detail = BAD[name]
    assert (row["status"], row["reason"]) == ("quarantined", reason), outcome.details[path]
    assert detail in outcome.details[path]
    assert path not in outcome.stored


@pytest.mark.parametrize("name", GOOD)
def test_good(outcome, name):
    path, row = outcome.find(name)
    assert (row["status"], path in outcome.stored) == ("kept", True)
    for note in GOOD[name][1]:
        assert outcome.report["notes"][note]["n"] >= 1
    expected = {each for each in GOOD[name][1] if each not in ("other_extension", "constant")}
    content = GOOD[name][0]
    picture = open_picture(content, background=(0, 0, 0), max_pixels=10**6, animated="first")
    assert set(picture.notes) == expected
    assert (row["format"], row["mode"]) == (picture.format, picture.source_mode)


def test_the_report_counts_every_note_of_the_table(outcome):
    expected = [note for _, notes in GOOD.values() for note in notes]
    counts = {note: outcome.report["notes"][note]["n"] for note in set(expected)}
    assert counts == {note: expected.count(note) for note in counts}


def test_16_gray_of_16_bits_is_scaled_and_not_clipped(outcome):
    for name in ("16 gray of 16 bits, PNG", "16 gray of 16 bits, TIFF"):
        assert 110 < outcome.pixels(name).mean() < 145


def test_18_what_is_transparent_lies_on_the_background(outcome):
    pixels = outcome.pixels("18 transparent")
    assert not pixels[..., : pixels.shape[2] // 2 - 2].any()
    assert pixels[..., pixels.shape[2] // 2 + 2 :].any()


def test_18_transparency_that_hides_all_is_not_believed(outcome):
    assert outcome.pixels("18 hidden").mean() > 100


def test_20_the_orientation_is_applied(outcome):
    for turn in range(2, 9):
        _, row = outcome.find(f"20 orientation {turn}")
        size = (SIDE + 8, SIDE) if turn < 5 else (SIDE, SIDE + 8)
        assert (row["width"], row["height"]) == size


def test_33_34_the_same_pixels(outcome):
    assert outcome.rows["cat/33 same label.bmp"]["status"] == "kept"
    assert outcome.rows["cat/33 same label.png"]["reason"] == "duplicate"
    for label in ("cat", "dog"):
        assert outcome.rows[f"{label}/34 other label.png"]["reason"] == "conflict"


def test_42_system_files_are_counted_and_left_alone(outcome):
    assert outcome.report["ignored_files"] == 4
    assert not any("system" in path or "Thumbs" in path for path in outcome.rows)


def test_loose_and_packed_are_one_and_the_same(outcomes):
    loose = outcomes["loose"]
    for name in ("a.tar", "a.zip"):
        packed_ = outcomes[name]
        assert packed_.rows.keys() == loose.rows.keys()
        for path, row in loose.rows.items():
            other = packed_.rows[path]
            for column in ("id", "label", "split", "status", "reason", "width", "mode"):
                assert other[column] == row[column] or other[column] != other[column], (
                    path,
                    column,
                )
        assert packed_.stored == loose.stored
        rows = np.arange(len(loose.store))
        assert np.array_equal(packed_.store.read(rows), loose.store.read(rows))


def fine(raw, *, items=20):
    """Write pictures of two classes in which nothing is wrong."""
    for label in ("cat", "dog"):
        (raw / label).mkdir(parents=True, exist_ok=True)
        for number in range(items):
            (raw / label / f"{number}.png").write_bytes(encode("PNG"))
    return raw


def last_line(capsys):
    """Give the last line on stderr, which must be the error, and no traceback."""
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("error: ")
    return told.splitlines()[-1]


def clean_rows(folder, **sections):
    assert run_clean(folder, **sections) == 0
    rows = read_manifest(folder / "out/manifest.parquet").to_dict("records")
    return {row["path"]: row for row in rows}


def test_12_13_animated_reject(tmp_path):
    raw = fine(tmp_path / "raw")
    for number, kind in enumerate(("GIF", "WEBP", "PNG", "TIFF")):
        (raw / f"cat/frames{number}").write_bytes(frames(kind))
    rows = clean_rows(tmp_path, clean={"animated": "reject", "max_bad_frac": 1.0})
    assert [rows[f"cat/frames{number}"]["reason"] for number in range(4)] == ["animated"] * 4


def test_35_a_picture_in_two_given_splits_does_not_stay_in_both(tmp_path):
    raw = tmp_path / "raw"
    for split in ("train", "val", "test"):
        fine(raw / split, items=3)
    (raw / "train/cat/twin.png").write_bytes(encode("PNG", Image.fromarray(TWIN)))
    (raw / "test/cat/twin.bmp").write_bytes(encode("BMP", Image.fromarray(TWIN)))
    code = run_clean(tmp_path)
    assert code in (0, 3)
    if code == 0:
        rows = read_manifest(tmp_path / "out/manifest.parquet").to_dict("records")
        kept = [row for row in rows if "twin" in row["path"] and row["status"] == "kept"]
        assert len(kept) <= 1


def test_37_to_41_entries(tmp_path):
    raw = fine(tmp_path / "raw")
    (raw / "cat/37 out.jpg").symlink_to("/etc/hostname")
    (raw / "cat/37 in.png").symlink_to("0.png")
    os.mkfifo(raw / "cat/38 pipe.jpg")
    (raw / "cat/40 folder.jpg").mkdir()
    (raw / "cat/40 folder.jpg/x.png").write_bytes(encode("PNG"))
    (raw / os.fsdecode(b"cat/41 \xff.jpg")).write_bytes(encode("PNG"))
    (raw / "cat/41 line\nbreak.png").write_bytes(encode("PNG"))
    (raw / f"cat/{'4' * 251}.png").write_bytes(encode("PNG"))
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "cat/41 \u00e9.png")
        (raw / name).write_bytes(encode("PNG"))
    for name in ("cat/41 A.png", "cat/41 a.png"):
        (raw / name).write_bytes(encode("PNG"))
    rows = clean_rows(tmp_path)
    reasons = {path: row["reason"] for path, row in rows.items() if row["status"] != "kept"}
    assert reasons == {
        "cat/37 out.jpg": "unsafe_path",
        "cat/37 in.png": "duplicate",
        "cat/38 pipe.jpg": "unsafe_path",
        "cat/41 \\xff.jpg": "unsafe_path",
    }
    assert rows["cat/40 folder.jpg/x.png"]["label"] == "cat"
    assert rows["cat/41 line\nbreak.png"]["status"] == "kept"
    assert len([path for path in rows if "\u00e9" in unicodedata.normalize("NFC", path)]) == 2
    report = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    assert any(each.startswith("2 file names differ only in case") for each in report["warnings"])
    assert run_transform(tmp_path) == 0


def test_39_a_file_without_permission(tmp_path, request):
    if runs_elsewhere(request):
        return
    raw = fine(tmp_path / "raw")
    (raw / "cat/0.png").chmod(0)
    assert clean_rows(tmp_path)["cat/0.png"]["reason"] == "unreadable"


def test_43_zip_slip_and_other_names(tmp_path):
    raw = fine(tmp_path / "raw")
    members = [
        ("../../x.png", b"1"),
        ("/etc/x.png", b"2"),
        ("C:\\x.png", b"3"),
        ("cat\\in.png", encode("PNG")),
        ("cat/twice.png", b"5"),
        ("cat/twice.png", b"6"),
    ]
    (raw / "a.tar").write_bytes(tar(members))
    (raw / "b.zip").write_bytes(packed([("../x.png", b"7"), ("cat/inner.tar", tar(members))]))
    rows = clean_rows(tmp_path)
    assert {
        path: row["reason"] for path, row in rows.items() if row["reason"] == row["reason"]
    } == {
        "a.tar/../../x.png": "unsafe_path",
        "a.tar//etc/x.png": "unsafe_path",
        "a.tar/C:\\x.png": "unsafe_path",
        "a.tar/cat/twice.png": "unsafe_path",
        next(path for path in rows if path.startswith("a.tar/cat/twice.png@")): "unsafe_path",
        "b.zip/../x.png": "unsafe_path",
        "b.zip/cat/inner.tar": "not_image",
    }
    assert rows["a.tar/cat/in.png"]["label"] == "cat"
    assert {path.name for path in tmp_path.iterdir()} <= {"raw", "out", "params.yaml", ".rootstock"}


WHOLE = tar([("cat/1.jpg", JPEG), ("dog/2.jpg", PNG)])
CORRUPT = {
    "tar cut": ("a.tar", WHOLE[:1700], r"raw/a\.tar: is cut or corrupt at byte 1700: "),
    "tar damaged": ("a.tar", flip(WHOLE, 5), r"raw/a\.tar: is cut or corrupt at byte 0: "),
    "zip cut": ("a.zip", packed([("cat/1.jpg", JPEG)])[:-30], r"raw/a\.zip: is cut or corrupt at"),
    "zip empty": ("a.zip", b"", r"raw/a\.zip: is cut or corrupt at byte 0: it has no directory"),
    "zip that is a page": ("a.zip", b"<html>404", r"it looks like an HTML page"),
    "tar.gz": ("a.tar.gz", b"\x1f\x8b\x08", r"raw/a\.tar\.gz: must not be compressed as a whole"),
}


@pytest.mark.parametrize(("name", "content", "message"), CORRUPT.values(), ids=CORRUPT)
def test_43_a_corrupt_archive_stops_the_stage(tmp_path, capsys, name, content, message):
    (fine(tmp_path / "raw") / name).write_bytes(content)
    assert run_clean(tmp_path) == 3
    assert re.search(message, last_line(capsys))
    assert not (tmp_path / "out").exists()


def test_too_much_that_is_bad_leaves_a_list_that_a_spreadsheet_may_open(tmp_path, capsys):
    raw = fine(tmp_path / "raw")
    for name in ("=1+1.png", "@x.png", "-1.png", "cat/bad.png"):
        (raw / name).write_bytes(b"text")
    assert run_clean(tmp_path, clean={"max_bad_frac": 0.05}) == 3
    line = last_line(capsys)
    assert "4 of 44 items are bad: not_image 4 (first: -1.png)" in line
    assert "all are listed in .rootstock/proofs/bad_items.csv" in line
    listed = (tmp_path / ".rootstock/proofs/bad_items.csv").read_text(encoding="utf-8")
    assert listed.splitlines() == [
        "path,reason,detail",
        "'-1.png,not_image,it is a text file",
        "'=1+1.png,not_image,it is a text file",
        "'@x.png,not_image,it is a text file",
        "cat/bad.png,not_image,it is a text file",
    ]
    assert run_clean(tmp_path) == 0
    assert not (tmp_path / ".rootstock/proofs/bad_items.csv").exists()
