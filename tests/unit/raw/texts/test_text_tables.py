"""Rows of tables as items: every text arrives as it stands in the file, or with a reason."""

import csv
import gzip
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ground.errors import DataError, ParamsError
from pipeline.raw.items import find_items
from pipeline.raw.source import RawFault, read_raw, split_path

HOSTILE = (
    "plain",
    "two\nlines",
    "carriage\rreturn",
    "both\r\nends",
    "next\x85line and \u2028 and \u2029",
    'a "quoted" word, and a comma',
    '"',
    "NA",
    "null",
    "nan",
    "None",
    "",
    " blanks around ",
    "tab\there",
    "\ufeffmark inside",
    "zero\0byte",
    "\u200f\u200b\U0001f600",
    "形容词",
    "x" * (1 << 20),
)


def find(raw: Path, text: str = "text", target: str = "label", **params):
    return find_items(raw, raw, target=target, text=text, **params)


def texts(raw: Path, found) -> list[str]:
    return [read_raw(raw, each.path).decode() for each in found.items]


def write_csv(path: Path, rows, header=("text", "label"), **form) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, **form).writerows([header, *rows])


def write_any(path: Path, rows) -> None:
    """Write a table of texts and labels in the form that its name says."""
    records = [{"text": text, "label": label} for text, label in rows]
    if path.suffix == ".parquet":
        table = pa.Table.from_pylist(
            records, pa.schema({"text": pa.string(), "label": pa.string()})
        )
        pq.write_table(table, path, row_group_size=7)
    elif ".jsonl" in path.name or ".ndjson" in path.name:
        path.write_text("".join(f"{json.dumps(each)}\n" for each in records), encoding="utf-8")
    else:
        write_csv(path, rows, delimiter="\t" if ".tsv" in path.name else ",", lineterminator="\n")
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))


@pytest.mark.parametrize(
    "name", ["t.csv", "t.TSV", "t.jsonl", "t.ndjson", "t.parquet", "t.csv.gz", "t.jsonl.gz"]
)
def test_every_text_arrives_as_it_stands(tmp_path, name):
    path = tmp_path / name.lower()
    write_any(path, [(text, f"c{n % 2}") for n, text in enumerate(HOSTILE)])
    path.rename(tmp_path / name)
    found = find(tmp_path)
    assert texts(tmp_path, found) == list(HOSTILE)
    assert [each.path for each in found.items] == [
        f"{name}/text/{row:08d}" for row in range(len(HOSTILE))
    ]
    assert [each.label for each in found.items[:3]] == ["c0", "c1", "c0"]
    assert (found.layout, found.modality) == ("text tables", "text")


def test_rows_are_read_in_any_order(tmp_path):
    rows = [(f"row {n}\nof many", "a") for n in range(1000)]
    for name in ("t.csv", "t.jsonl.gz", "t.parquet"):
        write_any(tmp_path / name, rows)
        for row in (999, 0, 64, 63, 65, 128, 500, 500, 1, 998):
            assert read_raw(tmp_path, f"{name}/text/{row:08d}") == f"row {row}\nof many".encode()


def test_windows_line_ends_and_a_byte_order_mark_are_no_part_of_a_text(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbftext,label\r\nfirst,a\r\n\r\nsecond,b\r\n")
    assert texts(tmp_path, find(tmp_path)) == ["first", "second"]


def test_a_return_within_a_line_is_text_as_pandas_writes_it(tmp_path):
    (tmp_path / "t.csv").write_bytes(b'text,label\nold\rnew,a\n"x\r\r\ny\r",b\r\n')
    found = find(tmp_path)
    assert texts(tmp_path, found) == ["old\rnew", "x\r\r\ny\r"]
    assert [each.label for each in found.items] == ["a", "b"]


@pytest.mark.parametrize("separator", ";\t|")
def test_a_csv_may_be_separated_otherwise(tmp_path, separator):
    write_csv(tmp_path / "t.csv", [("one, two", "a"), ("x", "b")], delimiter=separator)
    assert texts(tmp_path, find(tmp_path)) == ["one, two", "x"]


def test_a_quote_in_a_tsv_need_not_quote(tmp_path):
    (tmp_path / "t.tsv").write_text('text\tlabel\n"open\ta\n"he" said\tb\nlast \r one\tb\n')
    assert texts(tmp_path, find(tmp_path)) == ['"open', '"he" said', "last \r one"]


def test_columns_have_their_meanings_and_others_are_kept(tmp_path):
    header = ("id", "text", "label", "split", "group", "weight", "path")
    rows = [("12_3", "one", "0", "train", "g", "2", "p"), ("12_4", "two", "1", "test", "", "", "q")]
    write_csv(tmp_path / "t.csv", rows, header)
    found = find(tmp_path)
    assert [(each.label, each.split, each.group, each.weight) for each in found.items] == [
        ("0", "train", "g", 2.0),
        ("1", "test", None, 1.0),
    ]
    assert found.meta_names == ("id", "table.path")
    assert found.items[0].meta == ("12_3", "p")


def test_names_of_files_or_folders_say_the_splits(tmp_path):
    for name in ("train.csv", "test.csv", "validation.csv"):
        write_csv(tmp_path / "files" / name, [(name, "a")])
    for name in ("train/a.csv", "train/b.csv", "test/a.csv"):
        write_csv(tmp_path / "folders" / name, [(name, "a")])
    splits = {each.path: each.split for each in find(tmp_path / "files").items}
    assert splits == {
        "test.csv/text/00000000": "test",
        "train.csv/text/00000000": "train",
        "validation.csv/text/00000000": "val",
    }
    found = find(tmp_path / "folders")
    assert [each.split for each in found.items] == ["test", "train", "train"]
    assert found.meta_names == ()


def test_several_tables_are_one_set_and_keep_their_names(tmp_path):
    write_csv(tmp_path / "imdb.csv", [("good", "1")])
    write_csv(tmp_path / "yelp.csv", [("tasty", "1", "3")], ("text", "label", "stars"))
    found = find(tmp_path)
    assert found.meta_names == ("stars", "table")
    assert [each.meta for each in found.items] == [("", "imdb.csv"), ("3", "yelp.csv")]


def test_a_table_without_labels_has_unlabeled_texts(tmp_path):
    write_csv(tmp_path / "train.csv", [("good", "1")])
    write_csv(tmp_path / "test.csv", [("what",)], ("text",))
    assert [each.label for each in find(tmp_path).items] == [None, "1"]


def test_one_table_may_be_named_and_others_are_left_out_and_told(tmp_path):
    write_csv(tmp_path / "a.csv", [("one", "1")])
    write_csv(tmp_path / "b.csv", [("two", "1")])
    (tmp_path / "README.md").write_text("#")
    found = find_items(tmp_path, tmp_path / "b.csv", target="label", text="text")
    assert texts(tmp_path, found) == ["two"]
    assert found.ignored == 2
    assert "2 files left out beside the tables: .csv 1, .md 1" in found.warnings[0]


def test_a_column_name_is_no_folder(tmp_path):
    name = "what/ever 100%"
    write_csv(tmp_path / "t.csv", [("one", "a")], (name, "label"))
    found = find(tmp_path, name)
    assert found.items[0].path == "t.csv/what%2Fever 100%25/00000000"
    assert texts(tmp_path, found) == ["one"]


def test_json_knows_numbers_and_nothing(tmp_path):
    lines = ['{"text": 5, "label": 1}', '{"text": null, "label": 2}', '{"label": true, "x": [1]}']
    lines += ['{"text": "\\ud800", "label": 0.5}', '{"text": ["a"], "label": "\\ud800"}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    items = find(tmp_path).items
    assert [each.label for each in items] == ["1", "2", "true", "0.5", "?"]
    assert read_raw(tmp_path, items[0].path) == b"5"
    for row, reason in ((1, "missing_file"), (2, "missing_file"), (4, "damaged")):
        with pytest.raises(RawFault) as caught:
            read_raw(tmp_path, items[row].path)
        assert caught.value.reason == reason
    with pytest.raises(UnicodeDecodeError):
        read_raw(tmp_path, items[3].path).decode()


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
def test_an_empty_cell_of_parquet_is_an_item_with_a_reason(tmp_path, kind):
    column = pa.array(["one", None, ""], pa.string()).cast(kind)
    pq.write_table(pa.table({"text": column, "label": [1, 2, 1]}), tmp_path / "t.parquet")
    items = find(tmp_path).items
    assert [each.label for each in items] == ["1", "2", "1"]
    assert [read_raw(tmp_path, items[row].path) for row in (0, 2)] == [b"one", b""]
    with pytest.raises(RawFault, match="missing_file: its cell in 'text' is empty"):
        read_raw(tmp_path, items[1].path)


def test_dictionaries_of_parquet_are_texts_and_numbers_are_none(tmp_path):
    column = pa.array(["one", None, "one"]).dictionary_encode()
    table = pa.table({"text": column, "label": column, "n": [1, 2, 3]})
    pq.write_table(table, tmp_path / "t.parquet")
    items = find(tmp_path).items
    assert read_raw(tmp_path, items[2].path) == b"one"
    with pytest.raises(DataError, match="column 'n': must hold text, got 'int64'"):
        find(tmp_path, "n")


def test_an_invalid_row_names_the_reason(tmp_path):
    write_csv(tmp_path / "t.csv", [("one", "a")])
    for member in ("text/00000001", "other/00000000", "text/1"):
        with pytest.raises((RawFault, DataError)):
            read_raw(tmp_path, f"t.csv/{member}")
    with pytest.raises(RawFault, match="too_large"):
        read_raw(tmp_path, "t.csv/text/00000000", 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"text,label\nok,a\n\xef\xf0\xe8\xe2\xe5\xf2 \xec\xe8\xf0,b\n",
            r"t\.csv:3: is no UTF-8.*data\.encoding",
        ),
        ("text,label\nok,a\n".encode("utf-16"), "looks like UTF-16"),
        ("text,label\nok,a\n".encode("utf-16-le"), "looks like UTF-16"),
        (b'text,label\nok,a\n"open,a\nb,b\n', r"t\.csv:3: .*opened and never closed"),
        (b'text,label\n"a" b,a\n', r"t\.csv:2: not valid CSV.*is doubled"),
        (b"text,label\rok,a\r", "lines that end with a carriage return alone"),
        (b"text,label\na, b,a\n", r"t\.csv:2: must have 2 cells.*got 3"),
        (b"text,text,label\na,b,a\n", "the column 'text' is there twice"),
        (
            b"Text ,label\na,b\n",
            "column 'text' of data.text is missing .did you mean 'Text'.*label",
        ),
        (b"text,label\n", "has no rows"),
        (b"\n", "is empty"),
        (b"", "is empty"),
        (b"text,class\na,b\n", "column 'label' is missing .write data.target: class"),
        (b"text,label,weight\na,b,-1\n", r"t\.csv:2: column 'weight'"),
    ],
)
def test_a_wrong_table_stops_with_its_line(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        find(tmp_path)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz", "t.parquet"])
def test_a_table_that_is_cut_stops(tmp_path, name):
    write_any(tmp_path / name, [(f"{n * n} some text", "a") for n in range(999)])
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="is cut or corrupt"):
        find(tmp_path)


@pytest.mark.parametrize("line", ["{", "[1]", "5", '{"text": "a"} x'])
def test_a_line_of_json_that_is_no_object_is_named(tmp_path, line):
    (tmp_path / "t.jsonl").write_text(f'{{"text": "a", "label": 1}}\n\n{line}\n')
    with pytest.raises(DataError, match=r"t\.jsonl:3: must be a JSON object"):
        find(tmp_path)


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_a_missing_column_is_told_with_those_that_are_there(tmp_path, name):
    write_any(tmp_path / name, [("one", "a")])
    with pytest.raises(DataError, match=r"column 'texts' .*did you mean 'text'.*'label'"):
        find(tmp_path, "texts")


def test_no_table_is_told_with_what_is_there(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "a.docx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"no table of texts; its files: .docx 1, .zip 1.*unpack"):
        find(tmp_path)


@pytest.mark.parametrize(("text", "target"), [("text", "text"), ("split", "label"), ("a", "path")])
def test_no_column_has_two_meanings(tmp_path, text, target):
    with pytest.raises(ParamsError, match="must be another column than"):
        find(tmp_path, text, target)


def test_labels_must_be_in_the_raw_folder(tmp_path):
    write_csv(tmp_path / "raw/t.csv", [("one", "a")])
    write_csv(tmp_path / "t.csv", [("one", "a")])
    with pytest.raises(ParamsError, match=r"data\.labels: must be data\.path, or a table in it"):
        find_items(tmp_path / "raw", tmp_path / "t.csv", target="label", text="text")


def test_without_the_param_paths_mean_files(tmp_path):
    (tmp_path / "t.csv/text").mkdir(parents=True)
    (tmp_path / "t.csv/text/00000000").write_bytes(b"a file")
    assert read_raw(tmp_path, "t.csv/text/00000000") == b"a file"
    assert split_path(tmp_path, "u.csv/text/1.jpg") == ("u.csv/text/1.jpg", None)
    assert split_path(tmp_path, "a.tar/t.csv/text/00000000") == ("a.tar", "t.csv/text/00000000")


def test_a_table_that_is_open_can_be_read_by_a_child_at_the_same_time(tmp_path):
    rows = [(f"{n} " + "x" * 500, "a") for n in range(2000)]
    write_csv(tmp_path / "t.csv", rows)
    paths = [f"t.csv/text/{row:08d}" for row in range(len(rows))]
    for path in paths[:1000]:
        read_raw(tmp_path, path)
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        there = list(pool.map(partial(read_raw, tmp_path), paths[1000:], chunksize=500))
    here = [read_raw(tmp_path, path) for path in paths[1000:]]
    assert here == there == [text.encode() for text, _ in rows[1000:]]


def test_names_of_columns_may_differ_in_case_between_tables(tmp_path):
    write_csv(tmp_path / "a.csv", [("one", "x", "1")], ("text", "Label", "n"))
    write_csv(tmp_path / "b.csv", [("two", "y", "2")], ("text", "label", "n"))
    found = find(tmp_path)
    assert [(each.label, each.meta) for each in found.items] == [
        ("x", ("1", "a.csv")),
        ("y", ("2", "b.csv")),
    ]


def test_a_table_that_changed_is_read_anew(tmp_path):
    write_csv(tmp_path / "t.csv", [("one", "a")])
    assert read_raw(tmp_path, "t.csv/text/00000000") == b"one"
    write_csv(tmp_path / "t.csv", [("another", "a")])
    assert read_raw(tmp_path, "t.csv/text/00000000") == b"another"
