"""Lists of files for `predict` are read as label files are, and each row keeps its place."""

import pytest

from pipeline.predict.inputs import find_inputs


@pytest.fixture
def folder(tmp_path):
    for name in ("images/1.png", "images/2.png", "more.txt", ".hidden/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def listed(folder, content, name="list.csv"):
    (folder / name).write_text(content, encoding="utf-8")
    found = find_inputs([str(folder / name)])
    return {each.path.removeprefix(f"{folder}/"): (each.inner, each.fault) for each in found}


BOTH = {"images/1.png": ("images/1.png", None), "images/2.png": ("images/2.png", None)}
LISTS = {
    "as written": ("path\nimages/1.png\nimages/2.png\n", ""),
    "absolute": ("path\n{folder}/images/1.png\n{folder}/images/2.png\n", ""),
    "file URLs": ("path\nfile://{folder}/images/1.png\nfile://{folder}/images/2.png\n", ""),
    "another machine": ("path\n/x/images/1.png\n/x/images/2.png\n", "without 'x/' before them"),
    "ids": ("image_id\n1\n2\n", "with 'images/' before them, with the suffix .png"),
    "ids of an odd name": ("eye code,age\n1,60\n2,70\n", "the column 'eye code'"),
    "another case": ("path\nImages/1.PNG\nImages/2.PNG\n", "in another case"),
    "semicolons": ("sep=;\npath;note\nimages/1.png;a\nimages/2.png;b\n", ""),
    "another column": ("id,file_name\n7,images/1.png\n8,images/2.png\n", "'file_name' of list.csv"),
}


@pytest.mark.parametrize(("content", "told"), LISTS.values(), ids=LISTS)
def test_lists_are_read_as_label_files_are(folder, caplog, content, told):
    assert listed(folder, content.format(folder=folder)) == BOTH
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.tsv", "path\tnote\nimages/1.png\ta\nimages/2.png\tb\n"),
        ("list.jsonl", '{"file_name": "images/1.png"}\n{"file_name": "images/2.png"}\n'),
    ],
)
def test_other_kinds_of_lists(folder, name, content):
    assert listed(folder, content, name) == BOTH


def test_what_no_reading_finds_keeps_its_row(folder, caplog):
    (folder.parent / "secret.png").write_bytes(b"x")
    paths = ["1", "2", "9", "../secret.png", "/etc/passwd", ".hidden/3.png"]
    found = listed(folder, "\n".join(["path", *paths]))
    assert found[".hidden/3.png"] == (".hidden/3.png", None)  # named by a person
    where = f"{folder}/list.csv"
    assert found["1"] == ("1", f"missing_file: {where}:2: no such file")
    faults = {path: fault for path, (_, fault) in found.items() if fault}
    assert faults["../secret.png"].endswith(":5: a path that leaves the data folder")
    assert faults["/etc/passwd"].endswith(":6: an absolute path")
    assert len(found) == 6
    assert "5 of 6 paths in" in caplog.text
    assert "2 of them would be found with 'images/' before them, with the suffix" in caplog.text


def test_a_label_file_of_another_tool_is_no_picture(folder, caplog):
    caplog.set_level("INFO")
    (folder / "metadata.csv").write_text("file_name,label\n1.png,a\n", encoding="utf-8")
    found = {each.inner for each in find_inputs([str(folder)])}
    assert found == {"images/1.png", "images/2.png", "more.txt"}
    assert "left out: 1 hidden and system entries, and metadata.csv" in caplog.text
