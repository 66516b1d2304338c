"""`clean` counts what items carry by kind and split, and stops where none may."""

import csv
import json

import pytest

from pipeline.clean.page.plots import write_plots
from pipeline.compute.engine import MachineParams
from pipeline.ground.errors import DataError
from pipeline.strip.run import Options, strip_folder
from tests.support.marked import MARKS, encoded, exif_segment, full_tags, in_jpeg, tags
from tests.support.rawfolder import clean_folder
from tests.support.texts import clean_texts, many_texts, words

CAMERA = tags({0x0110: "Model"})


def marked_folder(raw, *, n=20):
    """Make class folders in which two pictures have marks, one more a camera, and one is broken."""
    for number in range(n):
        for label in ("cat", "dog"):
            path = raw / label / f"{number:02}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded("JPEG", 100 * number + len(label) + (label == "dog")))
    for path, block in (
        ("cat/03.jpg", full_tags()),
        ("dog/05.jpg", full_tags(6)),
        ("dog/06.jpg", CAMERA),
    ):
        file = raw / path
        file.write_bytes(in_jpeg(file.read_bytes(), exif_segment(block)))
    broken = raw / "dog" / "07.jpg"
    broken.write_bytes(in_jpeg(broken.read_bytes(), exif_segment(full_tags()))[:-80])
    return raw


def test_the_report_counts_by_kind_and_split(tmp_path):
    cleaned = clean_folder(marked_folder(tmp_path / "raw"))
    section = cleaned.report["metadata"]
    splits = cleaned.manifest.set_index("path")["split"]
    expected = {"train": 0, "val": 0, "test": 0, "not_kept": 1}
    for path in ("cat/03.jpg", "dog/05.jpg"):
        expected[splits[path]] += 1
    assert (section["policy"], section["items"], section["share"]) == ("report", 4, 0.1)
    assert section["kinds"]["gps"] == {
        "items": 3,
        "share": 0.075,
        "times": 3,
        "splits": expected,
        "first": "cat/03.jpg",
    }
    assert section["kinds"]["camera"]["items"] == 4
    assert list(section["kinds"])[:3] == ["gps", "serial", "owner"]
    (warning,) = [each for each in cleaned.report["warnings"] if "people" in each]
    assert warning.startswith("items tell of people, places or machines: gps in 3, serial in 3")
    assert "first: 'cat/03.jpg' (`rootstock data strip`" in warning


def test_what_leads_to_nobody_is_counted_without_a_warning(tmp_path):
    raw = marked_folder(tmp_path / "raw")
    for path in ("cat/03.jpg", "dog/05.jpg", "dog/07.jpg"):
        (raw / path).unlink()
    report = clean_folder(raw).report
    assert list(report["metadata"]["kinds"]) == ["camera"]
    assert not [each for each in report["warnings"] if "people" in each]


def test_a_table_names_every_item(tmp_path):
    from tests.support.rawfolder import SPLIT, Rules, clean_params

    raw = marked_folder(tmp_path / "raw")
    rules = Rules("classification", clean_params(), SPLIT)
    write_plots(tmp_path / "plots", clean_folder(raw), raw=raw, rules=rules)
    with (tmp_path / "plots" / "carried.csv").open() as file:
        rows = {row["path"]: row["kinds"].split() for row in csv.DictReader(file)}
    assert list(rows) == ["cat/03.jpg", "dog/05.jpg", "dog/06.jpg", "dog/07.jpg"]
    assert rows["dog/06.jpg"] == ["camera"]


def test_no_value_is_in_what_clean_knows(tmp_path):
    cleaned = clean_folder(marked_folder(tmp_path / "raw"))
    everything = json.dumps(cleaned.report) + cleaned.manifest.to_csv() + repr([*cleaned.probes])
    assert not any(mark in everything for mark in MARKS)


def test_refuse_names_the_first_and_counts_and_the_remedy_helps(tmp_path):
    raw = marked_folder(tmp_path / "raw")
    with pytest.raises(DataError) as caught:
        clean_folder(raw, metadata="refuse")
    text = str(caught.value)
    assert caught.value.exit_code == 3
    assert "4 of 40 items carry what clean.metadata: refuse does not allow: gps 3, serial 3" in text
    assert "first: 'cat/03.jpg' (`rootstock data strip" in text
    assert not any(mark in text for mark in MARKS)
    options = Options(None, None, "keep", MachineParams.alone(workers=1, progress="none"))
    strip_folder(raw, tmp_path / "out", options)
    report = clean_folder(tmp_path / "out", metadata="refuse").report
    assert (report["items"], report["metadata"]["items"]) == (39, 0)


def test_a_person_of_whom_texts_tell(tmp_path):
    rows = many_texts()
    rows[0] = (rows[0][0], f"{words(0)} ada@example.org or eve@example.org", rows[0][2])
    rows[1] = (rows[1][0], f"{words(1)} +49 30 1234567", rows[1][2])
    section = clean_texts(tmp_path / "raw", rows).report["metadata"]
    assert {kind: (each["items"], each["times"]) for kind, each in section["kinds"].items()} == {
        "email": (1, 2),
        "phone": (1, 1),
    }
    with pytest.raises(DataError, match=r"2 of 60 items carry .*: email 1, phone 1; first: '000"):
        clean_texts(tmp_path / "raw", rows, metadata="refuse")
