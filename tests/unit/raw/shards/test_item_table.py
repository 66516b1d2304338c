"""Pictures in the cells of Parquet files are items, read in place and by their rows."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ground.errors import DataError, ParamsError
from pipeline.predict.inputs import find_inputs
from pipeline.raw.folder import look_at
from pipeline.raw.items import find_items
from pipeline.raw.shards.item_table import ItemTable
from pipeline.raw.source import RawFault, read_raw
from tests.support.picturetables import cells, hub_table, picture, write_table
from tests.support.rawfolder import by_path, class_folders, clean_folder

LIMIT = 1 << 20
LABELS = ["cat", "dog", "cat", "dog"]
CONTENTS = [picture(number) for number in range(4)]


def find(raw, target="label"):
    return find_items(raw, raw, target=target)


def labels_of(found):
    return [item.label for item in found.items]


def test_a_hubs_files_are_items_with_names_and_splits(tmp_path):
    for name, n in (
        ("train-00000-of-00002", 4),
        ("train-00001-of-00002", 3),
        ("validation-00000-of-00001", 2),
        ("test-00000-of-00001", 2),
    ):
        hub_table(tmp_path / f"data/{name}.parquet", n, first=100 * n)
    (tmp_path / "README.md").write_text("x")
    found = find(tmp_path)
    assert found.layout == "item tables"
    assert [(item.path, item.label, item.split) for item in found.items][:4] == [
        ("README.md", None, None),
        ("data/test-00000-of-00001.parquet/00000000", "cat", "test"),
        ("data/test-00000-of-00001.parquet/00000001", "dog", "test"),
        ("data/train-00000-of-00002.parquet/00000000", "cat", "train"),
    ]
    assert [item.split for item in found.items[3:]] == ["train"] * 7 + ["val"] * 2
    assert found.items[3].where == f"{tmp_path}/data/train-00000-of-00002.parquet:1"
    assert found.warnings == ()


COLUMNS = {
    "a struct": {"image": cells(CONTENTS), "label": LABELS},
    "a struct of large binary": {
        "image": cells(CONTENTS).cast(
            pa.struct([("bytes", pa.large_binary()), ("path", pa.string())])
        ),
        "label": LABELS,
    },
    "bytes alone in the struct": {
        "image": pa.array([{"bytes": each} for each in CONTENTS]),
        "label": LABELS,
    },
    "binary": {"label": LABELS, "img": pa.array(CONTENTS)},
    "large binary": {"label": LABELS, "content": pa.array(CONTENTS, pa.large_binary())},
    "binary beside other bytes": {"sha": pa.array([b"12"] * 4), "x": CONTENTS, "label": LABELS},
    "image beside a mask": {"mask": cells(CONTENTS), "image": cells(CONTENTS), "label": LABELS},
    "labels of categories": {
        "image": cells(CONTENTS),
        "label": pa.array(LABELS).dictionary_encode(),
    },
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize(
    "options",
    [{}, {"row_group_size": 3}, {"compression": "zstd"}],
    ids=["one row group", "two row groups", "zstd"],
)
def test_a_picture_column_is_found_and_read(tmp_path, name, options):
    write_table(tmp_path / "x.parquet", COLUMNS[name], **options)
    found = find(tmp_path)
    assert labels_of(found) == LABELS
    assert [read_raw(tmp_path, item.path, LIMIT) for item in found.items] == CONTENTS


@pytest.mark.parametrize("group", [1, 7, 5000], ids=["of 1 row", "of 7 rows", "of all rows"])
def test_rows_are_read_in_any_order(tmp_path, group):
    contents = [
        b"\xff\xd8\xff" + bytes([n % 251]) * (2000 if n % 10 else 70_000) for n in range(300)
    ]
    path = write_table(tmp_path / "x.parquet", {"image": contents}, row_group_size=group)
    order = np.random.default_rng(0).permutation(300).tolist()
    table = ItemTable(path)
    for row in [*range(300), *order[:60], 299, 0, 0, 299]:
        assert table.read(f"{row:08}", LIMIT) == contents[row]


def test_few_cells_are_in_memory_at_once(tmp_path):
    rng = np.random.default_rng(0)
    contents = [b"\xff\xd8\xff" + rng.bytes(50_000) for _ in range(400)]
    path = write_table(
        tmp_path / "x.parquet", {"image": contents}, use_dictionary=False, write_batch_size=16
    )
    assert pq.ParquetFile(path).num_row_groups == 1
    del contents
    before = pa.total_allocated_bytes()
    table, most = ItemTable(path), 0
    for row in range(0, 400, 3):
        table.read(f"{row:08}", LIMIT)
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 8 << 20  # of 20 MB


def fault(raw, path, limit=LIMIT):
    with pytest.raises(RawFault) as caught:
        read_raw(raw, path, limit)
    return caught.value.reason, caught.value.detail


def test_cells_that_cannot_be_used_are_faults_of_their_rows(tmp_path):
    write_table(
        tmp_path / "x.parquet",
        {"image": cells([CONTENTS[0], None, b"", b"x" * 99]), "label": LABELS},
    )
    assert fault(tmp_path, "x.parquet/00000001") == ("missing_file", "its cell in 'image' is empty")
    assert read_raw(tmp_path, "x.parquet/00000002", LIMIT) == b""
    assert fault(tmp_path, "x.parquet/00000003", 98) == ("too_large", "a cell of 99 bytes")
    for name in ("00000004", "3", "-0000001", "x", "00000000/x", "\u0660" * 8):
        assert fault(tmp_path, f"x.parquet/{name}") == ("unreadable", "no such row")


def test_a_null_cell_is_quarantined_and_the_rest_is_kept(tmp_path):
    contents = [picture(number) for number in range(40)]
    write_table(
        tmp_path / "x.parquet",
        {"image": cells([None, b"", *contents]), "label": ["cat", "dog"] * 21},
    )
    rows = by_path(clean_folder(tmp_path))
    assert {rows[f"x.parquet/0000000{n}"]["reason"] for n in (0, 1)} == {"missing_file", "empty"}
    kept = [row for row in rows.values() if row["status"] == "kept"]
    assert [row["id"] for row in kept] == [hashlib.sha256(each).hexdigest() for each in contents]


def test_damage_costs_the_rest_of_its_row_group(tmp_path):
    contents = [b"\xff\xd8\xff" + bytes([n]) * 3000 for n in range(30)]
    path = write_table(
        tmp_path / "x.parquet", {"image": contents}, row_group_size=10, use_dictionary=False
    )
    chunk = pq.ParquetFile(path).metadata.row_group(1).column(0)
    raw = bytearray(path.read_bytes())
    start = chunk.data_page_offset
    raw[start : start + 400] = b"\xff" * 400
    path.write_bytes(raw)
    table = ItemTable(path)
    for row in (0, 9, 20, 29, 5):
        assert table.read(f"{row:08}", LIMIT) == contents[row]
    for row in (10, 19, 15):
        with pytest.raises(RawFault) as caught:
            table.read(f"{row:08}", LIMIT)
        assert caught.value.reason == "damaged"
    assert table.read("00000029", LIMIT) == contents[29]


WHOLE = {
    "cut": (lambda raw: raw[:-20], "is cut or corrupt"),
    "a pointer": (lambda _: b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "a page": (lambda _: b"<!doctype html><title>401</title>", "looks like an HTML page"),
    "empty": (lambda _: b"", "is cut or corrupt"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_table_that_is_cut_stops_the_look(tmp_path, name):
    change, what = WHOLE[name]
    hub_table(tmp_path / "train-00000-of-00002.parquet", 4)
    path = hub_table(tmp_path / "train-00001-of-00002.parquet", 4)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        find(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert what in str(caught.value)


def test_a_column_of_paths_alone_is_named(tmp_path):
    write_table(
        tmp_path / "x.parquet",
        {"image": cells([None, None], ["/home/a/1.png", "/home/a/2.png"]), "label": ["a", "b"]},
    )
    with pytest.raises(DataError, match="column 'image': holds paths of pictures, and not their"):
        find(tmp_path)


def test_a_label_table_without_pictures_stays_a_label_file(tmp_path):
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(picture(1))
    write_table(tmp_path / "labels.parquet", {"path": ["1.png", "2.png"], "label": ["a", "b"]})
    assert find(tmp_path).layout == "label file"
    (tmp_path / "labels.parquet").unlink()
    hub_table(tmp_path / "labels.parquet", 4)
    assert labels_of(find(tmp_path)) == [None, None, *LABELS]


def test_a_label_file_names_rows_of_a_table(tmp_path):
    hub_table(tmp_path / "x.parquet", 3)
    (tmp_path / "labels.csv").write_text(
        "path,label\nx.parquet/00000001,a\n00000002,b\nx.parquet/00000000,c\n"
    )
    assert labels_of(find(tmp_path)) == ["c", "a", "b"]


def test_a_table_with_pictures_is_no_label_file(tmp_path):
    path = hub_table(tmp_path / "x.parquet", 3)
    with pytest.raises(
        ParamsError, match=r"data\.labels: must be data\.path where a file holds the"
    ):
        find_items(tmp_path, path, target="label")


def test_numbers_become_the_names_that_the_metadata_has(tmp_path):
    columns = {"image": cells(CONTENTS), "label": [1, 0, -1, None]}
    write_table(tmp_path / "a/x.parquet", columns, names=["cat", "dog"])
    assert labels_of(find(tmp_path / "a")) == ["dog", "cat", None, None]
    write_table(tmp_path / "b/x.parquet", columns | {"label": LABELS}, names=["cat", "dog"])
    assert labels_of(find(tmp_path / "b")) == LABELS
    write_table(tmp_path / "c/x.parquet", columns)
    assert labels_of(find(tmp_path / "c")) == ["1", "0", "-1", None]
    write_table(tmp_path / "d/x.parquet", columns, names={"1": "b", "0": "a"})
    assert labels_of(find(tmp_path / "d")) == ["b", "a", None, None]
    write_table(tmp_path / "e/x.parquet", columns | {"label": [0, 1, 2, 0]}, names=["a", "b"])
    with pytest.raises(DataError, match=r"x\.parquet:3: column 'label': must be the number of one"):
        find(tmp_path / "e")


ODD = (
    b"{",
    b"[]",
    b'{"info": []}',
    b'{"info": {"features": 1}}',
    b'{"info": {"features": {"label": {"_type": "ClassLabel", "names": 3}}}}',
)


@pytest.mark.parametrize("metadata", ODD)
def test_odd_metadata_leaves_the_numbers(tmp_path, metadata):
    table = pa.table({"image": cells(CONTENTS), "label": [0, 1, 0, 1]})
    pq.write_table(
        table.replace_schema_metadata({b"huggingface": metadata}), tmp_path / "x.parquet"
    )
    assert labels_of(find(tmp_path)) == ["0", "1", "0", "1"]


WITHOUT = {
    "another name": ({"labels": LABELS}, r"\(write data\.target: labels\)"),
    "several": ({"fine": LABELS, "coarse": LABELS}, r"write data\.target: fine; .*'coarse'"),
    "boxes": ({"objects": [{"bbox": [[1, 2]]}] * 4}, "'objects' looks like boxes"),
    "nothing": ({}, r"add a column with one label for each picture"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_table_without_the_target_names_its_columns(tmp_path, name):
    columns, hint = WITHOUT[name]
    write_table(tmp_path / "x.parquet", {"image": cells(CONTENTS)} | columns)
    with pytest.raises(DataError, match=f"x.parquet: the column 'label' is missing.*{hint}"):
        find(tmp_path)


def test_several_labels_of_a_picture_are_refused(tmp_path):
    write_table(tmp_path / "x.parquet", {"image": cells(CONTENTS), "label": [[0], [1, 2], [], [0]]})
    with pytest.raises(DataError, match=r"column 'label': must hold one label, .* got 'list<"):
        find(tmp_path)


def test_other_columns_pass_through_and_own_ones_count(tmp_path):
    write_table(
        tmp_path / "x.parquet",
        {
            "image": cells(CONTENTS, ["a.png", "b.png", None, "d.png"]),
            "label": LABELS,
            "site": ["n", "s", None, "n"],
            "path": ["/1", "/2", "/3", "/4"],
            "split": ["train", "train", "validation", "test"],
            "group": ["g", None, "h", "i"],
            "weight": [1.0, 0.5, None, 2.0],
            "boxes": [[1], [2], [3], [4]],
        },
    )
    found = find(tmp_path)
    assert found.meta_names == ("image.path", "site", "table.path")
    assert [item.meta for item in found.items] == [
        ("a.png", "n", "/1"),
        ("b.png", "s", "/2"),
        ("", "", "/3"),
        ("d.png", "n", "/4"),
    ]
    assert [item.split for item in found.items] == ["train", "train", "val", "test"]
    assert [item.group for item in found.items] == ["g", None, "h", "i"]
    assert [item.weight for item in found.items] == [1.0, 0.5, 1.0, 2.0]
    assert found.warnings == (
        "columns of the tables that are not read: 'boxes'; the pictures are those of 'image'",
    )


SPLITS = {
    "by prefix": (["train-0.parquet", "test-0.parquet"], ["test", "train"]),
    "by folder": (["default/train/0000.parquet", "default/test/0.parquet"], ["test", "train"]),
    "by a word": (["cifar10_train.parquet", "cifar10_val.parquet"], ["train", "val"]),
    "the file before the folder": (["train/a-test.parquet", "train/b.parquet"], ["test", "train"]),
    "none": (["a.parquet", "b.parquet"], [None, None]),
    "two in one": (["train_test.parquet"], [None]),
    "train alone": (["train-0.parquet", "train-1.parquet"], [None, None]),
    "no words": (["contest.parquet", "retrain.parquet"], [None, None]),
}


@pytest.mark.parametrize("name", SPLITS)
def test_names_of_files_say_the_splits(tmp_path, name):
    files, splits = SPLITS[name]
    for number, file in enumerate(files):
        hub_table(tmp_path / file, 1, first=number)
    assert [item.split for item in find(tmp_path).items] == splits


def test_one_split_alone_is_told_and_does_not_count(tmp_path):
    hub_table(tmp_path / "data/train-00000-of-00001.parquet", 2)
    assert find(tmp_path).warnings == (
        "all files are named as the split 'train', so that name does not count: items are split by "
        "split.seed",
    )


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (["train.parquet", "more.parquet"], "'train.parquet' is named as a split, and 'more.par"),
        (["val.parquet", "test.parquet"], "named as the splits 'test' and 'val', and none as 'tr"),
    ],
)
def test_splits_in_doubt_stop_the_look(tmp_path, files, what):
    for file in files:
        hub_table(tmp_path / file, 2)
    with pytest.raises(DataError, match=what):
        find(tmp_path)


def test_groups_that_stand_for_nothing_are_told(tmp_path):
    columns = {"image": cells(CONTENTS), "label": LABELS, "group": ["nan", "nan", "g", "nan"]}
    write_table(tmp_path / "x.parquet", columns)
    found = find(tmp_path)
    assert [item.group for item in found.items] == [None, None, "g", None]
    assert "nan" in found.warnings[0]


def test_a_test_table_without_labels_has_unlabeled_pictures(tmp_path):
    hub_table(tmp_path / "train.parquet", 2)
    write_table(tmp_path / "test.parquet", {"image": cells(CONTENTS), "id": [1, 2, 3, 4]})
    assert labels_of(find(tmp_path)) == [None] * 4 + ["cat", "dog"]


def test_two_picture_columns_without_a_known_name_are_refused(tmp_path):
    write_table(tmp_path / "x.parquet", {"left": CONTENTS, "right": CONTENTS, "label": LABELS})
    with pytest.raises(DataError, match=r"must have one picture column, got \['left', 'right'\]"):
        find(tmp_path)


def test_the_same_pictures_are_cleaned_alike_in_a_table_and_in_folders(tmp_path):
    class_folders(tmp_path / "loose", cats=30, dogs=30)
    paths = sorted((tmp_path / "loose").rglob("*.png"))
    write_table(
        tmp_path / "packed/x.parquet",
        {
            "image": cells([path.read_bytes() for path in paths], [path.name for path in paths]),
            "label": [path.parent.name for path in paths],
        },
        row_group_size=7,
    )
    columns = ["id", "label", "split", "status", "width", "mode", "format"]
    loose, table = (clean_folder(tmp_path / name) for name in ("loose", "packed"))
    assert loose.manifest[columns].equals(table.manifest[columns])
    assert table.report["layout"] == "item tables"


def test_prediction_takes_the_rows_of_a_table_and_of_a_folder(tmp_path):
    path = hub_table(tmp_path / "raw/x.parquet", 2)
    for given in (path, path.parent):
        inputs = find_inputs([str(given)])
        assert [each.path for each in inputs] == [f"{path}/00000000", f"{path}/00000001"]
        assert read_raw(inputs[1].root, inputs[1].inner, LIMIT) == picture(1)


def test_a_folder_lists_the_rows_in_the_order_of_the_file(tmp_path):
    hub_table(tmp_path / "x.parquet", 12, row_group_size=5)
    assert look_at(tmp_path).files == tuple(f"x.parquet/{row:08}" for row in range(12))


def test_metadata_of_a_hub_names_classes_of_other_columns(tmp_path):
    features = {"fine": {"names": ["a", "b"], "_type": "ClassLabel"}}
    table = pa.table({"image": cells(CONTENTS), "fine": [0, 1, 1, 0]}).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pq.write_table(table, tmp_path / "x.parquet")
    assert labels_of(find(tmp_path, "fine")) == ["a", "b", "b", "a"]
