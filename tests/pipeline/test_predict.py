"""`rootstock predict` gives the evaluated bits however files come, and goes on when killed."""

import csv
import logging
import math
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.cli import main
from pipeline.ground.errors import MachineError
from pipeline.ground.tables import read_table
from pipeline.predict import run as module
from pipeline.predict.far import _bits, far_model
from pipeline.predict.inputs import find_inputs
from pipeline.version.process.resident import ResidentOptions
from tests.support.closure import ROOT
from tests.support.packed import pack_folder
from tests.support.predicting import options, predict_to, tiny_resident
from tests.support.published import RESULTS

IMAGES = RESULTS.raw / "images"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    with tiny_resident(folder, items=30) as made:
        yield made


@pytest.fixture
def resident(made, monkeypatch, tmp_path):
    """Work in the project's folder, with a state folder of one's own."""
    resident, project = made
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(module, "_CHUNK", 8)
    return resident


def evaluated():
    table = read_table(RESULTS.predictions).sort_values("path")
    return table[["id", "predicted", "confidence", "p_a/b", "p_c"]].to_numpy().tolist()


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def values(path):
    return [
        [row["id"], row["label"], *(float(row[name]) for name in ("confidence", "p_a/b", "p_c"))]
        for row in rows_of(path)
    ]


def test_the_bits_and_the_bytes_do_not_depend_on_how_files_come(resident, tmp_path):
    files = sorted(IMAGES.iterdir())
    random.Random(1).shuffle(files)
    (RESULTS.raw / "some.csv").write_text(
        "path,label\n" + "".join(f"images/{path.name},?\n" for path in files)
    )
    ways = {
        "folder": [IMAGES],
        "one by one": files,
        "twice": [files[3], IMAGES, files[3]],
        "label file": [RESULTS.raw / "some.csv"],
    }
    for number, given in enumerate(ways.values()):
        told = predict_to(tmp_path / f"{number}.csv", resident, *given)
        assert re.fullmatch(r"30 of 30 files predicted; (a/b|c) \d+, (a/b|c) \d+", told)
    assert len({(tmp_path / f"{number}.csv").read_bytes() for number in range(len(ways))}) == 1
    assert values(tmp_path / "0.csv") == evaluated()
    for name in ("a.tar", "b.zip"):
        pack_folder(IMAGES, tmp_path / name)
        predict_to(tmp_path / f"{name}.csv", resident, tmp_path / name)
        assert values(tmp_path / f"{name}.csv") == evaluated()
    assert list((tmp_path / ".rootstock/predict").iterdir()) == []


def test_csv_and_parquet_hold_the_same(resident, tmp_path):
    for name in ("a.csv", "a.parquet"):
        predict_to(tmp_path / name, resident, IMAGES)
    text = pd.DataFrame(rows_of(tmp_path / "a.csv"))
    binary = pd.read_parquet(tmp_path / "a.parquet")
    assert list(binary.columns) == [
        "path",
        "id",
        "label",
        "confidence",
        "p_a/b",
        "p_c",
        "error",
        "note",
    ]
    assert list(binary["path"][:2]) == [f"{IMAGES}/0.png", f"{IMAGES}/1.png"]
    assert list(text.columns) == list(binary.columns)
    for name in ("confidence", "p_a/b", "p_c"):
        assert list(text[name].map(float)) == list(binary[name])
    assert list(text["path"]) == list(binary["path"])
    assert binary["error"].isna().all()
    assert set(text["error"]) == set(text["note"]) == {""}


def test_what_was_noted_of_a_picture_stands_in_its_row(resident, tmp_path):
    folder = tmp_path / "some"
    folder.mkdir()
    pages = [Image.open(IMAGES / f"{number}.png") for number in range(5)]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    pages[0].save(folder / "plain.png")
    hidden = pages[1].convert("RGB")
    hidden.putalpha(0)
    hidden.save(folder / "hidden.png")
    told = predict_to(tmp_path / "a.csv", resident, folder)
    assert told.endswith("; notes: alpha_ignored 1, animated 1")
    rows = {Path(row["path"]).name: row for row in rows_of(tmp_path / "a.csv")}
    assert rows["pages.tif"]["note"] == "animated: the first of 5 frames or pages was taken"
    assert rows["hidden.png"]["note"].startswith("alpha_ignored: every pixel is transparent")
    assert rows["plain.png"]["note"] == ""
    assert rows["pages.tif"]["p_c"] == rows["plain.png"]["p_c"]


@pytest.fixture
def odd(resident, tmp_path):
    """Give a folder with everything that a folder may hold."""
    good = (IMAGES / "0.png").read_bytes()
    folder = tmp_path / "odd"
    (folder / "sub").mkdir(parents=True)
    for name in ("good.png", "sub/=1+1.png", "sub/new\nline.png", ".hidden.png", "sub/Thumbs.db"):
        (folder / name).write_bytes(good)
    (folder / "README.txt").write_text("not a picture\n")
    (folder / "labels.csv").write_text("path,label\ngood.png,c\n")
    (folder / "inside.png").symlink_to("good.png")
    (folder / "out.png").symlink_to("/etc/hostname")
    (folder / "nowhere.png").symlink_to("nothing")
    os.mkfifo(folder / "pipe.png")
    (folder / os.fsdecode(b"\xff.png")).write_bytes(good)
    pack_folder(IMAGES, folder / "more.zip")
    return folder


def test_every_file_has_one_row_with_what_was_wrong(resident, odd, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "pipeline"):
        told = predict_to(tmp_path / "a.csv", resident, odd)
    assert "left out: 2 hidden and system entries, and labels.csv" in caplog.text
    rows = {row["path"].replace(f"{odd}/", ""): row for row in rows_of(tmp_path / "a.csv")}
    errors = {path: row["error"] for path, row in rows.items() if row["error"]}
    assert errors == {
        "README.txt": "not_image: it is a text file",
        "out.png": "unsafe_path: a link that leaves the data folder",
        "nowhere.png": "unsafe_path: a link to nothing",
        "pipe.png": "unsafe_path: a FIFO",
        "\\xff.png": "unsafe_path: named in bytes that are not UTF-8",
    }
    assert len(rows) == len(errors) + 4 + 30
    assert rows["good.png"]["p_c"] == rows["inside.png"]["p_c"] == rows["sub/new\nline.png"]["p_c"]
    assert len(rows["README.txt"]["id"]) == 64
    assert (rows["pipe.png"]["id"], rows["pipe.png"]["label"]) == ("", "")
    assert told.endswith("; errors: unsafe_path 4, not_image 1")
    assert told.startswith("34 of 39 files predicted; ")


def test_what_is_named_itself_is_looked_at_too(resident, odd, tmp_path, monkeypatch):
    monkeypatch.chdir(odd)
    predict_to(tmp_path / "a.csv", resident, "out.png", "pipe.png", "inside.png", "sub/=1+1.png")
    rows = {row["path"]: row["error"] for row in rows_of(tmp_path / "a.csv")}
    assert rows["inside.png"] == rows["sub/=1+1.png"] == ""
    assert rows["pipe.png"] == "unsafe_path: a FIFO"
    assert rows["out.png"].startswith("not_image: ")
    (odd / "=2.png").write_bytes((odd / "good.png").read_bytes())
    predict_to(tmp_path / "b.csv", resident, "=2.png")
    assert (tmp_path / "b.csv").read_text().splitlines()[1].startswith("'=2.png,")


def test_a_link_to_an_archive_elsewhere_is_that_archive(resident, tmp_path, monkeypatch):
    for folder in ("here", "store"):
        (tmp_path / folder).mkdir()
    for name in ("store/real.zip", "here/own.tar"):
        pack_folder(IMAGES, tmp_path / name)
    names = [path.name for path in IMAGES.iterdir()]
    monkeypatch.chdir(tmp_path / "here")
    Path("link.zip").symlink_to("../store/real.zip")
    Path("own.tar").rename("inside")
    Path("own.tar").symlink_to("inside")
    predict_to(tmp_path / "a.csv", resident, "link.zip", "own.tar")
    rows = {row["path"]: row["error"] for row in rows_of(tmp_path / "a.csv")}
    assert rows == {f"{link}/{name}": "" for link in ("link.zip", "own.tar") for name in names}


def test_rows_of_a_label_file_that_name_no_file_are_told_with_their_line(resident, odd, tmp_path):
    table = odd / "list.csv"
    table.write_text(
        "id,path\n1,good.png\n2,../list.csv\n3,/etc/passwd\n4,gone.png\n5,more.zip/0.png\n"
        "6,more.zip/gone.png\n7,http://x/y.png\n8,sub\\=1+1.png\n9,out.png\n10,sub\n"
    )
    predict_to(tmp_path / "a.parquet", resident, table)
    rows = pd.read_parquet(tmp_path / "a.parquet").set_index("path")["error"].fillna("")
    rows.index = rows.index.str.replace(f"{odd}/", "")
    assert rows.to_dict() == {
        "good.png": "",
        "../list.csv": f"unsafe_path: {table}:3: a path that leaves the data folder",
        "/etc/passwd": f"unsafe_path: {table}:4: an absolute path",
        "gone.png": f"missing_file: {table}:5: no such file",
        "more.zip/0.png": "",
        "more.zip/gone.png": "unreadable: no such member",
        "http://x/y.png": f"unsafe_path: {table}:8: a URL",
        "sub/=1+1.png": "",
        "out.png": "unsafe_path: a link that leaves the data folder",
        "sub": "unsafe_path: no regular file",
    }


def test_a_list_of_nothing_but_faults_is_answered(resident, tmp_path):
    (tmp_path / "list.csv").write_text("path\n" + "".join(f"{n}.png\n" for n in range(20)))
    told = predict_to(tmp_path / "a.parquet", resident, tmp_path / "list.csv")
    assert told == "0 of 20 files predicted; errors: missing_file 20"
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert table[["id", "label", "p_c"]].isna().all(axis=None)


def test_what_was_finished_is_not_done_again(resident, tmp_path, monkeypatch, caplog):
    predict_to(tmp_path / "whole.csv", resident, IMAGES)
    files = find_inputs([str(IMAGES)])
    dies_after(2, monkeypatch)
    with pytest.raises(Killed):
        module.predict_files(resident, files, options(tmp_path / "a.csv"))
    (kept,) = (tmp_path / ".rootstock/predict").iterdir()
    assert [path.name[:6] for path in sorted(kept.iterdir())] == ["000000", "000001"]
    assert not (tmp_path / "a.csv").exists()
    monkeypatch.undo()
    monkeypatch.chdir(resident.folder.folder.parents[1])
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(module, "_CHUNK", 8)

    first = sorted(kept.iterdir())[0]
    first.write_bytes(first.read_bytes()[:-9])  # damaged since: done again
    with caplog.at_level(logging.INFO, "pipeline"):
        module.predict_files(resident, files, options(tmp_path / "a.csv", progress="lines"))
    assert "8 of 30 files are there from a run before" in caplog.text
    assert caplog.messages[-1] == "predict: 30 of 30 files"
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not kept.exists()


def test_a_file_that_changed_since_is_predicted_anew(resident, tmp_path, monkeypatch):
    copies = tmp_path / "copies"
    copies.mkdir()
    for path in IMAGES.iterdir():
        (copies / path.name).write_bytes(path.read_bytes())
    files = find_inputs([str(copies)])
    with monkeypatch.context() as patch:
        dies_after(3, patch)
        with pytest.raises(Killed):
            module.predict_files(resident, files, options(tmp_path / "a.parquet"))
    changed, other = sorted(copies.iterdir())[:2]
    changed.write_bytes(other.read_bytes() + b"\0" * 9)
    module.predict_files(resident, files, options(tmp_path / "a.parquet"))
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert table["p_c"][0] == table["p_c"][1]


class Killed(BaseException):
    """What a kill looks like from inside."""


def dies_after(chunks, patch):
    save, left = module.Chunks.save, [chunks]

    def save_or_die(self, chunk, table):
        if not left[0]:
            raise Killed
        left[0] -= 1
        save(self, chunk, table)

    patch.setattr(module.Chunks, "save", save_or_die)


def test_two_at_once_do_not_write_into_each_other(resident, tmp_path, monkeypatch):
    monkeypatch.setattr(
        module, "_finish", lambda *_: predict_to(tmp_path / "b.csv", resident, IMAGES)
    )
    with pytest.raises(MachineError, match="another process predicts the same files here"):
        predict_to(tmp_path / "a.csv", resident, IMAGES)


def test_standard_output_that_does_not_wait_is_told_as_such(resident, tmp_path, monkeypatch):
    """A pipe of another program's, which is full, and set so that a write does not wait."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(reading, "rb"), os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        os.write(writing, bytes(1 << 20))  # all that it holds
        with pytest.raises(MachineError, match=r"standard output: must wait .*\| cat"):
            predict_to(None, resident, IMAGES)
    assert len(chunks_of(tmp_path)) == math.ceil(30 / 8)


def test_the_output_is_no_input(resident, tmp_path):
    (tmp_path / "a.png").write_bytes((IMAGES / "0.png").read_bytes())
    for _ in range(2):
        told = predict_to(tmp_path / "out.parquet", resident, tmp_path)
        assert told.startswith("1 of 1 files predicted")


def test_a_regression_gives_values(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with tiny_resident(tmp_path, task="regression") as (resident, project):
        told = predict_to(tmp_path / "a.parquet", resident, project.folder / IMAGES)
        table = pd.read_parquet(tmp_path / "a.parquet")
        assert list(table.columns) == ["path", "id", "value", "error", "note"]
        expected = read_table(project.folder / RESULTS.predictions)["value"]
        assert np.array_equal(table["value"], expected)
        low, high = expected.min(), expected.max()
        assert told == f"8 of 8 files predicted; values from {low:.6g} to {high:.6g}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-"], "rootstock predict: must be a path; standard input is not read, got '-' (name"),
        (["empty"], "empty: there is no file to predict (name pictures, folders"),
        (["gone"], "gone: no such file or folder"),
        (
            ["https://x.org/a.png"],
            "https://x.org/a.png: no such file or folder (nothing is fetched",
        ),
        (["a.png", "-o", "a.png"], "--output: must end in .csv or .parquet, got 'a.png'"),
        (["a.png", "-o", "there.csv"], "there.csv: is there already (name another file, or add"),
        (["a.png", "-o", "nowhere.csv"], "nowhere.csv: is there already (name another file, or"),
        (["a.png", "-o", "a.png/a.csv"], "--output: must be in a folder, got 'a.png/a.csv' (name"),
        (["a.png", "-o", "nowhere.csv/a.csv"], "--output: must be in a folder, got 'nowhere.csv/"),
        (["a.png", "-o", f"{'x' * 250}.csv"], "--output: cannot be written: File name too long"),
        (["a.png"], "nobody: no such run or file"),
        (["a.csv"], "a.csv: the column 'path' is missing (the file has 'x')"),
        (["a.tar.gz"], "a.tar.gz: must not be compressed as a whole"),
    ],
    ids=lambda each: " ".join(each)[:40] if isinstance(each, list) else "",
)
def test_what_cannot_be_done_is_one_line(repository, capsys, arguments, message):
    (repository / "empty").mkdir()
    (repository / "a.png").write_bytes(b"x")
    (repository / "there.csv").write_text("")
    (repository / "nowhere.csv").symlink_to("nothing")
    (repository / "a.csv").write_text("x\n1\n")
    (repository / "a.tar.gz").write_bytes(b"\x1f\x8b\x08")
    (repository / "model").mkdir()
    (repository / "model/model.safetensors").write_bytes(b"")
    (repository / "model/bundle.json").write_text("{}")
    code = main(["predict", "nobody" if arguments == ["a.png"] else "model", *arguments])
    assert code == (3 if arguments[0].startswith("a.csv") or "gz" in arguments[0] else 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_nothing_to_read_is_a_usage_error(capsys):
    for arguments in (["predict", "m"], ["predict", "m", "a.png", "--workers", "0"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "argument --workers: must be a whole number above 0, got '0'" in capsys.readouterr().err


SMALL_CHUNKS = """
import sys
from pipeline.predict import run as predict
predict._CHUNK = 16
from pipeline.cli import main
if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
"""


def start(folder, *arguments, env=None, **options):
    (folder / "small_chunks.py").write_text(SMALL_CHUNKS)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-P", folder / "small_chunks.py", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(folder)} | (env or {}),
        text=True,
        **pipes | options,
    )


@pytest.mark.slow
def test_killed_and_stopped_it_goes_on_to_the_same_bytes(made, tmp_path):
    """SIGKILL, then SIGTERM, then SIGINT, each in the midst; then to the end."""
    folder = made[1].folder
    pictures = sorted((folder / IMAGES).iterdir())
    copies = tmp_path / "copies"
    copies.mkdir()
    for number in range(300):
        (copies / f"{number:04d}.png").write_bytes(pictures[number % 30].read_bytes())
    asked = (folder / "artifacts/train", copies, "-o", tmp_path / "a.csv", "--workers", 1)
    finished = 0
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = start(tmp_path, *asked)
        wait_for_chunks(tmp_path, finished + 2, process)
        process.send_signal(number)
        _, told = process.communicate(timeout=600)
        assert process.returncode == code, told
        finished = len(chunks_of(tmp_path))
        assert 0 < finished < 300 // 16
        assert not (tmp_path / "a.csv").exists()
        if code > 0:
            assert told.splitlines()[-1] == (
                f"error: rootstock predict: stopped by {number.name} "
                "(run the same command again to go on)"
            )
    process = start(tmp_path, *asked)
    out, told = process.communicate(timeout=600)
    assert (process.returncode, out) == (0, ""), told
    assert f"{16 * finished} of 300 files are there from a run before" in told
    assert told.splitlines()[-1].startswith("300 of 300 files predicted; ")
    got = values(tmp_path / "a.csv")
    assert got == [evaluated_of(folder)[n % 30] for n in range(300)]
    assert chunks_of(tmp_path) == []


def evaluated_of(folder):
    table = read_table(folder / RESULTS.predictions).sort_values("path")
    return table[["id", "predicted", "confidence", "p_a/b", "p_c"]].to_numpy().tolist()


def chunks_of(folder):
    return list((folder / ".rootstock/predict").glob("*/0*.parquet"))


def wait_for_chunks(folder, number, process):
    while len(chunks_of(folder)) < number:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


MOST_BYTES = 30_000


def small_files():
    """Let this process write no file beyond so many bytes, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_that_takes_a_part_is_exit_4_and_what_was_finished_is_kept(
    made, tmp_path, unbuffered
):
    """Python's own stream is without a buffer under PYTHONUNBUFFERED, and then writes short."""
    deep = "deep/" * 800  # rows of one chunk, written at once, and all in all too large
    (tmp_path / "list.csv").write_text("path\n" + "".join(f"{deep}{n}.png\n" for n in range(12)))
    asked = (made[1].folder / "artifacts/train", "list.csv", "--workers", 1)
    with (tmp_path / "out.csv").open("wb") as out:
        process = start(
            tmp_path,
            *asked,
            env={"PYTHONUNBUFFERED": unbuffered},
            stdout=out,
            preexec_fn=small_files,
        )
        _, told = process.communicate(timeout=600)
    assert process.returncode == 4, told
    assert told.splitlines()[-1].startswith("error: rootstock predict: File too large (free space")
    assert len(chunks_of(tmp_path)) == 1


@pytest.mark.slow
def test_a_registered_version_to_standard_output(repository, monkeypatch):
    from pipeline.publish import publish
    from tests.support.published import REGISTRY, TRACKING, Project, use_real_model

    monkeypatch.setattr("pipeline.publish.verify", lambda *args, **kwargs: "8 items equal")
    use_real_model(Project(repository))
    publish(RESULTS, TRACKING, REGISTRY)
    process = start(repository, "models:/cells@champion", IMAGES, "--workers", 1)
    out, told = process.communicate(timeout=600)
    assert process.returncode == 0, told
    (repository / "out.csv").write_text(out)
    assert values(repository / "out.csv") == evaluated_of(repository)
    assert "downloading models:/cells/1 to " in told


def test_a_machine_that_sees_other_files_is_not_used(resident, tmp_path):
    files = find_inputs([str(IMAGES)])
    work = far_model(resident, files, ResidentOptions(decoders=1))
    assert [each.path for each in work.seen] == [files[0].path]
    away = tuple(replace(each, root=tmp_path) for each in work.seen)
    with pytest.raises(MachineError, match="must be what the first machine sees there"):
        _bits(replace(work, seen=away), tuple(files))
