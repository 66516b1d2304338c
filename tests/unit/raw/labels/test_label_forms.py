"""Label files as spreadsheets, people and other tools write them are read, and what is odd told."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ground.errors import DataError
from pipeline.raw.items import find_items

GOOD = "path,label\n1.png,cat\n2.png,dog\n"
BOTH = {"1.png": "cat", "2.png": "dog"}


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("1.png", "2.png"):
        (folder / name).write_bytes(b"x")
    return folder


def read(raw, content, *, name="labels.csv", target="label"):
    (raw / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    found = find_items(raw, raw / name, target=target)
    return {item.path: item.label for item in found.items}, found.warnings, found


PLAIN_FORMS = {
    "semicolons": GOOD.replace(",", ";"),
    "tabs": GOOD.replace(",", "\t"),
    "bars": GOOD.replace(",", "|"),
    "semicolons, commas in cells": "path;label;note\n1.png;cat;a, b\n2.png;dog;c, d\n",
    "commas, semicolons in a cell": 'path,label,note\n1.png,cat,a;b\n2.png,dog,"c;d, e"\n',
    "commas, bars in the header": "path,label,x|y|z\n1.png,cat,1\n2.png,dog,2\n",
    "a line of Excel": "sep=;\n" + GOOD.replace(",", ";"),
    "a line of Excel with tabs": '"sep=\t"\r\n' + GOOD.replace(",", "\t").replace("\n", "\r\n"),
    "UTF-16": GOOD.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + GOOD.encode("utf-16-be"),
    "Unicode text of Excel": GOOD.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
    "mark and CRLF": ("\ufeff" + GOOD.replace("\n", "\r\n")).encode(),
    "two marks": b"\xef\xbb\xbf\xef\xbb\xbf" + GOOD.encode(),
    "CR alone": GOOD.replace("\n", "\r"),
    "blanks after commas": GOOD.replace(",", ", "),
    "blanks on both sides": GOOD.replace(",", "  ,  "),
    "tabs after commas": GOOD.replace(",", ",\t"),
    "a blank before quotes": 'path, label\n1.png, "cat"\n2.png, "dog"\n',
    "no-break spaces": GOOD.replace(",", ",\u00a0"),
    "names in another case": GOOD.replace("path,label", "Path,LABEL"),
    "commas at the end": GOOD.replace("\n", ",,\n"),
    "commas at the end of rows": "path,label\n1.png,cat,\n2.png,dog,,\n",
    "a comma at the end of the header": "path,label,\n1.png,cat\n2.png,dog\n",
    "blank lines": GOOD.replace("\n", "\n\n"),
}


@pytest.mark.parametrize("content", PLAIN_FORMS.values(), ids=PLAIN_FORMS)
def test_forms_that_mean_one_thing_are_read_without_a_word(raw, content):
    labels, warnings, found = read(raw, content)
    assert labels == BOTH
    assert warnings == ()
    assert "" not in found.meta_names


TOLD_FORMS = {
    "rows of commas": (GOOD + ",\n" * 8, "8 blank rows of labels.csv are left out; first: line 4"),
    "rows of blanks": (GOOD + " , \n\t,\n", "2 blank rows of labels.csv are left out; first: line"),
    "rows of empty quotes": (GOOD + '"",""\n', "1 blank rows of labels.csv are left out; first: l"),
    "blank rows of Excel": ("sep=;\n" + (GOOD + ",\n").replace(",", ";"), "first: line 5"),
    "a blank row within": (GOOD.replace("\n2", "\n,\n2"), "1 blank rows of labels.csv are left"),
    "files joined by cat": (
        GOOD.replace("\n2", "\npath,label\n2"),
        "1 repeated header lines of labels.csv are left out; first: line 3",
    ),
    "comments": (
        "# made by us, 2020\n#\n" + GOOD + "# the end\n",
        "3 comments of labels.csv are left out; first: line 1",
    ),
    "a header that is a comment": ("#" + GOOD, None),
    "a row without a path": (GOOD + ",total 2\n", "1 rows name no file, and are left out; first: "),
}


@pytest.mark.parametrize(("content", "told"), TOLD_FORMS.values(), ids=TOLD_FORMS)
def test_lines_that_are_no_rows_are_left_out_and_counted(raw, content, told):
    labels, warnings, _ = read(raw, content)
    assert labels == BOTH
    assert [told in each for each in warnings] == ([True] if told else [])


def test_lines_are_counted_through_what_is_left_out(raw):
    with pytest.raises(DataError, match=r"labels\.csv:6: column 'weight'"):
        read(raw, "sep=;\n#c\npath;label;weight\n;;\n1.png;cat;1\n2.png;dog;x\n")


def test_a_file_whose_name_begins_like_a_comment_is_a_file(raw):
    (raw / "#3.png").write_bytes(b"x")
    labels, warnings, _ = read(raw, "label,path\ncat,1.png\ndog,2.png\ncat,#3.png\n")
    assert labels == BOTH | {"#3.png": "cat"}
    assert read(raw, "path,label\n1.png,cat\n2.png,dog\n#3.png,\n")[0] == BOTH | {"#3.png": None}
    assert warnings == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.tsv", GOOD.replace(",", "\t")),
        ("labels.txt", GOOD.replace(",", "|")),
        ("a.jsonl", '{"path": "1.png", "label": "cat"}\n\n{"label": "dog ", "path": "2.png"}\r\n'),
        ("a.ndjson", '{"path":"1.png","label":"cat","n":1}\n{"path":"2.png","label":"dog"}'),
    ],
)
def test_other_kinds_of_files(raw, name, content):
    assert read(raw, content, name=name)[0] == BOTH


def test_json_lines_hold_text_numbers_and_nothing(raw):
    rows = [
        {"path": "1.png", "label": 1, "area": 0.5, "wet": True, "boxes": [[1, 2]]},
        {"path": "2.png", "label": None, "area": float("nan"), "boxes": None},
    ]
    lines = "\n".join(map(json.dumps, rows))
    labels, warnings, found = read(raw, lines, name="a.jsonl")
    assert labels == {"1.png": "1", "2.png": None}
    assert [item.meta for item in found.items] == [("0.5", "true"), ("", "")]
    assert warnings == (
        "1 columns of a.jsonl hold neither text nor numbers, and are left out: 'boxes'",
    )
    with pytest.raises(DataError, match="column 'boxes': must hold text or numbers, got 'list'"):
        read(raw, lines, name="a.jsonl", target="boxes")
    for bad in ("[1]", "{", "x", '{"a": 1}{"b": 2}'):
        with pytest.raises(DataError, match=r"a\.jsonl:2: must be a JSON object on each line"):
            read(raw, f'{{"path": "1.png"}}\n{bad}\n', name="a.jsonl")


def test_parquet_leaves_out_columns_that_are_no_text(raw):
    columns = {"path": ["1.png ", "2.png"], "label": ["cat", " dog"], "boxes": [[1], [2]]}
    pq.write_table(pa.table(columns), raw / "labels.parquet")
    found = find_items(raw, raw, target="label")
    assert {item.path: item.label for item in found.items} == BOTH
    assert "left out: 'boxes'" in found.warnings[0]


PATH_COLUMNS = [
    "file_name",
    "filename",
    "File Name",
    "fileName",
    "file",
    "image",
    "image_path",
    "img",
    "image_id",
    "id",
    "Image Index",
    "ImageID",
    "name",
    "img-path",
]


@pytest.mark.parametrize("name", PATH_COLUMNS)
def test_a_usual_name_is_taken_for_the_path_and_told(raw, name):
    labels, warnings, found = read(raw, GOOD.replace("path", name))
    assert labels == BOTH
    assert warnings == (f"the column {name!r} of labels.csv is taken for 'path'",)
    assert found.meta_names == ()


@pytest.mark.parametrize(
    ("header", "rows", "taken"),
    [
        ("id,filename,label", ("7,1.png,cat", "8,2.png,dog"), "filename"),
        ("image_id,image,label", ("7,1.png,cat", "8,2.png,dog"), "image"),
        ("id,name,label", ("7,1.png,cat", "8,2.png,dog"), "name"),
        ("age,scan of the eye,label", ("7,1.png,cat", "8,2.png,dog"), "scan of the eye"),
        (",image_id,label", ("0,1.png,cat", "1,2.png,dog"), "image_id"),
        ("id,scan,label", ("70,1.png,cat", "80,2.png,dog"), "scan"),
    ],
    ids=[
        "surer",
        "surer of two",
        "by its cells",
        "by its cells alone",
        "after an index",
        "another than its name says",
    ],
)
def test_of_several_columns_the_surest_is_the_path(raw, header, rows, taken):
    labels, warnings, _ = read(raw, "\n".join([header, *rows]))
    assert labels == BOTH
    assert warnings == (f"the column {taken!r} of labels.csv is taken for 'path'",)


def test_a_column_of_ids_is_told_by_the_files_there_are(raw):
    labels, warnings, _ = read(raw, "eye code,age,label\n1,60,cat\n2,70,dog\n")
    assert labels == BOTH
    assert warnings[0] == "the column 'eye code' of labels.csv is taken for 'path'"


def test_path_itself_comes_first(raw):
    labels, warnings, found = read(raw, "image,path,label\n9,1.png,cat\n8,2.png,dog\n")
    assert labels == BOTH
    assert warnings == ()
    assert found.meta_names == ("image",)


def test_own_columns_in_another_case_are_told(raw):
    _, warnings, found = read(raw, "path,label,Split\n1.png,cat,train\n2.png,dog,test\n")
    assert [item.split for item in found.items] == ["train", "test"]
    assert warnings == ("the column 'Split' of labels.csv is taken for 'split'",)


def test_a_column_of_splits_under_another_name_is_told(raw):
    _, warnings, found = read(raw, "path,label,subset\n1.png,cat,train\n2.png,dog,test\n")
    assert [item.split for item in found.items] == [None, None]
    assert "the column 'subset' of labels.csv names splits, and is not read as such" in warnings[0]


ONE_HOT = {
    "0 and 1": "path,cat,dog,bird\n1.png,1,0,0\n2.png,0,1,0\n",
    "0.0 and 1.0": "path,cat,dog\n1.png,1.0,0.0\n2.png,0.0,1.0\n",
    "true and false": "path,cat,dog\n1.png,True,False\n2.png,FALSE,TRUE\n",
    "of Roboflow": "filename, cat, dog\n1.png, 1, 0\n2.png, 0, 1\n",
    "with a blank for 0": "path,cat,dog\n1.png,1,\n2.png,,1\n",
    "with another column": "path,site,cat,dog\n1.png,north,1,0\n2.png,south,0,1\n",
}


@pytest.mark.parametrize("content", ONE_HOT.values(), ids=ONE_HOT)
def test_a_column_for_each_class_is_read_as_classes(raw, content):
    labels, warnings, found = read(raw, content)
    assert labels == BOTH
    assert "has no column 'label', and one of 0 and 1 for each class: 'cat', 'dog'" in warnings[-1]
    assert set(found.meta_names) <= {"site"}


def test_a_row_without_a_one_has_no_label(raw):
    (raw / "3.png").write_bytes(b"x")
    labels, warnings, _ = read(raw, "path,cat,dog\n1.png,1,0\n2.png,0,1\n3.png,0,0\n")
    assert labels == BOTH | {"3.png": None}
    assert warnings[-1].startswith("1 rows of labels.csv have no 1 in these columns")


def test_the_target_wins_over_columns_of_0_and_1(raw):
    labels, warnings, found = read(raw, "path,label,wet,old\n1.png,cat,1,0\n2.png,dog,0,1\n")
    assert labels == BOTH
    assert warnings == ()
    assert found.meta_names == ("wet", "old")


WORDS = [
    "nan",
    "NaN",
    "None",
    "null",
    "-",
    "--",
    "n/a",
    "NA",
    "unknown",
    "?",
    ".",
    "<NA>",
    "Not available",
]


@pytest.mark.parametrize("word", WORDS)
def test_a_group_that_stands_for_not_known_is_none(raw, word):
    _, warnings, found = read(raw, f"path,label,group\n1.png,cat,{word}\n2.png,dog,a\n")
    assert [item.group for item in found.items] == [None, "a"]
    assert warnings == (
        f"1 of 2 rows have a group that stands for 'not known' ({word!r} 1): each of them counts "
        "alone, as with an empty cell",
    )


@pytest.mark.parametrize("word", ["0", "-1", "nana", "n", "patient nan", "unknown 7"])
def test_a_group_of_another_name_is_one(raw, word):
    _, warnings, found = read(raw, f"path,label,group\n1.png,cat,{word}\n2.png,dog,a\n")
    assert [item.group for item in found.items] == [word, "a"]
    assert warnings == ()


@pytest.mark.parametrize("top", ["test", "test_images", "Validation"])
def test_pictures_without_rows_in_a_folder_named_as_a_split_are_left_out_and_told(raw, top):
    (raw / top).mkdir()
    (raw / top / "9.png").write_bytes(b"x")
    labels, warnings, found = read(raw, GOOD, name="train.csv")
    assert labels == BOTH
    assert found.ignored == 1
    assert warnings == (
        f"1 files of {top!r} have no row in train.csv: without a label, left out; score them with "
        f"`rootstock predict {raw / top}`",
    )


def test_a_folder_named_as_a_split_with_some_rows_keeps_its_pictures(raw):
    (raw / "test").mkdir()
    for name in ("8.png", "9.png"):
        (raw / "test" / name).write_bytes(b"x")
    labels, _, _ = read(raw, GOOD + "test/8.png,cat\n")
    assert labels == BOTH | {"test/8.png": "cat", "test/9.png": None}


@pytest.mark.parametrize("word", ["training set", "Train Data", "train_images"])
def test_words_around_a_split_change_nothing(raw, word):
    rows = f"path,label,split\n1.png,cat,{word}\n2.png,dog,test set\n"
    assert [item.split for item in read(raw, rows)[2].items] == ["train", "test"]


@pytest.mark.parametrize("name", ["is_test", "isTrain", "is_training_img", "in_val"])
def test_a_column_of_flags_for_a_split_is_told(raw, name):
    _, warnings, _ = read(raw, f"path,label,{name}\n1.png,cat,0\n2.png,dog,1\n")
    assert [f"the column {name!r} of labels.csv names splits" in each for each in warnings] == [
        True
    ]


@pytest.mark.parametrize("name", ["patient_id", "Patient", "subject", "lesion id"])
def test_a_column_of_what_pictures_share_is_told(raw, name):
    _, warnings, _ = read(raw, f"path,label,{name}\n1.png,cat,7\n2.png,dog,7\n")
    assert [
        f"the column {name!r} of labels.csv is not read as groups" in each for each in warnings
    ] == [True]
    assert read(raw, f"path,label,{name}\n1.png,cat,7\n2.png,dog,8\n")[1] == ()


def test_folders_named_as_splits_are_told(raw):
    for name in ("train/1.png", "train/2.png", "test/3.png"):
        (raw / name).parent.mkdir(exist_ok=True)
        (raw / name).write_bytes(b"x")
    for name in ("1.png", "2.png"):
        (raw / name).unlink()
    rows = "train/1.png,cat\ntrain/2.png,dog\ntest/3.png,dog\n"
    assert read(raw, "path,label\n" + rows)[1] == (
        "the folders 'test' and 'train' are named as splits, and without a column 'split' in the "
        "label file new splits are drawn",
    )
    assert read(raw, "path,label,split\n" + rows.replace("\n", ",train\n"))[1] == ()


def test_a_large_group_is_named(raw):
    names = [f"{n}.png" for n in range(30)]
    for name in names:
        (raw / name).write_bytes(b"x")
    rows = [f"{name},cat,{'0' if n < 10 else n}" for n, name in enumerate(names)]
    _, warnings, _ = read(raw, "\n".join(["path,label,group", *rows]))
    assert len(warnings) == 1
    assert warnings[0].startswith("the group '0' holds 10 of 30 items, which all go into one split")
    rows[0] = "0.png,cat,other"
    assert read(raw, "\n".join(["path,label,group", *rows]))[1] == ()


def test_files_of_several_raters_are_counted(raw):
    rows = "1.png,cat\n1.png,dog\n1.png,cat\n2.png,dog\n2.png,cat\n"
    _, warnings, found = read(raw, "path,label\n" + rows)
    assert [item.reason for item in found.items] == ["conflict", "conflict"]
    assert any(each.startswith("2 files have rows that disagree on the label") for each in warnings)


def test_where_no_path_fits_the_best_reading_is_the_last_word(raw):
    content = "path,label\n1,cat\n2,dog\n3,cat\n"
    with pytest.raises(DataError) as caught:
        read(raw, content)
    assert str(caught.value) == (
        f"{raw}/labels.csv: none of its 3 paths names a file in {raw}; first: '1' "
        f"({raw}/labels.csv:2) (2 of them would be found with the suffix .png; mend the paths, or "
        "the folder)"
    )


def test_where_some_fit_the_best_reading_of_the_others_is_told(raw):
    _, warnings, found = read(raw, "path,label\n1.png,cat\n2,dog\n3,cat\n")
    reasons = {item.path: item.reason for item in found.items}
    assert reasons == {"1.png": None, "2": "missing_file", "2.png": None, "3": "missing_file"}
    assert (
        "2 of 3 paths in labels.csv name no file as they are written; 1 of them would"
        in warnings[0]
    )


def test_readings_change_the_rows_and_are_told(raw):
    labels, warnings, _ = read(raw, "path,label\n/home/x/raw/1.PNG,cat\n/home/x/raw/2.PNG,dog\n")
    assert labels == BOTH
    assert warnings == (
        "2 of 2 paths in labels.csv name no file as they are written; they are read without "
        f"'home/x/raw/' before them, in another case; first: '/home/x/raw/1.PNG' ({raw}/"
        "labels.csv:2) is '1.png'",
    )


def test_links_out_of_the_folder_are_not_reached_by_a_reading(raw, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"x")
    (raw / "out.png").symlink_to(tmp_path / "secret.png")
    _, _, found = read(raw, "path,label\n1.png,cat\n2.png,dog\nout,cat\n../secret.png,dog\n")
    reasons = {item.path: item.reason for item in found.items}
    assert reasons["out"] == "missing_file"
    assert reasons["out.png"] == reasons["../secret.png"] == "unsafe_path"
