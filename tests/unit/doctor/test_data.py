"""The raw folder is judged before `dvc add` and before any stage."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.clean.probe_cache import made_from, write_probes
from pipeline.compute.engine import MachineParams
from pipeline.doctor import data as doctor_data
from pipeline.doctor.data import Expectations, check_data
from pipeline.doctor.disk import check_disk
from pipeline.doctor.examine import check_fit
from pipeline.doctor.params import CLASSES, examine_params
from pipeline.doctor.shapes import Outline
from pipeline.ground.errors import DataError
from pipeline.ground.files import sha256_file, write_json
from pipeline.ground.findings import gather
from pipeline.modality.types.params import ShelfParams
from pipeline.picture.read.probe import ALARMS, NOTES
from pipeline.raw.params import DataParams
from tests.support.closure import ROOT
from tests.support.packed import tar
from tests.support.rawfolder import (
    class_folders,
    clean_folder,
    clean_params,
    save_picture,
    write_labels,
)

RAW = "data/mine/raw"


@pytest.fixture(scope="module")
def params():
    return examine_params(ROOT / "params.yaml")[0]


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """Enter a git repository with class folders of small pictures in data/mine/raw."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    return class_folders(tmp_path / RAW)


@pytest.fixture
def look(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def look_at(*, task="classification", labels=RAW, target="label", **clean):
        wanted = Expectations(
            task,
            DataParams(
                path=RAW, labels=labels, target=target, text=None, encoding=None, layout="auto"
            ),
            clean_params(**clean),
            params.find(CLASSES["split"]),
            MachineParams.alone(workers=1, progress="none"),
        )
        return gather("data", check_data(wanted))

    return look_at


def lines(found, level):
    return [each.line() for each in found if each.level == level]


@pytest.mark.parametrize("linked", ["raw", "above"])
def test_a_linked_folder_is_not_advised_to_be_added_which_dvc_refuses(raw, look, tmp_path, linked):
    place = raw if linked == "raw" else raw.parent
    place.rename(tmp_path / "disk")
    place.symlink_to(tmp_path / "disk")
    found, _ = look()
    assert lines(found, "error") == []
    (line,) = lines(found, "warning")
    assert line.startswith(f"{RAW}: is not under DVC, which refuses a folder that is a link")
    assert "`mount --bind`" in line
    assert f"`dvc add {RAW}`" not in line


def test_a_good_folder_is_counted_and_its_pictures_are_looked_at(raw, look):
    found, seen = look()
    assert lines(found, "error") == []
    assert lines(found, "warning") == [
        f"{RAW}: is not under DVC: its versions are not kept, and `dvc push` will not share it "
        f"(run `dvc add {RAW}`)"
    ]
    assert lines(found, "ok") == [
        f"{RAW}: 48 items, class folders, 2 classes: 'cat' 24, 'dog' 24",
        f"{RAW}: 48 of 48 items were opened, 48 are pictures: PNG, all 12 x 10 pixels",
    ]
    assert seen.items == 48
    assert seen.files_bytes == sum(each.stat().st_size for each in raw.rglob("*.png"))


def test_an_archive_is_one_file_with_many_items(raw, look, monkeypatch):
    monkeypatch.setattr(doctor_data, "_MANY_FILES", 40)
    members = [
        (path.relative_to(raw).as_posix(), path.read_bytes()) for path in sorted(raw.rglob("*.png"))
    ]
    shutil.rmtree(raw)
    raw.mkdir()
    (raw / "all.tar").write_bytes(tar(members))
    found, seen = look()
    assert lines(found, "error") == []
    assert not any("treats each by itself" in line for line in lines(found, "warning"))
    assert f"{RAW}: 48 items, class folders, 2 classes: 'cat' 24, 'dog' 24" in lines(found, "ok")
    assert seen.items == 48
    assert seen.files_bytes == (raw / "all.tar").stat().st_size


def test_a_tracked_folder_is_not_complained_of(raw, look):
    raw.with_name("raw.dvc").write_text("outs: []\n")
    assert lines(look()[0], "warning") == []


def test_a_folder_in_git_is_told_with_the_way_out(raw, look):
    subprocess.run(["git", "add", "--force", RAW], check=True)
    (line,) = lines(look()[0], "warning")
    assert "48 of its files are in git" in line
    assert f"git rm -r --cached {RAW}" in line


def test_a_tracked_folder_that_is_not_here_is_a_pull(look, tmp_path):
    (tmp_path / "data/mine").mkdir(parents=True)
    (tmp_path / f"{RAW}.dvc").write_text("outs: []\n")
    found, seen = look()
    assert seen is None
    (tmp_path / f"{RAW}.dvc").write_text("outs: [{path: raw, md5: a, size: 90, nfiles: 3}]\n")
    assert look()[1] == doctor_data.RawFolder(3, 90)
    assert lines(found, "warning") == [
        f"{RAW}: is tracked by {RAW}.dvc, and not here (run `dvc pull {RAW}.dvc`)"
    ]


def test_a_folder_that_a_stage_makes_may_be_absent(look, tmp_path):
    (tmp_path / "data/mine").mkdir(parents=True)
    (tmp_path / "data/mine/dvc.yaml").write_text(f"outs: [{RAW}]\n")
    found, seen = look()
    assert lines(found, "ok") == [f"{RAW}: is not here yet; data/mine/dvc.yaml makes it"]
    assert seen is None
    out = f"{{path: {RAW}, md5: a, size: 900, nfiles: 7}}"
    (tmp_path / "data/mine/dvc.lock").write_text(
        f"stages: {{a: {{cmd: x, outs: [{out}]}}, b: {{cmd: y}}}}\n"
    )
    assert look()[1] == doctor_data.RawFolder(7, 900)


def break_link(raw):
    (raw / "cat/out.png").symlink_to("/etc/hostname")


def break_fifo(raw):
    os.mkfifo(raw / "cat/pipe.png")


def break_one_class(raw):
    for each in (raw / "dog").iterdir():
        each.unlink()


def break_no_layout(raw):
    for number, each in enumerate(sorted(raw.rglob("*.png"))):
        each.rename(raw / f"{number}.png")


def break_pictures(raw):
    for each in raw.rglob("*.png"):
        each.write_text("<html><body>404</body></html>")


def break_label_file(raw):
    (raw / "labels.csv").write_bytes("path,label\ncat/00.png,caf\u00e9\n".encode("latin-1"))


def break_spelling(raw):
    write_labels(raw, ["cat/00.png,cat", "cat/01.png,Cat", "dog/00.png,dog"])


def break_train(raw):
    write_labels(
        raw,
        ["cat/00.png,cat,train", "cat/01.png,cat,val", "dog/00.png,dog,test"],
        header="path,label,split",
    )


def break_val(raw):
    write_labels(
        raw,
        ["cat/00.png,cat,train", "dog/01.png,dog,train", "dog/00.png,dog,test"],
        header="path,label,split",
    )


def in_splits(raw, *changed, header="path,label,split"):
    """Write a label file with splits for all pictures but the first ones, which have `changed`."""
    names = sorted(path.relative_to(raw) for path in raw.rglob("*.png"))
    rows = [
        f"{name},{name.parent},{('train', 'val', 'train', 'test')[number % 4]}"
        + ",g" * (header.count(",") - 2)
        for number, name in enumerate(names)
    ]
    write_labels(raw, [*changed, *rows[len(changed) :]], header=header)


def break_group(raw):
    in_splits(raw, header="path,label,split,group")


def break_rows(raw):
    names = [f"{label}/{n:02}.png,{label}" for label in ("cat", "dog") for n in range(24)]
    write_labels(raw, [*names, *(f"cat/none{n}.png,cat" for n in range(49))])


def break_labels(raw):
    write_labels(
        raw,
        [
            f"{label}/{n:02}.png,{label if n < 11 else ''}"
            for label in ("cat", "dog")
            for n in range(24)
        ],
    )


def break_leak(raw):
    shutil.copy(raw / "cat/00.png", raw / "cat/01.png")
    in_splits(raw)


BROKEN = {
    "link": (break_link, "must not be a link that leaves the data folder"),
    "fifo": (break_fifo, "must not be a FIFO"),
}
SAID = {
    "one class": break_one_class,
    "no layout": break_no_layout,
    "no pictures": break_pictures,
    "Latin-1": break_label_file,
    "spelling": break_spelling,
    "bad items": break_train,
    "empty split": break_val,
    "group": break_group,
    "rows": break_rows,
    "no labels": break_labels,
    "leak": break_leak,
}
"""What `clean` stops at: the doctor says the same."""


@pytest.mark.parametrize("case", BROKEN)
def test_what_dvc_must_not_meet_is_an_error(raw, look, case):
    spoil, message = BROKEN[case]
    spoil(raw)
    (error,) = [each for each in look()[0] if each.level == "error"]
    assert message in error.line()
    assert error.exit_code == 3


@pytest.mark.parametrize("case", SAID)
def test_the_doctor_stops_at_what_clean_stops_at_in_the_same_words(raw, look, case):
    SAID[case](raw)
    with pytest.raises(DataError) as stopped:
        clean_folder(Path(RAW))
    (error,) = [each for each in look()[0] if each.level == "error"]
    assert error.line() == str(stopped.value)
    assert error.exit_code == 3


def spoil_some(raw):
    (raw / "cat/00.png").write_bytes(b"")
    (raw / "cat/01.png").write_bytes((raw / "cat/02.png").read_bytes()[:60])
    save_picture(raw / "dog/00.png", 7, size=(4, 9))
    (raw / "dog/01.png").rename(raw / "dog/01.jpg")


def copy_some(raw):
    shutil.copy(raw / "cat/03.png", raw / "dog/copy.png")
    shutil.copy(raw / "cat/04.png", raw / "cat/again.png")


def add_some(raw):
    save_picture(raw / "emu/1.png", 77)
    save_picture(raw / "loose.png", 78)


def name_missing_ones(raw):
    names = [f"{label}/{n:02}.png,{label}" for label in ("cat", "dog") for n in range(24)]
    write_labels(raw, [*names, "cat/none.png,cat"])


ODD = {
    "bad files": spoil_some,
    "copies": copy_some,
    "a small class": add_some,
    "rows without files": name_missing_ones,
    "nothing": lambda _: None,
}


@pytest.mark.parametrize("case", ODD)
def test_the_doctor_warns_of_what_clean_reports(raw, look, case):
    ODD[case](raw)
    report = clean_folder(Path(RAW)).report
    told = lines(look()[0], "warning")
    for warning in report["warnings"]:
        assert f"{RAW}: {warning}" in told
    for reason, n in report["reasons"].items():
        assert any(
            f"{n} items will be " in line and f" as {reason}; first: " in line for line in told
        ), reason
    for note, seen in report["notes"].items():
        if note in ALARMS:
            continue
        assert any(
            f"{seen['n']} items: {NOTES[note]}; first: {seen['first']!r}" in line for line in told
        )


def test_a_part_of_many_files_is_opened_and_the_rest_taken_for_good(raw, look, monkeypatch):
    spoil_some(raw)
    monkeypatch.setattr(doctor_data, "_FEWEST", 4)
    monkeypatch.setattr(doctor_data, "_SAMPLE_S", 0.0)
    found, seen = look()
    assert lines(found, "error") == []
    assert any("4 of 48 items were opened" in line for line in lines(found, "ok"))
    assert seen.in_train > 20


def test_what_decisions_on_unopened_items_may_settle_is_a_warning(raw, look, tmp_path, monkeypatch):
    break_labels(raw)
    identity = sha256_file(raw / "cat/00.png")
    write_labels(
        tmp_path / "review",
        [f"{identity},drop,,,"],
        header="id,decision,by,when,note",
        name="mine.csv",
    )
    assert len(lines(look()[0], "error")) == 1
    monkeypatch.setattr(doctor_data, "_look", lambda *_, **__: {})
    found = look()[0]
    assert lines(found, "error") == []
    assert any(
        "; `clean` stops at it unless review settles it" in line for line in lines(found, "warning")
    )


def test_what_the_last_build_saw_is_not_opened_again(raw, look, tmp_path, monkeypatch):
    cleaned = clean_folder(Path(RAW))
    (tmp_path / "artifacts/clean").mkdir(parents=True)
    write_probes(tmp_path / "artifacts/clean/probes.parquet", cleaned.probes, "picture")
    write_json(tmp_path / "artifacts/clean/key.json", made_from("picture", clean_params()))

    def decode(_raw, paths, *_):
        assert paths == []
        return iter(())

    monkeypatch.setattr("pipeline.clean.probe_all._probe_new", decode)
    found, _ = look()
    assert any("48 of 48 items were opened" in line for line in lines(found, "ok"))


def test_leaks_that_are_mended_are_no_error(raw, look):
    break_leak(raw)
    found = look(leaks="drop")[0]
    assert lines(found, "error") == []
    assert any("1 items will be dropped as duplicate" in line for line in lines(found, "warning"))


def test_a_wrong_path_is_an_error_of_params(look):
    (error,) = look()[0]
    assert (error.exit_code, error.level) == (2, "error")
    assert "data.path: no such file or folder" in error.line()


def test_numbers_are_checked_as_numbers(raw, look):
    names = [f"cat/{n:02}.png,{n}" for n in range(24)]
    write_labels(raw, names)
    assert lines(look(task="regression")[0], "error") == []
    write_labels(raw, [*names[1:], 'cat/00.png,"1,5"'])
    (line,) = lines(look(task="regression")[0], "error")
    assert "the label must be a finite number" in line


def test_very_many_files_are_to_be_packed(raw, look, monkeypatch):
    monkeypatch.setattr(doctor_data, "_MANY_FILES", 40)
    told = lines(look()[0], "warning")
    assert any("has 48 files, and DVC treats each by itself, slowly" in line for line in told)


@pytest.mark.parametrize(
    ("batch_size", "in_train", "code"), [(64, 40, 2), (32, 40, 0), ("full", 40, 0), (64, None, 0)]
)
def test_too_large_a_batch_is_an_error_of_params(
    params, tmp_path, monkeypatch, batch_size, in_train, code
):
    monkeypatch.chdir(tmp_path)
    train = params.find(CLASSES["train"]).model_copy(update={"batch_size": batch_size})
    changed = replace(params, sections=dict(params.sections) | {"train": train})
    found = list(check_fit(changed, doctor_data.RawFolder(48, 0, in_train)))
    assert [each.exit_code for each in found] == [code] * bool(code)


def test_a_registered_name_of_other_data_is_told(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/elpv").mkdir(parents=True)
    data = DataParams(path=RAW, labels=RAW, target="label", text=None, encoding=None, layout="auto")
    changed = replace(params, sections=dict(params.sections) | {"data": data})
    told = lines(check_fit(changed, None), "warning")
    assert any("registry.name: 'elpv-cells' is the name of other data" in line for line in told)


def test_the_disk_must_hold_every_output_twice(raw, look, params):
    _, seen = look()
    transform, features = params.find(ShelfParams), params.find(CLASSES["features"])
    outline = Outline(2560, "blocks.4", (80, 14, 14))
    sizes = {"modality": "picture", "transform": transform, "features": features}
    found, _ = gather("disk", check_disk(raw, seen, outline, **sizes))
    store = 48 * 3 * 224 * 224
    cached = 48 * (2560 * 4 + 80 * 14 * 14 * 2)
    needed = 2 * (store + cached) + 500_000_000 + seen.files_bytes
    assert f"a run needs {needed / 1e6:,.0f} MB" in found[0].line()
    many = doctor_data.RawFolder(10**9, 0)
    found, _ = gather("disk", check_disk(raw, many, outline, **sizes))
    assert (found[0].level, found[0].exit_code) == ("error", 4)
