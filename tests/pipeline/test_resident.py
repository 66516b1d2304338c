"""A version predicts in a process of its own, by its own code, and its death is told."""

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import numpy as np
import psutil
import pytest

from pipeline.ground.errors import DataError, IntegrityError, ParamsError
from pipeline.ground.tables import read_table
from pipeline.track.connection import configure
from pipeline.version.fetch import fetch_model
from pipeline.version.package import save_model
from pipeline.version.process import frames
from pipeline.version.process.resident import Resident, ResidentDied, ResidentOptions
from tests.support.closure import ROOT
from tests.support.processes import children
from tests.support.published import RESULTS, Project, use_real_model

OPTIONS = ResidentOptions(decoders=1, seconds=20.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Give a model folder as MLflow keeps it, and the project that it comes from."""
    configure()
    from mlflow.models import Model

    folder = tmp_path_factory.mktemp("resident")
    (folder / "project").mkdir()
    project = use_real_model(Project(folder / "project"))
    save_model(
        folder / "model",
        model=project.folder / RESULTS.model,
        bundle=project.folder / RESULTS.bundle,
        card=Model(),
    )
    return folder / "model", project


@pytest.fixture(scope="module")
def resident(made):
    resident = Resident(fetch_model(str(made[0])), OPTIONS)
    yield resident
    resident.close()


def pictures(made):
    folder = made[1].folder / RESULTS.raw / "images"
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def decoders_of(resident):
    return children(resident.pid, "spawn_main")


def test_it_predicts_what_was_evaluated_to_the_bit_in_any_grouping(made, resident):
    table = read_table(made[1].folder / RESULTS.predictions)
    expected = list(zip(table["predicted"], table["confidence"], table["p_c"], strict=True))
    for grouping in (
        [slice(0, 8)],
        [slice(n, n + 1) for n in range(8)],
        [slice(0, 3), slice(3, 8)],
    ):
        rows = [row for part in grouping for row in resident.predict(pictures(made)[part])]
        assert [(row["label"], row["confidence"], row["p_c"]) for row in rows] == expected
        assert {row["error"] for row in rows} == {None}


def test_without_padding_it_is_as_good_as_equal(made, resident):
    padded = resident.predict(pictures(made)[:1])
    (row,) = resident.predict(pictures(made)[:1], pad=False)
    assert row["p_c"] == pytest.approx(padded[0]["p_c"], abs=1e-6)


def test_hostile_bytes_cost_their_own_row(made, resident):
    good = pictures(made)[0]
    rows = resident.predict([good, b"", b"<html>", good[:200], os.urandom(3_000_000), good])
    assert [(row["error"] or "fine").split(":")[0] for row in rows] == [
        "fine",
        "empty",
        "not_image",
        "truncated",
        "not_image",
        "fine",
    ]
    assert rows[0] == rows[5]
    assert rows[1] == {
        "label": None,
        "confidence": None,
        "p_a/b": None,
        "p_c": None,
        "error": "empty: the file has no bytes",
        "notes": [],
    }
    assert resident.predict([]) == []


def test_a_killed_decoder_is_replaced_and_nothing_is_lost(made, resident):
    expected = resident.predict(pictures(made))
    killed = decoders_of(resident)
    assert killed
    for child in killed:
        child.kill()
    deadline = time.monotonic() + 60
    while any(child.status() != psutil.STATUS_ZOMBIE for child in killed):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert resident.predict(pictures(made)) == expected


def test_it_describes_itself(resident):
    found = resident.describe()
    assert (found["task"], found["classes"], found["size_px"]) == (
        "classification",
        ["a/b", "c"],
        48,
    )
    assert (found["batch_size"], found["views"]) == (4, [0])
    assert found["fingerprint"] == found["trained_on"]


def test_its_threads_leave_cores_to_others(resident):
    assert psutil.Process(resident.pid).environ()["GOMP_SPINCOUNT"] == "1000"


def test_a_stream_that_is_left_does_not_reach_into_the_next(made, resident):
    files = pictures(made)
    expected = resident.predict(files)
    rows = resident.stream(files[n % 8] for n in range(1000))
    assert [next(rows) for _ in range(6)] == expected[:6]
    rows.close()
    assert resident.predict(files) == expected


def test_pictures_that_fail_to_come_are_an_error_after_what_came(made, resident):
    def files():
        yield pictures(made)[0]
        raise OSError("the disk")

    rows = resident.stream(files())
    assert next(rows)["error"] is None
    with pytest.raises(OSError, match="the disk"):
        next(rows)
    assert resident.alive
    assert len(resident.predict(pictures(made))) == 8


def test_threads_share_it_and_each_gets_its_own_answers(made, resident):
    files = pictures(made)
    expected = resident.predict(files)
    got = {}

    def ask(number):
        got[number] = resident.predict([files[number]] * (number + 1))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert got == {number: [expected[number]] * (number + 1) for number in range(8)}


def test_its_death_is_told_with_the_cause(made):
    resident = Resident(fetch_model(str(made[0])), OPTIONS)
    resident.predict(pictures(made)[:1])
    decoders = decoders_of(resident)
    assert decoders
    os.kill(resident.pid, signal.SIGKILL)
    with pytest.raises(ResidentDied, match="its process ended: by SIGKILL"):
        resident.predict(pictures(made))
    assert not resident.alive
    with pytest.raises(ResidentDied):
        resident.predict(pictures(made))
    resident.close()
    gone, alive = psutil.wait_procs(decoders, 10)
    assert not alive, gone


@contextmanager
def edited(made, edit):
    """Give a resident of a copy of the model folder that was edited."""
    folder = made[0].with_name(edit.__name__)
    shutil.copytree(made[0], folder)
    edit(folder)
    with closing(Resident(fetch_model(str(folder)), OPTIONS)) as resident:
        yield resident


EXPLAIN = """

def explain(engine, file):
    from pipeline.ground.errors import DataError
    if not file:
        raise DataError("image", "must be a usable picture")
    return {"bytes": len(file), "label": None}


Engine.explain = explain
"""


def other_code(folder):
    """Decode pictures to their negatives, and say another architecture."""
    path = folder / "code/pipeline/picture/show/input.py"
    old = "return Encoded(*decode_noted(content, spec, max_pixels=most))"
    new = "p, n = decode_noted(content, spec, max_pixels=most); return Encoded(255 - p, n)"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    path = folder / "code/pipeline/engine/engine.py"
    text = path.read_text().replace('"task": bundle.task', '"task": "other " + bundle.task')
    path.write_text(text + EXPLAIN)


def before_the_engine(folder):
    (folder / "code/pipeline/model/engine.py").unlink()
    served = folder / "served.py"
    old = "from pipeline.engine.engine import choose_device"
    assert old in served.read_text()
    served.write_text(served.read_text().replace(old, "choose_device = lambda trained_on: 'cpu'"))


def test_two_versions_with_other_code_are_at_work_at_once(made, resident):
    files = pictures(made)
    expected = resident.predict(files)
    with edited(made, other_code) as other:
        assert other.describe()["task"] == "other classification"
        rows = other.predict(files)
        assert not np.isclose([row["p_c"] for row in rows], [row["p_c"] for row in expected]).all()
        assert resident.predict(files) == expected
        assert resident.describe()["task"] == "classification"
        with pytest.raises(DataError, match="image: must be a usable picture"):
            other.explain(b"")
        assert other.explain(files[0]) == {"bytes": len(files[0]), "label": None}
        threading.Timer(0.3, other.close).start()
        with pytest.raises(ResidentDied, match="it was closed"):
            list(other.stream(files[0] for _ in iter(int, 1)))
        with pytest.raises(ResidentDied, match="it was closed"):
            other.predict(files)


def test_a_version_of_before_the_engine_predicts_the_same_bits(made, resident):
    good = pictures(made)
    expected = resident.predict([*good, b"", good[0]])
    with edited(made, before_the_engine) as old:
        rows = old.predict([*good, b"", good[0]])
        assert [row | {"notes": []} for row in rows] == expected
        assert old.describe() == resident.describe() | {"explains": False}
        with pytest.raises(ParamsError, match="explain: this version was registered before"):
            old.explain(b"")
        assert old.alive


def test_a_damaged_model_is_the_version_s_own_error(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "damaged")
    folder = fetch_model(str(tmp_path / "damaged"))
    folder.model.write_bytes(folder.model.read_bytes()[:-5])
    with pytest.raises(IntegrityError, match=r"model\.safetensors"):
        Resident(folder, OPTIONS)


def test_a_version_that_cannot_start_is_told_with_the_last_line(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "own")
    folder = fetch_model(str(tmp_path / "own"))
    shutil.rmtree(folder.code)
    with pytest.raises(ResidentDied, match="exit code 1: ModuleNotFoundError"):
        Resident(folder, OPTIONS)


PARENT = """
import sys, time
from pathlib import Path
from pipeline.version.process.resident import Resident, ResidentOptions
from pipeline.version.fetch import fetch_model

resident = Resident(fetch_model(sys.argv[1]), ResidentOptions(decoders=1))
picture = Path(sys.argv[2]).read_bytes()
resident.predict([picture])
print(resident.pid, flush=True)
for row in resident.stream(picture for _ in iter(int, 1)):
    pass
"""


def test_it_ends_with_whoever_started_it(made):
    picture = made[1].folder / RESULTS.raw / "images/0.png"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, made[0], picture],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    process = psutil.Process(int(parent.stdout.readline()))
    below = [process, *process.children(recursive=True)]
    assert len(below) >= 2
    time.sleep(0.2)
    parent.kill()
    parent.communicate()
    _, alive = psutil.wait_procs(below, 60)
    assert not alive


def test_messages_cross_whole():
    stream = io.BytesIO()
    message, parts = {"p": 0.1 + 0.2, "é": None}, [b"", bytes(range(256)) * 1000]
    frames.send(stream, message, parts)
    frames.send(stream, {})
    stream.seek(0)
    assert frames.receive(stream) == (message, parts)
    assert frames.receive(stream) == ({}, [])
    with pytest.raises(EOFError):
        frames.receive(stream)
    with pytest.raises(EOFError):
        frames.receive(io.BytesIO(stream.getvalue()[:100]))
