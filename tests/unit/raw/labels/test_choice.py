"""Which file in a raw folder holds the labels, and what is said of tables that are not read."""

import pytest

from pipeline.ground.errors import DataError, ParamsError
from pipeline.raw.items import find_items
from tests.support.packed import tar

ROWS = "file_name,label\n1.png,cat\n2.png,dog\n"


def touch(raw, *names):
    for name in names:
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(b"x")


def labeled(raw):
    found = find_items(raw, raw, target="label")
    return {item.path: (item.label, item.split) for item in found.items}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", ROWS),
        (
            "metadata.jsonl",
            '{"file_name": "1.png", "label": "cat"}\n{"file_name": "2.png", "label": "dog"}\n',
        ),
        ("_classes.csv", "filename, cat, dog\n1.png, 1, 0\n2.png, 0, 1\n"),
        ("Metadata.csv", ROWS),
        ("labels.CSV", ROWS),
    ],
)
def test_names_of_other_tools_are_read(tmp_path, name, content):
    touch(tmp_path, "1.png", "2.png")
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert labeled(tmp_path) == {"1.png": ("cat", None), "2.png": ("dog", None)}


@pytest.mark.parametrize("name", ["metadata.csv", "_classes.csv", "labels.csv"])
def test_a_file_in_each_split_folder(tmp_path, name):
    for split, n in (("train", 1), ("valid", 3), ("test", 5)):
        touch(tmp_path / split, f"{n}.png", f"{n + 1}.png")
        rows = ROWS.replace("1.png", f"{n}.png").replace("2.png", f"{n + 1}.png")
        (tmp_path / split / name).write_text(rows, encoding="utf-8")
    assert labeled(tmp_path) == {
        "train/1.png": ("cat", "train"),
        "train/2.png": ("dog", "train"),
        "valid/3.png": ("cat", "val"),
        "valid/4.png": ("dog", "val"),
        "test/5.png": ("cat", "test"),
        "test/6.png": ("dog", "test"),
    }


def test_files_in_folders_that_are_no_splits_and_hold_all(tmp_path):
    touch(tmp_path, "north/1.png", "north/2.png", "south/1.png", "south/2.png", "README.md")
    site = ROWS.replace("label\n", "label,wet\n").replace("cat", "cat,1").replace("dog", "dog,0")
    (tmp_path / "north/metadata.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "south/metadata.csv").write_text(site, encoding="utf-8")
    found = find_items(tmp_path, tmp_path, target="label")
    assert {item.path: (item.label, item.meta) for item in found.items if item.row is not None} == {
        "north/1.png": ("cat", ("",)),
        "north/2.png": ("dog", ("",)),
        "south/1.png": ("cat", ("1",)),
        "south/2.png": ("dog", ("0",)),
    }
    touch(tmp_path, "east/1.png")
    assert labeled(tmp_path)["north/1.png"] == ("north", None)


def test_paths_in_a_split_folders_file_may_lack_their_suffix(tmp_path):
    for split in ("train", "test"):
        touch(tmp_path / split, "1.png", "2.png")
        (tmp_path / split / "metadata.csv").write_text(ROWS.replace(".png", ""), encoding="utf-8")
    assert labeled(tmp_path)["test/2.png"] == ("dog", "test")


def test_class_folders_win_over_a_file_without_labels(tmp_path):
    touch(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "metadata.csv").write_text("file_name,age\n1.png,3\n", encoding="utf-8")
    found = find_items(tmp_path, tmp_path, target="label")
    assert labeled(tmp_path)["cat/1.png"] == ("cat", None)
    assert "metadata.csv: the column 'label' is missing" in found.warnings[0]
    assert "the file is not read, since folders name the classes" in found.warnings[0]


def test_without_class_folders_its_fault_is_the_last_word(tmp_path):
    touch(tmp_path, "1.png", "2.png")
    (tmp_path / "metadata.csv").write_text("file_name,class\n1.png,cat\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"metadata\.csv: .*\(write `data\.target: class`"):
        labeled(tmp_path)


def test_two_of_such_files_are_refused(tmp_path):
    touch(tmp_path, "1.png", "metadata.csv", "metadata.jsonl")
    with pytest.raises(DataError, match=r"has both metadata\.csv and metadata\.jsonl"):
        labeled(tmp_path)


LAYOUTS = {
    "all in one folder": ["1.png", "2.png"],
    "one folder of pictures": ["images/1.png", "images/2.png"],
    "train and test": ["train/1.png", "train/2.png", "test/3.png"],
}
TABLES = {
    "train.csv": ROWS,
    "annotations.csv": ROWS.replace(",", ";"),
    "list.tsv": ROWS.replace(",", "\t"),
    "trainLabels.csv": ROWS.replace("file_name", "image_id").replace(".png", ""),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
def test_a_table_of_another_name_is_named_with_what_to_write(tmp_path, files, name):
    touch(tmp_path, *files)
    touch(tmp_path, name)
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    with pytest.raises(DataError) as caught:
        labeled(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}: ")
    assert text.endswith(
        f"; {name!r} may be a label file, and is not read (write `data.labels: {tmp_path / name}`)"
    )
    found = find_items(tmp_path, tmp_path / name, target="label")  # as it then says
    assert {item.label for item in found.items if item.row is not None} == {"cat", "dog"}
    assert all(item.reason is None for item in found.items if item.row is not None)


def test_so_is_one_in_a_folder_of_its_own(tmp_path):
    touch(tmp_path, "images/1.png", "images/2.png", "lists/data.csv")
    (tmp_path / "lists/data.csv").write_text(ROWS.replace(".png", ""), encoding="utf-8")
    with pytest.raises(DataError, match=rf"\(write `data.labels: {tmp_path}/lists/data\.csv`"):
        labeled(tmp_path)


@pytest.mark.parametrize("name", ["labels.xlsx", "annotations.json", "labels.ods"])
def test_a_table_that_nobody_reads_is_named_too(tmp_path, name):
    touch(tmp_path, "1.png", name)
    with pytest.raises(
        DataError, match=rf"'{name}' may be a label file, and is not read \(save it as .*lab"
    ):
        labeled(tmp_path)


def test_beside_class_folders_such_a_table_is_told(tmp_path):
    touch(tmp_path, "cat/1.png", "dog/2.png")
    (tmp_path / "train.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "prices.csv").write_text("item,euro\na,1\nb,1\nc,2\n", encoding="utf-8")
    found = find_items(tmp_path, tmp_path, target="label")
    told = (
        "'train.csv' names files and is not read, since folders name the classes; to read it "
        f"instead: data.labels: {tmp_path}/train.csv"
    )
    assert [each for each in found.warnings if "to read it" in each] == [told]


def test_an_archive_is_no_label_file(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar([("cat/1.png", b"x")]))
    with pytest.raises(ParamsError, match=r"data\.labels: must be data\.path where a file holds"):
        find_items(tmp_path, tmp_path / "a.tar", target="label")


def test_a_table_of_something_else_changes_no_word(tmp_path):
    touch(tmp_path, "1.png")
    (tmp_path / "prices.csv").write_text("item,euro\na,1\nb,1\nc,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="neither a label file nor folders"):
        labeled(tmp_path)


def test_a_form_for_answers_is_no_label_file_and_the_table_of_train_comes_first(tmp_path):
    for name in ("train/1.png", "train/2.png", "test/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for name in ("sample_submission.csv", "test.csv", "train.csv"):
        (tmp_path / name).write_text("image,label\n1.png,a\n2.png,b\n")
    with pytest.raises(DataError) as caught:
        find_items(tmp_path, tmp_path, target="label")
    assert "'train.csv', 'test.csv' may be label files" in str(caught.value)
    assert f"write `data.labels: {tmp_path}/train.csv`, or join them" in str(caught.value)
