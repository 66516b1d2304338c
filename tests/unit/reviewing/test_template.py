"""Suspects become rows for people to decide on; nothing decides for them."""

import pandas as pd
import pytest

from pipeline.cli import main
from pipeline.ground.errors import DataError
from pipeline.ground.tables import write_table
from pipeline.manifest.review import read_review
from pipeline.raw.labels.text_table import read_text_table
from pipeline.reviewing.template import SUSPECTS
from tests.support.closure import ROOT

HEADER = "id,decision,by,when,note"


def suspect(rank, name, split="train", reason="label", **changes):
    return {
        "rank": rank,
        "path": f"{name}.png",
        "id": name * 64,
        "split": split,
        "label": "cat",
        "suggested": "dog" if reason == "label" else None,
        "reason": reason,
        "score": 0.9,
        "detail": "p(dog) 0.95, p(cat) 0.05",
    } | changes


@pytest.fixture
def project(tmp_path, monkeypatch):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("data/elpv", "data/pets")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "review").mkdir()
    monkeypatch.chdir(tmp_path)
    rows = [
        suspect(1, "a"),
        suspect(2, "b"),
        suspect(3, "b", path="copy.png"),
        suspect(4, "c"),
        suspect(1, "e", reason="outlier"),
        suspect(1, "f", split="test"),
    ]
    write_table(tmp_path / SUSPECTS, pd.DataFrame(rows))
    return tmp_path


def review(capsys, *options, code=0):
    rows = () if "--append" in options else ("--print",)
    assert main(["review", *rows, *options]) == code
    return capsys.readouterr()


def test_the_first_suspects_are_printed_without_a_decision(project, capsys):
    lines = review(capsys, "--first", "2").out.splitlines()
    assert lines[0] == HEADER
    assert [line.split(",")[:4] for line in lines[1:]] == [
        ["a" * 64, "", "", ""],
        ["b" * 64, "", "", ""],
    ]
    assert "a.png: label 1, labeled 'cat', expected 'dog'; p(dog) 0.95" in lines[1]
    assert not list((project / "review").iterdir())


def test_appended_rows_must_be_decided_before_clean_goes_on(project, capsys):
    assert "3 rows are in review/pets.csv" in review(capsys, "--append").out
    file = project / "review/pets.csv"
    raw = project / "data/pets/raw"
    with pytest.raises(DataError, match=r"pets\.csv:2.*write the decision, or delete the row"):
        read_review(project / "review", raw)
    text = file.read_text(encoding="utf-8").replace(",,,,", ",drop,eva,2026-01-01,")
    file.write_text(text, encoding="utf-8")
    decisions = read_review(project / "review", raw)
    assert {each: decision.action for each, decision in decisions.items()} == {
        name * 64: "drop" for name in "abc"
    }


def test_what_is_in_the_file_is_not_asked_again_and_its_bytes_stay(project, capsys):
    file = project / "review/pets.csv"
    old = f"note,id,decision\r\nmine,{'A' * 64},keep"
    file.write_bytes(old.encode())
    review(capsys, "--first", "1", "--append")
    assert file.read_bytes().startswith(old.encode() + b"\n")
    table = read_text_table(file)
    assert table.columns == ("note", "id", "decision")
    assert table.column("id") == ("A" * 64, "b" * 64)
    assert table.column("note")[1].startswith("b.png: label 2")
    review(capsys, "--append")
    assert "no suspect for this reason is missing" in review(capsys, "--append").out
    assert len(read_text_table(file).rows) == 3


def test_test_items_are_asked_for_and_come_with_a_warning(project, capsys):
    text = review(capsys, "--test").out
    assert "every test metric too good" in text
    assert [line[:2] for line in text.splitlines() if line.startswith(("a", "f"))] == ["ff"]
    assert "f" * 64 not in review(capsys).out


def test_another_reason(project, capsys):
    text = review(capsys, "--reason", "outlier").out
    assert text.splitlines()[1].startswith("e" * 64)
    assert "expected" not in text


def test_a_hostile_name_is_one_line_and_no_formula(project, capsys):
    rows = [suspect(1, "a", path='=cmd(),"\n.png')]
    write_table(project / SUSPECTS, pd.DataFrame(rows))
    review(capsys, "--append")
    table = read_text_table(project / "review/pets.csv")
    assert len(table.rows) == 1
    assert table.column("note")[0].startswith("'=cmd()")


def test_before_the_stage_ran_the_command_is_named(project, capsys):
    (project / SUSPECTS).unlink()
    assert "run `dvc repro suspects/dvc.yaml`" in review(capsys, code=3).err


def test_a_wrong_number_is_refused(project, capsys):
    assert "--first: must be 1 or more, got 0" in review(capsys, "--first", "0", code=2).err
