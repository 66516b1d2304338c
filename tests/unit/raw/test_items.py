"""The layout of a raw folder is found by looking, and every file in it becomes an item."""

import os
import unicodedata

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from pipeline.ground.errors import DataError, MachineError, ParamsError
from pipeline.raw.folder import look_at
from pipeline.raw.items import find_items
from pipeline.raw.params import DataParams
from pipeline.raw.unsafe_entries import safe_path
from tests.support.packed import packed, tar
from tests.support.rawfolder import write_labels


def touch(raw, *names):
    for name in names:
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(b"x")


def find(raw, labels=None, target="label", ignore=()):
    return find_items(raw, labels or raw, target=target, ignore=ignore)


def table(found):
    return {item.path: (item.label, item.split) for item in found.items}


def test_class_folders(tmp_path):
    touch(tmp_path, "cat/1.png", "dog/deep/er/2.png", "README.md")
    found = find(tmp_path)
    assert found.layout == "class folders"
    assert table(found) == {"cat/1.png": ("cat", None), "dog/deep/er/2.png": ("dog", None)}


def test_split_folders_under_any_of_their_names(tmp_path):
    touch(tmp_path, "Train/cat/1.png", "valid/cat/2.png", "validation/dog/3.png", "test/4.png")
    found = find(tmp_path)
    assert found.layout == "split folders"
    assert table(found) == {
        "Train/cat/1.png": ("cat", "train"),
        "valid/cat/2.png": ("cat", "val"),
        "validation/dog/3.png": ("dog", "val"),
    }


def test_a_class_may_be_called_test(tmp_path):
    touch(tmp_path / "a", "test/1.png", "train/2.png", "control/3.png")
    assert find(tmp_path / "a").layout == "class folders"
    assert table(find(tmp_path / "a"))["test/1.png"] == ("test", None)
    assert find(tmp_path / "a").warnings == (
        "the folder 'test' is named as a split, and is taken for a class",
    )
    touch(tmp_path / "b", "test/1.png", "valid/2.png")
    assert find(tmp_path / "b").layout == "class folders"


def test_a_folder_is_listed_in_code_point_order(tmp_path):
    names = [f"{number:x}/{place}.png" for number in range(40) for place in "Zaé"]
    touch(tmp_path, *names[::-1])
    assert look_at(tmp_path).files == tuple(sorted(names))


def test_empty_folders_do_not_change_the_layout_since_dvc_does_not_keep_them(tmp_path):
    touch(tmp_path, "train/cat/1.png")
    (tmp_path / "car").mkdir()
    assert find(tmp_path).layout == "split folders"


def test_a_label_file_says_it_all(tmp_path):
    touch(tmp_path, "x/1.png", "x/2.png", "x/3.png")
    write_labels(
        tmp_path,
        ["x/2.png,NA,valid,g1,0.5,north,", "./x//1.png,001,TRAIN,,,south,é"],
        header="path,label,split,group,weight,site,note",
    )
    found = find(tmp_path)
    assert found.layout == "label file"
    assert found.meta_names == ("site", "note")
    first, second, third = found.items
    assert (first.path, first.label, first.split, first.group) == ("x/1.png", "001", "train", None)
    assert (first.weight, first.meta, first.row) == (1.0, ("south", "é"), 1)
    assert (second.label, second.split, second.group) == ("NA", "val", "g1")
    assert (second.weight, second.meta, second.row) == (0.5, ("north", ""), 0)
    assert second.where == f"{tmp_path}/labels.csv:2"
    assert (third.label, third.row, third.reason) == (None, None, None)
    assert found.warnings == ("1 of 3 files have no row in labels.csv; first: 'x/3.png'",)


def test_a_label_file_outside_the_folder(tmp_path):
    raw = tmp_path / "raw"
    touch(raw, "1.png", "labels.csv")
    labels = write_labels(tmp_path, ["1.png,cat"])
    assert table(find(raw, labels)) == {"1.png": ("cat", None)}


def test_a_parquet_label_file_and_its_types(tmp_path):
    touch(tmp_path, "1.png", "2.png")
    columns = {
        "path": ["1.png", "2.png"],
        "label": pa.array([1, None], pa.int64()),
        "site": pa.array(["a", "b"]).dictionary_encode(),
        "height_m": [0.5, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "labels.parquet")
    first, second = find(tmp_path).items
    assert (first.label, first.meta) == ("1", ("a", "0.5"))
    assert (second.label, second.meta) == (None, ("b", ""))
    assert second.where.endswith("labels.parquet:2")
    # As NumPy's floats come to a file: pandas would have written a null.
    numbers = {
        "path": ["1.png", "2.png"],
        "label": [1.5, float("nan")],
        "group": [-float("nan")] * 2,
    }
    pq.write_table(pa.table(numbers), tmp_path / "labels.parquet")
    first, second = find(tmp_path).items
    assert (first.label, first.group, second.label, second.group) == ("1.5", None, None, None)


def test_the_target_names_the_label_column_and_the_other_passes_through(tmp_path):
    touch(tmp_path, "1.png")
    write_labels(tmp_path, ["1.png,cat,0.3"], header="path,label,score")
    found = find(tmp_path, target="score")
    assert found.items[0].label == "0.3"
    assert (found.meta_names, found.items[0].meta) == (("label",), ("cat",))


def test_bytes_order_mark_crlf_and_quotes_are_read(tmp_path):
    touch(tmp_path, "a,b.png", "2.png")
    text = '\ufeffpath,label\r\n"a,b.png","x ""y"""\r\n\r\n2.png,\r\n'
    (tmp_path / "labels.csv").write_bytes(text.encode())
    assert table(find(tmp_path)) == {"a,b.png": ('x "y"', None), "2.png": (None, None)}


def test_composed_and_decomposed_names_are_the_same_file(tmp_path):
    on_disk, in_file = (unicodedata.normalize(form, "é.png") for form in ("NFD", "NFC"))
    touch(tmp_path, on_disk)
    write_labels(tmp_path, [f"{in_file},cat"])
    assert table(find(tmp_path)) == {on_disk: ("cat", None)}


def test_rows_without_file_and_unsafe_rows_are_items_too(tmp_path):
    touch(tmp_path, "1.png")
    write_labels(tmp_path, ["1.png,a", "2.png,b", "../../etc/passwd,a", "C:\\x.png,a"])
    found = {item.path: item for item in find(tmp_path).items}
    assert found["2.png"].reason == "missing_file"
    assert found["../../etc/passwd"].reason == "unsafe_path"
    assert found["C:\\x.png"].detail.endswith("labels.csv:5: an absolute path")
    assert found["1.png"].reason is None


def test_a_path_twice_with_one_label_is_told_and_with_two_is_a_conflict(tmp_path):
    touch(tmp_path, "1.png", "2.png")
    write_labels(tmp_path, ["1.png,a", ".\\1.png,a", "2.png,a", "2.png,b"])
    found = find(tmp_path)
    assert [(item.label, item.reason) for item in found.items] == [("a", None), ("a", "conflict")]
    assert "labels.csv:3: '1.png' again, as in " in found.warnings[0]
    assert "'a' in " in found.items[1].detail
    assert "labels.csv:5" in found.items[1].detail


@pytest.mark.parametrize(
    ("column", "cells"), [("split", ("train", "test")), ("group", ("", "g")), ("weight", "01")]
)
def test_a_path_twice_with_two_places_is_refused(tmp_path, column, cells):
    touch(tmp_path, "1.png")
    write_labels(tmp_path, [f"1.png,a,{each}" for each in cells], header=f"path,label,{column}")
    with pytest.raises(DataError, match=rf"csv:3: column '{column}': must not contradict .*csv:2"):
        find(tmp_path)


def test_hidden_and_system_entries_are_counted_and_left_alone(tmp_path):
    touch(tmp_path, "cat/1.png", ".DS_Store", "cat/._1.png", "Thumbs.db", "__MACOSX/cat/1.png")
    found = find(tmp_path)
    assert list(table(found)) == ["cat/1.png"]
    assert found.ignored == 4
    assert found.warnings == (
        "left out as what systems and viewers leave: 'Thumbs.db' 1, '__MACOSX' 1",
    )


def test_hidden_folders_are_told_and_what_a_row_names_there_too(tmp_path):
    touch(tmp_path, "1.png", ".more/2.png")
    write_labels(tmp_path, ["1.png,a", ".more/2.png,b", "gone.png,b"])
    found = find(tmp_path)
    assert found.warnings == ("1 hidden folders are not looked into; first: '.more'",)
    hidden, _, gone = found.items
    assert (hidden.path, hidden.reason) == (".more/2.png", "missing_file")
    assert hidden.detail.endswith("labels.csv:3: hidden files are left alone")
    assert gone.detail.endswith("labels.csv:4: no such file")


def test_the_name_of_a_label_file_may_be_in_any_case(tmp_path):
    touch(tmp_path, "cat/1.png")
    write_labels(tmp_path, ["cat/1.png,a"], name="Labels.CSV")
    assert table(find(tmp_path)) == {"cat/1.png": ("a", None)}


def test_links_pipes_and_bad_names_are_quarantined_unopened(tmp_path):
    raw = tmp_path / "raw"
    touch(raw, "cat/1.png")
    touch(tmp_path, "secret.png")
    (raw / "cat/in.png").symlink_to("1.png")
    (raw / "cat/out.png").symlink_to(tmp_path / "secret.png")
    (raw / "cat/nothing.png").symlink_to("nothing")
    (raw / "folder").symlink_to("cat")
    os.mkfifo(raw / "cat/pipe.png")
    (raw / os.fsdecode(b"cat/\xff.png")).touch()
    found = {item.path: item for item in find(raw).items}
    assert {path: item.detail for path, item in found.items() if item.reason} == {
        "cat/out.png": "a link that leaves the data folder",
        "cat/nothing.png": "a link to nothing",
        "cat/pipe.png": "a FIFO",
        "cat/\\xff.png": "named in bytes that are not UTF-8",
        "folder": "a link to a folder",
    }
    assert all(item.reason in (None, "unsafe_path") for item in found.values())
    assert found["cat/in.png"].label == "cat"


@pytest.mark.parametrize(("names", "more"), [(["dog"], ""), (["cow", "dog"], ", as 2 are")])
def test_a_link_to_a_folder_elsewhere_stops_as_a_class_may_be_behind_it(tmp_path, names, more):
    raw = tmp_path / "raw"
    touch(raw, "cat/1.png")
    touch(tmp_path, "far/1.png")
    for name in names:
        (raw / name).symlink_to(tmp_path / "far")
    with pytest.raises(DataError) as raised:
        find(raw)
    assert str(raised.value).startswith(
        f"{raw / names[0]}: must not be a link to a folder elsewhere{more} (copy the"
    )
    assert {item.path for item in find(raw, ignore=names).items} == {"cat/1.png"}


def test_names_that_python_takes_for_another_encoding_stop_with_a_remedy(tmp_path, monkeypatch):
    touch(tmp_path, "cät/1.png")
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "iso8859-1")
    with pytest.raises(MachineError, match=r"file names: must be taken for UTF-8.*PYTHONUTF8=1"):
        find(tmp_path)


def test_a_row_that_names_an_unsafe_entry_does_not_open_it(tmp_path):
    raw = tmp_path / "raw"
    touch(raw, "1.png")
    (raw / "out.png").symlink_to("/etc/hostname")
    write_labels(raw, ["1.png,a", "out.png,b"])
    found = {item.path: item for item in find(raw).items}
    assert found["out.png"].reason == "unsafe_path"
    assert len(found) == 2


def test_names_that_collide_elsewhere_are_told(tmp_path):
    touch(tmp_path, "cat/A.png", "cat/a.png")
    assert find(tmp_path).warnings == (
        "1 file names differ only in case or in composed accents, and collide on other machines; "
        "first: 'cat/a.png'",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b.png", ("a/b.png", None)),
        ("a\\b.png", ("a/b.png", None)),
        ("./a//b.png", ("a/b.png", None)),
        ("a..b/c.png", ("a..b/c.png", None)),
        ("/etc/passwd", ("/etc/passwd", "an absolute path")),
        ("C:\\a.png", ("C:\\a.png", "an absolute path")),
        ("\\\\server\\a.png", ("\\\\server\\a.png", "an absolute path")),
        ("a/../../b.png", ("a/../../b.png", "a path that leaves the data folder")),
        ("..\\b.png", ("..\\b.png", "a path that leaves the data folder")),
        ("https://x/y.png", ("https://x/y.png", "a URL")),
        ("file:///y.png", ("file:///y.png", "a URL")),
        ("", ("", "no file name")),
        ("./", ("./", "no file name")),
    ],
)
def test_paths_of_the_label_file(text, expected):
    assert safe_path(text) == expected


def test_folders_with_nothing_to_work_with(tmp_path):
    with pytest.raises(DataError, match=r"raw: data\.path: no such folder"):
        find(tmp_path / "raw")
    raw = tmp_path / "raw"
    raw.mkdir()
    with pytest.raises(DataError, match="has no files to work with"):
        find(raw)
    write_labels(raw, ["1.png,a"])
    with pytest.raises(DataError, match="has no files to work with"):
        find(raw)
    (raw / "labels.csv").rename(raw / "x.png")
    with pytest.raises(DataError, match="neither a label file nor folders that name the classes"):
        find(raw)
    with pytest.raises(DataError, match=r"data\.path: must be a folder"):
        find(raw / "x.png")


def test_two_label_files_and_another_folder_for_labels_are_refused(tmp_path):
    touch(tmp_path, "raw/labels.csv", "raw/labels.parquet", "raw/1.png", "more/labels.csv")
    with pytest.raises(DataError, match=r"has both labels\.csv and labels\.parquet"):
        find(tmp_path / "raw")
    with pytest.raises(ParamsError, match=r"data\.labels: must be data\.path or a label file"):
        find(tmp_path / "raw", tmp_path / "more")


def test_the_target_must_not_be_a_column_with_another_meaning(tmp_path):
    touch(tmp_path, "1.png")
    write_labels(tmp_path, ["1.png,a"])
    with pytest.raises(ParamsError, match=r"data\.target: must be another column"):
        find(tmp_path, target="path")


@pytest.mark.parametrize("path", ["/data/raw", "~/raw", "$HOME/raw", "data/../../raw", ""])
def test_data_lies_inside_the_repository(path):
    with pytest.raises(ValidationError):
        DataParams(
            path=path, labels="data/x/raw", target="label", text=None, encoding=None, layout="auto"
        )
    with pytest.raises(ValidationError):
        DataParams(
            path="data/x/raw", labels=path, target="label", text=None, encoding=None, layout="auto"
        )


def pack(raw, **archives):
    """Write archives of members without contents: `a__b.tar` names the file a/b.tar."""
    for name, members in archives.items():
        path = raw / f"{name.replace('__', '/')}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tar([(member, b"x") for member in members]))


def test_members_of_archives_are_items_and_an_archives_name_is_no_label(tmp_path):
    pack(tmp_path, a=["cat/1.png", "dog/deep/2.png"], b=["cat/3.png"])
    (tmp_path / "c.zip").write_bytes(packed([("dog/4.png", b"x")]))
    touch(tmp_path, "cat/5.png", "README.md")
    found = find(tmp_path)
    assert found.layout == "class folders"
    assert table(found) == {
        "a.tar/cat/1.png": ("cat", None),
        "a.tar/dog/deep/2.png": ("dog", None),
        "b.tar/cat/3.png": ("cat", None),
        "c.zip/dog/4.png": ("dog", None),
        "cat/5.png": ("cat", None),
    }


def test_folders_above_archives_count_as_if_these_were_unpacked(tmp_path):
    pack(tmp_path / "x", cat__a=["1.png"], dog__a=["2.png", "deep/3.png"])
    assert {path: label for path, (label, _) in table(find(tmp_path / "x")).items()} == {
        "cat/a.tar/1.png": "cat",
        "dog/a.tar/2.png": "dog",
        "dog/a.tar/deep/3.png": "dog",
    }
    pack(tmp_path / "y", train__a=["cat/1.png"], val__a=["cat/2.png"], test__b=["dog/3.png"])
    found = find(tmp_path / "y")
    assert found.layout == "split folders"
    assert table(found)["test/b.tar/dog/3.png"] == ("dog", "test")
    pack(tmp_path / "z", a=["train/cat/1.png", "test/dog/2.png"])
    assert table(find(tmp_path / "z"))["a.tar/test/dog/2.png"] == ("dog", "test")


def test_a_folder_that_merely_stores_archives_does_not_count(tmp_path):
    pack(tmp_path, shards__a=["cat/1.png"], shards__b=["dog/2.png"])
    touch(tmp_path, "README.md")
    assert table(find(tmp_path)) == {
        "shards/a.tar/cat/1.png": ("cat", None),
        "shards/b.tar/dog/2.png": ("dog", None),
    }
    touch(tmp_path, "bird/3.png")  # now there are folders beside it, so it is one of them
    assert table(find(tmp_path))["shards/a.tar/cat/1.png"] == ("shards", None)


ARCHIVED_SPLITS = {
    "class folders": {"train": ["cat/1.png", "dog/1.png"], "test": ["cat/2.png", "dog/2.png"]},
    "one of them named inside": {
        "train": ["train/cat/1.png", "train/dog/1.png"],
        "test": ["cat/2.png", "dog/2.png"],
    },
    "other words": {
        "seg_train": ["cat/1.png", "dog/1.png"],
        "seg_test": ["cat/2.png", "dog/2.png"],
    },
    "in a folder of archives": {
        "zips__Training": ["cat/1.png", "dog/1.png"],
        "zips__Testing": ["cat/2.png", "dog/2.png"],
    },
    "in parts": {
        "train-0": ["cat/1.png"],
        "train-1": ["dog/1.png"],
        "test-0": ["cat/2.png", "dog/2.png"],
    },
}


@pytest.mark.parametrize("archives", ARCHIVED_SPLITS.values(), ids=ARCHIVED_SPLITS)
def test_archives_named_as_train_and_test_act_as_folders_of_these_names(tmp_path, archives):
    pack(tmp_path, **archives)
    found = find(tmp_path)
    assert sorted(table(found).values()) == [
        ("cat", "test"),
        ("cat", "train"),
        ("dog", "test"),
        ("dog", "train"),
    ]
    assert not any("an archive's name" in warning for warning in found.warnings)


def test_an_archive_of_test_beside_a_folder_of_train_is_test(tmp_path):
    touch(tmp_path, "train/cat/1.png", "train/dog/1.png")
    pack(tmp_path, test=["cat/2.png", "dog/2.png"])
    assert table(find(tmp_path))["test.tar/dog/2.png"] == ("dog", "test")


def test_an_archive_of_unlabeled_pictures_is_left_out_and_named(tmp_path):
    pack(tmp_path, train=["cat/1.png", "dog/1.png"], test=["1.png", "2.png"])
    found = find(tmp_path)
    assert len(found.items) == 2
    assert f"score them with `rootstock predict {tmp_path}/test.tar`" in found.warnings[0]


def test_archives_of_classes_and_archives_in_archives_are_told(tmp_path):
    pack(tmp_path / "a", cats=["1.png"], dogs=["2.png"])
    with pytest.raises(DataError, match=r"put it there as it is: .*/cats/cats\.tar; or add"):
        find(tmp_path / "a")
    pack(tmp_path / "b", all=["train.zip", "test.zip"])
    with pytest.raises(DataError, match=r"'all\.tar/test\.zip' is an archive in an archive"):
        find(tmp_path / "b")


def test_an_archive_of_one_split_alone_and_label_files_inside_are_told(tmp_path):
    pack(tmp_path, train=["cat/1.png", "dog/2.png", "labels.csv"])
    *_, splits, labels = find(tmp_path).warnings
    assert splits.startswith("'train.tar' is named as a split, and an archive's name says")
    assert splits.endswith("train/train.tar")
    assert labels == "'train.tar/labels.csv' is not read: a label file must be beside the archive"


def test_a_label_file_names_members_with_or_without_their_archive(tmp_path):
    pack(tmp_path, a=["x/1.png", "x/2.png", "x/3.png"], b=["x/3.png"])
    touch(tmp_path, "x/2.png")
    write_labels(tmp_path, ["x/1.png,a", "a.tar/x/2.png,b", "x/2.png,c", "b.tar/x/3.png,d"])
    assert table(find(tmp_path)) == {
        "a.tar/x/1.png": ("a", None),
        "a.tar/x/2.png": ("b", None),
        "a.tar/x/3.png": (None, None),
        "b.tar/x/3.png": ("d", None),
        "x/2.png": ("c", None),
    }


def test_a_label_row_that_may_mean_two_members_is_refused(tmp_path):
    pack(tmp_path, a=["1.png"], b=["1.png"])
    write_labels(tmp_path, ["1.png,a"])
    with pytest.raises(
        DataError, match=r"labels\.csv:2: column 'path': must name one file, .*1\.png"
    ):
        find(tmp_path)


def test_members_that_cannot_be_trusted_have_a_row_each(tmp_path):
    pack(tmp_path, a=["cat/1.png", "../x", "/etc/passwd", "cat/2.png", "cat\\2.png", ".hidden/3"])
    found = find(tmp_path)
    assert {item.path: (item.reason, item.detail) for item in found.items if item.reason} == {
        "a.tar/../x": ("unsafe_path", "a path that leaves the data folder"),
        "a.tar//etc/passwd": ("unsafe_path", "an absolute path"),
        "a.tar/cat/2.png": ("unsafe_path", "a name that its archive has twice"),
        "a.tar/cat/2.png@4608": ("unsafe_path", "a name that its archive has twice"),
    }
    assert [item.label for item in found.items if not item.reason] == ["cat"]
    assert found.ignored == 1


def test_archives_without_folders_need_a_label_file(tmp_path):
    pack(tmp_path, cat=["1.png"], dog=["2.png"])
    with pytest.raises(DataError, match="neither a label file nor folders that name the classes"):
        find(tmp_path)


def test_an_archive_that_was_never_readable_stops_the_look(tmp_path):
    pack(tmp_path, a=["cat/1.png"])
    (tmp_path / "b.tar.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"b\.tar\.gz: must not be compressed as a whole"):
        find(tmp_path)
