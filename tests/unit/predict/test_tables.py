"""Tables of texts: their rows are predicted, and come out as they were, with answers beside."""

import gzip
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.compute.engine import MachineParams
from pipeline.ground.errors import DataError, ParamsError
from pipeline.predict import run as module
from pipeline.predict.inputs import find_inputs, sole_table
from pipeline.predict.run import Options, predict_files
from pipeline.predict.tables import Columns
from pipeline.raw.texts.delimited import Delimited
from pipeline.version.fetch import fetch_model
from pipeline.version.process.resident import Resident, ResidentOptions
from tests.support.tinytext import predict_texts, write_text_model

TEXTS = Columns(("text", "review"), is_asked=False)
ROWS = [
    ("1", "it is good", "good"),
    ("2", 'two\nlines, a "quote"\r\nand\rmore\ttabs', "=1+1"),
    ("3", "", "NA"),
    ("4", "NA", ""),
    ("5", "\ufeffcafé \U0001f600\u2028x", " blank "),
]


def csv_table(path, rows=ROWS, names=("id", "text", "label"), separator=","):
    def quoted(cell):
        return '"' + cell.replace('"', '""') + '"'

    lines = [separator.join(map(quoted, row)) + "\n" for row in (names, *rows)]
    path.write_bytes("".join(lines).encode())
    return path


def read_rows(path):
    """Read a CSV by its own rules, not by ours."""
    table = Delimited(path, path.name, None, "utf-8")
    return [dict(zip(table.columns, cells, strict=True)) for _, cells in table.rows()]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write_text_model(folder, max_tokens=16)
    return folder


@pytest.fixture(scope="module")
def resident(model):
    options = ResidentOptions(decoders=1, seconds=20.0)
    with closing(Resident(fetch_model(str(model)), options)) as found:
        yield found


def predict(resident, path, output, texts=TEXTS):
    machine = MachineParams.alone(workers=1, progress="none")
    options = Options(output=output, overwrite=True, machine=machine, device=None, seconds=20.0)
    table = sole_table([str(path)], texts)
    files = find_inputs([str(path)], but=output, texts=texts, table=table)
    return predict_files(resident, files, options, table)


def test_rows_come_out_as_they_went_in_with_answers_beside(resident, model, tmp_path):
    path = csv_table(tmp_path / "in.csv")
    told = predict(resident, path, tmp_path / "out.csv")
    rows = read_rows(tmp_path / "out.csv")
    assert [*rows[0]] == [
        "id",
        "text",
        "label",
        "predicted_label",
        "confidence",
        "p_bad",
        "p_good",
        "error",
        "note",
    ]
    assert [(row["id"], row["text"], row["label"]) for row in rows] == ROWS
    expected = predict_texts(model, [text for _, text, _ in ROWS])
    for row, own in zip(rows, expected, strict=True):
        assert row["predicted_label"] == (own["label"] or "")
        assert row["error"] == (own["error"] or "")
        if own["error"] is None:
            assert float(row["p_good"]) == pytest.approx(own["p_good"], abs=1e-6)
    assert rows[2]["error"].startswith("empty: ")
    assert told.startswith("4 of 5 texts predicted; ")
    assert told.endswith("errors: empty 1; notes: cut_off 1")


@pytest.mark.parametrize("suffix", [".tsv", ".csv.gz", ".jsonl", ".parquet"])
def test_tables_of_other_kinds(resident, tmp_path, suffix):
    path = tmp_path / f"in{suffix}"
    names, columns = ("id", "text", "label"), [list(each) for each in zip(*ROWS, strict=True)]
    if suffix == ".parquet":
        pq.write_table(pa.table(columns, names=names), path, row_group_size=2)
    elif suffix == ".jsonl":
        lines = [json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in ROWS]
        path.write_text("".join(lines), encoding="utf-8")
    elif suffix == ".csv.gz":
        path.write_bytes(gzip.compress(csv_table(tmp_path / "plain.csv").read_bytes()))
    else:
        csv_table(path, separator="\t")
    predict(resident, path, tmp_path / "out.csv")
    rows = read_rows(tmp_path / "out.csv")
    assert [(row["id"], row["text"], row["label"]) for row in rows] == ROWS
    plain = csv_table(tmp_path / "in.csv")
    predict(resident, plain, tmp_path / "plain-out.csv")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "plain-out.csv").read_bytes()


def test_types_of_parquet_stay_and_an_empty_cell_keeps_its_row(resident, tmp_path):
    path = tmp_path / "in.parquet"
    given = pa.table({"n": [1, 2, None], "text": ["it is good", None, "bad"], "l": [[1], [], None]})
    pq.write_table(given, path)
    predict(resident, path, tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(["n", "text", "l"]).equals(given)
    assert found["error"].to_pylist() == [None, "missing_file: its cell in 'text' is empty", None]
    assert found["label"].to_pylist()[1] is None


def test_json_of_any_keys_and_half_a_surrogate_pair(resident, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(
        '{"text": "good", "tags": ["a", 1]}\n{"text": "\\ud83d"}\n\n{"n": 1.50, "text": 7}\n{}\n'
    )
    predict(resident, path, tmp_path / "out.csv")
    rows = read_rows(tmp_path / "out.csv")
    assert [row["tags"] for row in rows] == ['["a", 1]', "", "", ""]
    assert [row["n"] for row in rows] == ["", "", "1.5", ""]
    codes = [row["error"].partition(":")[0] for row in rows]
    assert codes == ["", "not_utf8", "", "missing_file"]


@pytest.mark.parametrize(
    ("names", "texts", "column"),
    [
        (("a", "text"), TEXTS, "text"),
        (("Review ", "b"), TEXTS, "Review"),
        (("body",), TEXTS, "body"),
        (("text", "body"), Columns(("body",), is_asked=True), "body"),
    ],
)
def test_which_column_holds_the_texts(tmp_path, names, texts, column):
    path = csv_table(tmp_path / "in.csv", [("x",) * len(names)], names)
    assert sole_table([str(path)], texts).column.name == column
    (found,) = find_inputs([str(path)], texts=texts)
    assert (found.path, found.inner) == (f"{path}/{column}/00000000", f"in.csv/{column}/00000000")


@pytest.mark.parametrize(
    ("is_asked", "told"),
    [
        (False, "name it with --column; there are 'subject', 'body'"),
        (True, r"has no column 'none' of texts \(there are 'subject', 'body'\)"),
    ],
)
def test_a_column_that_nobody_knows_is_asked_for(tmp_path, is_asked, told):
    path = csv_table(tmp_path / "in.csv", [("x", "y")], ("subject", "body"))
    with pytest.raises(DataError, match=told):
        find_inputs([str(path)], texts=Columns(("none",), is_asked=is_asked))


def test_the_only_column_is_not_taken_for_another_one_that_was_named(tmp_path):
    path = csv_table(tmp_path / "in.csv", [("x",)], ("body",))
    with pytest.raises(DataError, match=r"has no column 'text' of texts \(there are 'body'\)"):
        find_inputs([str(path)], texts=Columns(("text",), is_asked=True))


CYRILLIC = "id;text\n1;\u043e\u0447\u0435\u043d\u044c\n"


@pytest.mark.parametrize("texts", [{"encoding": "cp1251"}, {"usual": "cp1251"}])
def test_an_encoding_that_bytes_do_not_tell_can_be_said(tmp_path, texts):
    path = tmp_path / "in.csv"
    path.write_bytes(CYRILLIC.encode("cp1251"))
    with pytest.raises(DataError, match="for `rootstock predict` --encoding"):
        sole_table([str(path)], TEXTS)
    table = sole_table([str(path)], replace(TEXTS, **texts))
    assert table.column.encoding == "cp1251"
    assert next(table._rows()) == ["1", "\u043e\u0447\u0435\u043d\u044c"]


def test_a_table_given_alone_is_looked_through_once(model, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "in.csv"
    path.write_bytes("text\nle café est à côté\n".encode("cp1252"))
    machine = MachineParams.alone(workers=1, progress="none")
    options = Options(Path("out.csv"), overwrite=False, machine=machine, device=None, seconds=20.0)
    module.predict(str(model), [str(path)], options)
    assert caplog.text.count("is no UTF-8, and is read as cp1252, by its bytes") == 1
    assert [row["text"] for row in read_rows(Path("out.csv"))] == ["le café est à côté"]


def test_the_encoding_of_the_project_is_not_forced_on_a_table_in_utf8(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(CYRILLIC, encoding="utf-8")
    assert sole_table([str(path)], replace(TEXTS, usual="cp1251")).column.encoding == "utf-8"


def test_text_files_folders_and_lists_of_them(resident, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text("it is good\n\nvery good")
    (folder / "b.txt").write_bytes(b"caf\xe9 au lait")
    csv_table(folder / "c.csv", ROWS[:2])
    csv_table(folder / "d.csv", [("x", "y")], ("subject", "body"))
    predict(resident, folder, tmp_path / "out.csv")
    rows = read_rows(tmp_path / "out.csv")
    assert [row["path"].removeprefix(f"{folder}/") for row in rows] == [
        "a.txt",
        "b.txt",
        "c.csv/text/00000000",
        "c.csv/text/00000001",
        "d.csv",
    ]
    codes = [row["error"].partition(":")[0] for row in rows]
    assert codes == ["", "not_utf8", "", "", "not_text"]
    (tmp_path / "list.csv").write_text("path,note\nfolder/a.txt,x\n")
    assert [each.inner for each in find_inputs([str(tmp_path / "list.csv")], texts=TEXTS)] == [
        "folder/a.txt"
    ]


def test_a_killed_run_goes_on_to_the_same_bytes(resident, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 2)
    path = csv_table(tmp_path / "in.csv")
    predict(resident, path, tmp_path / "whole.csv")
    save, saved = module.Chunks.save, []

    def dying(self, chunk, table):
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(chunk)
        save(self, chunk, table)

    monkeypatch.setattr(module.Chunks, "save", dying)
    with pytest.raises(KeyboardInterrupt):
        predict(resident, path, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    again = []
    monkeypatch.setattr(
        module.Chunks, "save", lambda *given: (again.append(given[1]), save(*given))
    )
    predict(resident, path, tmp_path / "out.csv")
    assert len(again) == 1
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_table_is_not_written_over_itself(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = csv_table(tmp_path / "in.csv")
    machine = MachineParams.alone(workers=1, progress="none")
    options = Options(output=path, overwrite=True, machine=machine, device=None)
    with pytest.raises(ParamsError, match="must be another file than the table that is read"):
        module.predict(str(model), [str(path)], options)
    assert csv_table(tmp_path / "same.csv").read_bytes() == path.read_bytes()
