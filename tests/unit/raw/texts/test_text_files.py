"""Text files as items where the params say so, and what is said where they do not."""

from pathlib import Path

import pytest

from pipeline.ground.errors import DataError
from pipeline.raw.item import RawItems
from pipeline.raw.items import find_items

TEXT = "this is a sentence of some words"


def put(raw: Path, *names: str, content: str = "x") -> None:
    for name in names:
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_text(content)


def find(raw: Path, text: str | None = ".txt") -> RawItems:
    return find_items(raw, raw, target="label", text=text)


def test_text_files_in_class_folders_are_items_and_notes_are_not(tmp_path):
    put(tmp_path, "pos/1.txt", "pos/2.TXT", "neg/1.txt", "README.txt", "classes.txt", "neg/x.csv")
    found = find(tmp_path)
    assert [(each.path, each.label) for each in found.items] == [
        ("neg/1.txt", "neg"),
        ("pos/1.txt", "pos"),
        ("pos/2.TXT", "pos"),
    ]
    assert (found.layout, found.modality, found.ignored) == ("class folders", "text", 3)


def test_splits_and_label_files_mean_what_they_mean_for_others(tmp_path):
    put(tmp_path, *(f"a/{split}/{name}/1.txt" for split in ("train", "test") for name in "xy"))
    assert {each.split for each in find(tmp_path / "a").items} == {"train", "test"}
    put(tmp_path, "b/1.txt", "b/2.txt")
    (tmp_path / "b/labels.csv").write_text("path,label\n1.txt,x\n2.txt,y\n")
    assert [each.label for each in find(tmp_path / "b").items] == ["x", "y"]


def test_a_text_file_that_lists_others_is_an_item(tmp_path):
    put(tmp_path, "pos/1.txt", "neg/1.txt", content="path,label\npos/1.txt,a\nneg/1.txt,b\n")
    assert find(tmp_path).warnings == ()


def test_without_text_files_the_error_says_what_to_do(tmp_path):
    put(tmp_path, "t.csv", content="text,label\na,b\n")
    with pytest.raises(DataError, match=r"has no \.txt file .*'t\.csv'"):
        find(tmp_path)


def test_pictures_have_text_files_beside_them(tmp_path):
    put(tmp_path, "a/1.png", "b/1.png", "a/1.txt", "README.txt", "notes.csv", content=TEXT)
    found = find(tmp_path, None)
    assert [each.path for each in found.items] == ["a/1.png", "b/1.png"]
    assert found.modality == "picture"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", f"body,label\n{TEXT},x\n{TEXT},y\n"),
        ("t.tsv", f"body\tlabel\n{TEXT}\tx\n"),
        ("t.jsonl", f'{{"body": "{TEXT}", "label": 1}}\n'),
        ("t.csv", "body,label\n菜味道很棒,1\n"),
        ("labels.csv", f"body,label\n{TEXT},x\n"),
    ],
)
def test_a_table_of_sentences_is_told_with_its_column(tmp_path, name, content):
    put(tmp_path, name, content=content)
    with pytest.raises(DataError, match=r"has texts in its column 'body' .write data\.text: body"):
        find(tmp_path, None)


def test_text_files_in_folders_are_told(tmp_path):
    put(tmp_path, "pos/1.txt", "neg/1.txt")
    with pytest.raises(DataError, match=r"write data\.text: \.txt"):
        find(tmp_path, None)


@pytest.mark.parametrize(
    "content", [f"path,label,caption\na/1.png,x,{TEXT}\n", "id,label\n1,x\n2,y\n"]
)
def test_other_tables_are_not(tmp_path, content):
    put(tmp_path, "labels.csv", content=content)
    with pytest.raises(DataError) as caught:
        find(tmp_path, None)
    assert "data.text" not in str(caught.value)
