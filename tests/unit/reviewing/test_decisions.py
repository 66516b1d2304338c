"""Decisions are written at once and whole; whoever else writes at the same time loses nothing."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.ground.errors import DataError, MachineError
from pipeline.manifest.review import read_review
from pipeline.reviewing import sheet
from pipeline.reviewing.decisions import Change, Decisions, Disagreement
from tests.support.closure import ROOT
from tests.support.project import ENVIRONMENT

HEADER = "id,decision,by,when,note\n"
A, B, C = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "review").mkdir()
    return tmp_path / "review" / "pets.csv"


def decide(store, item, decision, *, seen="", note="n"):
    return store.write([Change(item, seen, store.row(decision, note) if decision else None)])


def decided(file):
    return {
        item: each.text
        for item, each in read_review(file.parent, file.parent / "pets" / "raw").items()
    }


def test_a_decision_is_a_row_as_append_writes_it(file):
    decide(Decisions(file, "eva"), A, "relabel:c,at", note="x.png: label 1")
    today = time.strftime("%Y-%m-%d")
    assert file.read_text() == f'{HEADER}{A},"relabel:c,at",eva,{today},x.png: label 1\n'
    assert decided(file) == {A: "relabel:c,at"}


def test_one_that_is_taken_back_leaves_no_row(file):
    store = Decisions(file, "eva")
    decide(store, B, "keep")
    before = decide(store, A, "drop")
    store.write([Change(A, "drop", before[A])])
    assert decided(file) == {B: "keep"}
    assert store.summary() == "1 decided (keep 1)"


def test_taking_back_a_change_restores_the_row_of_whoever_wrote_it(file):
    decide(Decisions(file, "tom"), A, "keep", note="mine")
    old = file.read_bytes()
    eva = Decisions(file, "eva")
    before = decide(eva, A, "drop", seen="keep")
    assert b"eva" in file.read_bytes()
    eva.write([Change(A, "drop", before[A])])
    assert file.read_bytes() == old


FOREIGN = {
    "other columns, CRLF, no last line end": (
        f'note,id,decision,score\r\n"two\r\nlines",{A.upper()},keep,0.5\r\n\r\nx,{B},drop,'.encode()
    ),
    "a byte order mark, quotes, a formula": (
        b"\xef\xbb\xbf" + f'id,decision,by\n{A},"relabel:a ""b""",\'=x\n{B}, drop ,\n'.encode()
    ),
    "decisions on what is no longer there": (HEADER + f"{A},drop,,,\n{B},keep,tom,,\n").encode(),
}


@pytest.mark.parametrize("old", FOREIGN.values(), ids=FOREIGN)
def test_foreign_rows_keep_their_bytes(file, old):
    file.write_bytes(old)
    known = decided(file)
    store = Decisions(file, "eva")
    decide(store, C, "drop")
    assert file.read_bytes().startswith(old)
    assert decided(file) == known | {C: "drop"}
    decide(store, C, "", seen="drop")
    assert file.read_bytes() in (old, old + b"\n")


def test_a_row_that_append_left_open_is_filled_in_its_place(file):
    file.write_text(f"{HEADER}{A},,,,why\n{B},drop,,,\n")
    store = Decisions(file, "eva")
    assert store.read().keys() == {B}
    before = decide(store, A, "keep", note="why")
    assert file.read_text().splitlines()[1].startswith(f"{A},keep,eva,")
    store.write([Change(A, "keep", before[A])])
    assert file.read_text() == f"{HEADER}{A},,,,why\n{B},drop,,,\n"


def test_two_equal_rows_of_one_item_become_one_when_it_is_changed(file):
    file.write_text(f"{HEADER}{A},keep,eva,,\n{B},drop,,,\n{A},keep,tom,,\n")
    decide(Decisions(file, "eva"), A, "drop", seen="keep")
    assert decided(file) == {A: "drop", B: "drop"}


def test_another_decision_that_was_made_meanwhile_is_told_and_stays(file):
    eva, tom = Decisions(file, "eva"), Decisions(file, "tom")
    decide(tom, A, "keep")
    old = file.read_bytes()
    changes = [Change(B, "", eva.row("drop", "")), Change(A, "", eva.row("drop", ""))]
    with pytest.raises(Disagreement) as raised:
        eva.write(changes)
    assert raised.value.current[A]["by"] == "tom"
    assert file.read_bytes() == old, "all or none"
    decide(eva, A, "drop", seen="keep")  # now it was seen
    assert decided(file) == {A: "drop"}


def test_the_same_decision_made_meanwhile_stays_theirs(file):
    decide(Decisions(file, "tom"), A, "keep")
    decide(Decisions(file, "eva"), A, "keep")
    assert file.read_text().count(A) == 1
    assert ",tom," in file.read_text()


def test_writers_at_once_lose_nothing(file):
    stores = [Decisions(file, f"p{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for number in range(40):
            pool.submit(decide, stores[number % 4], f"{number:064x}", "keep")
    assert len(decided(file)) == 40


WRITER = """
import sys
from pathlib import Path
from pipeline.reviewing.decisions import Change, Decisions
store = Decisions(Path(sys.argv[1]), sys.argv[2])
for number in range(100_000):
    item = f"{sys.argv[2]}{number:063x}"
    store.write([Change(item, "", store.row("drop", "x" * 500))])
    print(item, flush=True)
"""


def test_a_writer_that_is_killed_loses_nothing_that_it_acknowledged(file):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file), name],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name in "ab"
    ]
    for writer in writers:
        for _ in range(10):
            writer.stdout.readline()
    writers[0].send_signal(signal.SIGKILL)
    writers[1].stdout.readline()
    writers[1].send_signal(signal.SIGKILL)
    told = {line.strip() for writer in writers for line in writer.communicate()[0].splitlines()}
    assert told <= decided(file).keys()
    assert len(decided(file)) >= 21
    decide(Decisions(file, "eva"), A, "keep")
    assert not list(file.parent.glob(".tmp-*")), "what the killed left is gone"


def test_a_file_that_is_wrong_is_left_as_it_is(file):
    file.write_text(f"{HEADER}{A},perhaps,,,\n# a comment\n")
    store = Decisions(file, "eva")
    with pytest.raises(DataError, match=r"pets\.csv:3: must have 5 cells"):
        decide(store, B, "keep")
    with pytest.raises(DataError):
        store.read()
    assert file.read_text().endswith("# a comment\n")


def test_two_branches_that_decide_are_merged_without_a_conflict(file):
    root = file.parent.parent
    (root / ".gitattributes").write_bytes((ROOT / ".gitattributes").read_bytes())

    def git(*arguments):
        done = subprocess.run(
            ["git", *arguments],
            cwd=root,
            env=ENVIRONMENT,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    git("init", "-q", "-b", "main")
    decide(Decisions(file, "eva"), A, "keep")
    for branch, item in (("tom", B), ("main", C)):
        git("add", ".")
        git("commit", "-qm", "before")
        git("checkout", "-q", *(("-b", branch) if branch == "tom" else (branch,)))
        decide(Decisions(file, branch), item, "drop")
    git("commit", "-qam", "mine")
    git("merge", "-q", "tom", "-m", "both")
    assert decided(file) == {A: "keep", B: "drop", C: "drop"}


def test_a_lock_that_another_holds_is_waited_for_and_then_told(file, monkeypatch):
    monkeypatch.setattr(sheet, "_PATIENCE_S", 0.1)
    with sheet.editing(file), pytest.raises(MachineError, match="another process is writing it"):
        decide(Decisions(file, "eva"), A, "keep")
