"""The raw folder is judged before `dvc add` and before any stage."""

import os
import shutil
import subprocess

import pytest

from pipeline.data.params import DataParams
from pipeline.doctor import data as doctor_data
from pipeline.doctor.data import Expectations, check_data
from pipeline.doctor.disk import check_disk
from pipeline.doctor.findings import gather
from pipeline.doctor.outline import Outline
from pipeline.doctor.params import CLASSES, examine_params
from pipeline.errors import DataError
from pipeline.files import sha256_file
from pipeline.parallel import MachineParams
from tests.closure import ROOT
from tests.packed import tar
from tests.rawfolder import (
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

    def look_at(*, task="classification", labels=RAW, target="label", batch_size=8, **clean):
        wanted = Expectations(
            task,
            DataParams(path=RAW, labels=labels, target=target, layout="auto"),
            clean_params(**clean),
            params.find(CLASSES["split"]),
            params.find(CLASSES["train"]).model_copy(update={"batch_size": batch_size}),
            MachineParams(workers=1, progress="none"),
            params.find(CLASSES["registry"]),
        )
        return gather("data", check_data(wanted))

    return look_at


def lines(found, level):
    return [each.line() for each in found if each.level == level]


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
    members = [(path.relative_to(raw).as_posix(), path.read_bytes())
               for path in sorted(raw.rglob("*.png"))]  # fmt: skip
    shutil.rmtree(raw)
    raw.mkdir()
    (raw / "all.tar").write_bytes(tar(members))
    found, seen = look()
    assert lines(found, "error") == []
    assert not any("treats each by itself" in line for line in lines(found, "warning"))
    assert f"{RAW}: 48 items, class folders, 2 classes: 'cat' 24, 'dog' 24" in lines(found, "ok")
    assert seen == doctor_data.RawFolder(48, (raw / "all.tar").stat().st_size)


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
    write_labels(raw, ["cat/00.png;cat"], header="path;label")


def break_spelling(raw):
    write_labels(raw, ["cat/00.png,cat", "cat/01.png,Cat", "dog/00.png,dog"])


def break_train(raw):
    write_labels(
        raw, ["cat/00.png,cat,train", "cat/01.png,cat,val", "dog/00.png,dog,test"],
        header="path,label,split",
    )  # fmt: skip


def break_val(raw):
    write_labels(
        raw, ["cat/00.png,cat,train", "dog/01.png,dog,train", "dog/00.png,dog,test"],
        header="path,label,split",
    )  # fmt: skip


def in_splits(raw, *changed, header="path,label,split"):
    """Write a label file with splits for all pictures but the first ones, which have `changed`."""
    names = sorted(path.relative_to(raw) for path in raw.rglob("*.png"))
    rows = [f"{name},{name.parent},{('train', 'val', 'train', 'test')[number % 4]}"
            + ",g" * (header.count(",") - 2) for number, name in enumerate(names)]  # fmt: skip
    write_labels(raw, [*changed, *rows[len(changed) :]], header=header)


def break_names(raw):
    for split in ("train", "later"):
        for label in ("cat", "dog"):
            shutil.copytree(raw / label, raw / split / label)
    for label in ("cat", "dog"):
        shutil.rmtree(raw / label)


def break_group(raw):
    in_splits(raw, header="path,label,split,group")


def break_rows(raw):
    names = [f"{label}/{n:02}.png,{label}" for label in ("cat", "dog") for n in range(24)]
    write_labels(raw, [*names, *(f"cat/none{n}.png,cat" for n in range(49))])


def break_labels(raw):
    write_labels(raw, [f"{label}/{n:02}.png,{label if n < 11 else ''}"
                       for label in ("cat", "dog") for n in range(24)])  # fmt: skip


def break_leak(raw):
    shutil.copy(raw / "cat/00.png", raw / "cat/01.png")
    in_splits(raw)


BROKEN = {
    "link": (break_link, "must not be a link that leaves the data folder", 3),
    "fifo": (break_fifo, "must not be a FIFO", 3),
    "one class": (break_one_class, "there must be two classes or more, and there are ['cat']", 3),
    "no layout": (break_no_layout, "has neither a label file nor folders that name the classes", 3),
    "no pictures": (break_pictures, "48 of 48 items that were opened cannot be used: not_image", 3),
    "semicolons": (
        break_label_file,
        "must be separated by commas, and looks separated by semicolons",
        3,
    ),
    "spelling": (break_spelling, "labels are spelled in several ways", 3),
    "class without train": (break_train, "the class 'dog' has 1 items, none of them in train", 3),
    "empty split": (break_val, "the split 'val' is empty", 3),
    "group": (break_group, "a group must not cross splits, and 'g' has cat/00.png in train and", 3),
    "rows": (break_rows, "49 of 97 items are bad: missing_file 49; clean.max_bad_frac allows", 3),
    "no labels": (break_labels, "26 of 48 items are bad: no_label 26; clean.max_bad_frac", 3),
    "leak": (
        break_leak,
        "1 pictures stand in two of the given splits; first: 'cat/00.png' in train and "
        "'cat/01.png' in val (give both",
        3,
    ),
    "other splits": (
        break_names,
        "'later', 'train' hold the same folders: 'cat', 'dog'; 'train' is named as a split",
        3,
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_clean_would_stop_at_is_an_error(raw, look, case):
    spoil, message, code = BROKEN[case]
    spoil(raw)
    found, _ = look()
    (error,) = [each for each in found if each.level == "error"]
    assert message in error.line()
    assert error.exit_code == code


def test_each_of_them_does_stop_clean(raw, tmp_path, monkeypatch):
    for case in ("group", "rows", "no labels", "leak", "other splits"):
        folder = class_folders(tmp_path / case)
        BROKEN[case][0](folder)
        with pytest.raises(DataError):
            clean_folder(folder)


def test_what_decisions_may_settle_is_a_warning(raw, look, tmp_path):
    in_splits(raw, "cat/00.png,emu,test")
    (error,) = [each for each in look()[0] if each.level == "error"]
    assert "the class 'emu' has 1 items, none of them in train" in error.line()
    identity = sha256_file(raw / "cat/00.png")
    write_labels(tmp_path / "review", [f"{identity},drop,,,"], header="id,decision,by,when,note",
                 name="mine.csv")  # fmt: skip
    found = look()[0]
    assert lines(found, "error") == []
    assert any("; `clean` stops at it unless review/mine.csv settles it" in line
               for line in lines(found, "warning"))  # fmt: skip


def test_leaks_that_are_mended_are_no_error(raw, look):
    break_leak(raw)
    found = look(leaks="drop")[0]
    assert lines(found, "error") == []
    assert any("`clean` will keep one of each" in line for line in lines(found, "warning"))


def test_items_whose_label_is_filled_count_for_a_batch(raw, look):
    break_labels(raw)
    (error,) = lines(look(batch_size=32, missing_label="drop")[0], "error")
    assert "must be at most the items of train, of 22" in error
    assert lines(look(batch_size=32, missing_label="most_frequent")[0], "error") == []


def test_missing_labels_that_stop_clean_are_told(raw, look):
    write_labels(raw, ["cat/00.png,cat", "cat/01.png,cat", "dog/00.png,dog"])
    told = lines(look(missing_label="error", max_bad_frac=1.0)[0], "warning")
    assert any("45 items have no label, at which `clean` stops; first: 'cat/02.png'" in line
               for line in told)  # fmt: skip


def test_a_wrong_path_is_an_error_of_params(look):
    (error,) = look()[0]
    assert (error.exit_code, error.level) == (2, "error")
    assert "data.path: no such file or folder" in error.line()


def test_too_large_a_batch_is_an_error_of_params(raw, look):
    (error,) = [each for each in look(batch_size=64)[0] if each.level == "error"]
    assert error.exit_code == 2
    assert "train.batch_size: must be at most the items of train, of 48 in all" in error.line()


def spoil_some(raw):
    (raw / "cat/00.png").write_bytes(b"")
    (raw / "cat/01.png").write_bytes((raw / "cat/02.png").read_bytes()[:60])
    save_picture(raw / "dog/00.png", 7, size=(4, 9))
    (raw / "dog/01.png").rename(raw / "dog/01.jpg")


def test_a_sample_tells_of_bad_files_and_of_odd_ones(raw, look):
    spoil_some(raw)
    told = lines(look()[0], "warning")
    bad = next(line for line in told if "cannot be used" in line)
    assert "3 of 48 items that were opened cannot be used: empty 1, too_small 1, truncated 1" in bad
    assert "quarantine" in bad
    assert any("its name promises another format; first: 'dog/01.jpg'" in line for line in told)


def test_a_bad_share_above_the_limit_is_told_as_such(raw, look):
    spoil_some(raw)
    told = lines(look(max_bad_frac=0.01)[0], "warning")
    assert any("`clean` stops above a share of 0.01, clean.max_bad_frac" in line for line in told)


def test_equal_pictures_are_told_and_above_all_those_at_odds(raw, look):
    shutil.copy(raw / "cat/03.png", raw / "dog/copy.png")
    shutil.copy(raw / "cat/04.png", raw / "cat/again.png")
    told = lines(look()[0], "warning")
    assert any(
        "1 pictures lie there several times, with labels that disagree; first: 'cat/03.png' and "
        "'dog/copy.png'" in line
        for line in told
    )
    assert any("1 pictures lie there several times; first: 'cat/again.png'" in line
               for line in told)  # fmt: skip


def test_a_small_class_and_missing_labels_are_warnings(raw, look):
    save_picture(raw / "emu/1.png", 77)
    save_picture(raw / "loose.png", 78)
    told = lines(look()[0], "warning")
    assert any("1 classes have so few items that train may get none" in line for line in told)
    counted = lines(look()[0], "ok")[0]
    assert "3 classes: 'cat' 24, 'dog' 24, 'emu' 1; 1 without a label" in counted


def test_rows_without_files_are_told(raw, look):
    names = [f"{label}/{n:02}.png,{label}" for label in ("cat", "dog") for n in range(24)]
    write_labels(raw, [*names, "cat/none.png,cat"])
    told = lines(look()[0], "warning")
    assert any("1 items will be quarantined as missing_file; first: 'cat/none.png'" in line
               for line in told)  # fmt: skip


def test_numbers_are_checked_as_numbers(raw, look):
    names = [f"cat/{n:02}.png,{n}" for n in range(24)]
    write_labels(raw, names)
    assert lines(look(task="regression")[0], "error") == []
    write_labels(raw, [*names[1:], 'cat/00.png,"1,5"'])
    (line,) = lines(look(task="regression")[0], "error")
    assert "the label must be a finite number" in line


def test_a_registered_name_of_other_data_is_told(raw, look, tmp_path):
    (tmp_path / "data/elpv").mkdir()
    told = lines(look()[0], "warning")
    assert any("registry.name: 'elpv' is the name of other data" in line for line in told)


def test_very_many_files_are_to_be_packed(raw, look, monkeypatch):
    monkeypatch.setattr(doctor_data, "_MANY_FILES", 40)
    told = lines(look()[0], "warning")
    assert any("has 48 files, and DVC treats each by itself, slowly" in line for line in told)


def test_the_disk_must_hold_every_output_twice(raw, look, params):
    _, seen = look()
    transform, features = params.find(CLASSES["transform"]), params.find(CLASSES["features"])
    outline = Outline(224, 2560, "blocks.4", (80, 14, 14))
    sizes = {"transform": transform, "features": features}
    found, _ = gather("disk", check_disk(raw, seen, outline, **sizes))
    store = 48 * 3 * 224 * 224
    cached = 48 * (2560 * 4 + 8 * 80 * 14 * 14 * 2)
    needed = 2 * (store + cached) + 500_000_000 + seen.files_bytes
    assert f"a run needs {needed / 1e6:,.0f} MB" in found[0].line()
    many = doctor_data.RawFolder(10**9, 0)
    found, _ = gather("disk", check_disk(raw, many, outline, **sizes))
    assert (found[0].level, found[0].exit_code) == ("error", 4)
