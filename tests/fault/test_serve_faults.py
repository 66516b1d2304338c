"""A server goes on: versions change under it, processes die, the registry leaves, clients stall."""

import asyncio
import base64
import os
import shutil
import signal
import socket
import threading
import time
from functools import partial

import httpx
import pytest
from safetensors.torch import load, save

from pipeline.ground.errors import IntegrityError
from pipeline.serving.replicas.http_errors import Refusal
from pipeline.serving.replicas.loader import Loader
from pipeline.serving.replicas.replica import Identity, Replica
from pipeline.version.fetch import fetch_model
from pipeline.version.process.resident import Resident, ResidentDied, ResidentOptions
from tests.support.closure import ROOT
from tests.support.processes import children
from tests.support.published import RESULTS, Project, use_real_model, write_pictures
from tests.support.servers import free_port
from tests.support.servers import until as until_holds
from tests.support.serving import assert_equal, point, predictions, register, serving, until_answers

OPTIONS = ResidentOptions(decoders=1, seconds=20.0)
until = partial(until_holds, seconds=400)


class Load:
    """Clients that ask without pause; every answer is kept."""

    def __init__(self, server, files, clients=3):
        self._server = server
        self._files = files
        self._is_over = threading.Event()
        self.answers = []
        self.failures = []
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(clients)]

    def _ask(self, number):
        with httpx.Client(base_url=self._server.url, timeout=400) as client:
            while not self._is_over.is_set():
                number = (number + 1) % len(self._files)
                try:
                    answer = client.post(
                        "/predict",
                        content=self._files[number],
                        headers={"content-type": "image/png"},
                    )
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                self.answers.append((number, answer))

    def __enter__(self):
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        for each in self._threads:
            each.join()

    def check(self, expected):
        """Every request was answered, and right for the version that the answer names."""
        assert not self.failures
        seen = {}
        for number, answer in self.answers:
            assert answer.status_code == 200, answer.text
            row = answer.json()
            assert row["version"] == answer.headers["x-model-version"]
            assert_equal(row, expected[row["version"]][number])
            seen[row["version"]] = seen.get(row["version"], 0) + 1
        return seen


@pytest.fixture
def files(tmp_path):
    return [path.read_bytes() for path in write_pictures(tmp_path / "asked", 8)]


def served_version(server):
    return server.client.get("/ready").json()["version"]


@pytest.mark.slow
def test_versions_change_and_processes_die_under_load_and_no_request_is_lost(repository, files):
    expected = {}
    for seed in (1, 2):
        project = use_real_model(Project(repository), seed=seed)
        code = None if seed == 1 else code_without_explanations(repository / "earlier")
        version = register(project, *(["champion"] if seed == 1 else []), code=code)
        expected[version] = predictions(repository, files)
    differences = [abs(a["p_c"] - b["p_c"]) for a, b in zip(*expected.values(), strict=True)]
    assert min(differences) > 1e-3, "the versions can be told apart"
    options = ("--poll", "0.3", "--timeout", "300", "--decoders", "1")
    with serving("models:/cells@champion", *options, cwd=repository) as server:
        assert server.client.get("/model").json()["metrics"] == {"accuracy": 0.875}
        with Load(server, files) as load:
            for version in ("2", "1"):
                point("champion", version)
                until(lambda version=version: served_version(server) == version)
                until(lambda: len(server.residents()) == 1)
                check_explanation(server, files[0], expected[version][0], is_there=version == "1")
            server.residents()[0].kill()
            until_answers(server, "/model", lambda answer: answer.json()["restarts"] == 1)
            bad = spoiled_version(repository, project)
            point("champion", bad)
            until_answers(
                server,
                "/ready",
                lambda answer: (answer.json()["pending"] or {}).get("state") == "cannot be loaded",
            )
            ready = server.client.get("/ready")
            assert (ready.status_code, ready.json()["version"]) == (200, "1")
            assert ready.json()["pending"]["version"] == bad
            point("champion", "1")
            until_answers(server, "/ready", lambda answer: answer.json()["pending"] is None)
            registry_leaves_and_returns(repository, server)
        seen = load.check(expected)
        assert set(seen) == {"1", "2"}
        assert server.client.get("/model").json()["swaps"] == 2
        assert server.log.count(f"version {bad} cannot be loaded, version 1 stays") == 1
        assert "Traceback" not in server.log
        (resident,) = server.residents()
        server.process.kill()
        until(lambda: not resident.is_running())


def code_without_explanations(folder):
    """Give the package as it might have been: a version runs its own."""
    package = shutil.copytree(ROOT / "pipeline", folder / "pipeline")
    engine = package / "engine/engine.py"
    engine.write_text(engine.read_text().replace("def explain(", "def explain_later("))
    return package


def check_explanation(server, picture, expected, *, is_there):
    answer = server.post(picture, path="/explain")
    assert answer.headers["x-model-version"] == answer.json()["version"]
    if is_there:
        assert answer.status_code == 200
        assert_equal(answer.json(), expected)
        assert base64.b64decode(answer.json()["heatmap_png"]).startswith(b"\x89PNG")
    else:
        assert answer.status_code == 404
        assert answer.json()["error"] == "no_explanation: this version is not explained here"


def spoiled_version(repository, project):
    """Register a version whose bundle is none."""
    path = project.folder / RESULTS.bundle
    project._file(RESULTS.model, "other weights")
    path.write_text('{"task": "classification", "classes": ["a"]}')
    return register(project)


def registry_leaves_and_returns(repository, server):
    database = repository / "mlflow.db"
    database.rename(repository / "away.db")
    until(lambda: "the registry has no answer" in server.log)
    time.sleep(1.5)  # some more looks, which are not told again
    assert server.client.get("/ready").status_code == 200
    (repository / "away.db").rename(database)
    until(lambda: "the registry answers again" in server.log)
    assert server.log.count("the registry has no answer") == 1


@pytest.mark.slow
def test_clients_that_stall_and_a_process_that_stops(tmp_path, files):
    use_real_model(Project(tmp_path))
    port = free_port()
    options = ("--port", str(port), "--timeout", "3", "--decoders", "1")
    with serving("artifacts/train", *options, cwd=tmp_path, wait=False) as server:
        answers_while_it_loads(f"http://127.0.0.1:{port}")
        server.wait_ready()
        slow_clients_hold_nobody(server, files[0])
        what_is_late_is_given_up(server, files[0])
        (resident,) = server.residents()
        resident.kill()  # while nothing is asked
        until_answers(server, "/model", lambda answer: answer.json()["restarts"] == 1)
        assert server.client.get("/ready").status_code == 200
        assert server.stop(signal.SIGINT) == 130
        assert "Traceback" not in server.log


def answers_while_it_loads(url):
    until(lambda: answers_at(f"{url}/health") == 200)
    answer = httpx.get(f"{url}/ready")
    if answer.status_code == 503:  # it is there within seconds
        loading = {"status": "loading", "model": None, "version": None, "pending": None}
        assert answer.json() == loading
        headers = {"content-type": "image/png"}
        asked = httpx.post(f"{url}/predict", content=b"x", headers=headers)
        assert asked.status_code in (503, 422)


def slow_clients_hold_nobody(server, picture):
    where = server.url.removeprefix("http://").split(":")
    heads = [
        b"POST /predict HTTP/1.1\r\nhost: x\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n"
        b"content-length: 100000\r\n\r\nabc",
    ]
    lines = [socket.create_connection(where) for _ in range(100)]
    for number, line in enumerate(lines):
        line.sendall(heads[number % 2])
        line.settimeout(30)
    for _ in range(5):
        assert server.post(picture).status_code == 200
    assert lines[0].recv(100) == b"", "a head that does not come: closed"
    assert lines[1].recv(100).startswith(b"HTTP/1.1 408 ")
    for line in lines:
        line.close()


def what_is_late_is_given_up(server, picture):
    (resident,) = server.residents()
    resident.suspend()
    late = server.post(picture)
    assert (late.status_code, late.json()["error"]) == (504, "timeout: no answer within 3 s")
    resident.resume()
    until(lambda: server.post(picture).status_code == 200)
    assert server.client.get("/model").json()["waiting"] == 0, "who left is not waited for"


def answers_at(url):
    try:
        return httpx.get(url).status_code
    except httpx.HTTPError:
        return None


class Fragile(Resident):
    """A process that a picture ends among others, and stops when it comes alone.

    And a batch that is not filled up has other answers.
    """

    def predict(self, files, *, pad=True):
        for raw in files:
            if raw == b"end":
                # Stopped, it must be ended from outside; the first time it ends by itself.
                os.kill(self.pid, signal.SIGSTOP if len(files) == 1 else signal.SIGKILL)
        rows = super().predict(files, pad=pad)
        for row in rows:
            row["p_c"] += 0.0 if pad else 0.01
        return rows


@pytest.mark.slow
def test_what_ends_its_process_twice_is_given_up_and_the_others_are_answered(tmp_path, files):
    project = use_real_model(Project(tmp_path))
    folder = fetch_model(str(project.folder / RESULTS.model.parent))
    expected = predictions(tmp_path, files)
    starts = []

    def start():
        starts.append(1)
        return Fragile(folder, OPTIONS)

    async def ask():
        replica = Replica(
            Identity("m", "1"),
            start,
            queue=20,
            timeout_s=400.0,
            stuck_s=lambda _: 5.0,
            died=ResidentDied,
        )
        await replica.open()
        jobs = replica.submit([files[0], b"end", files[1]], "predict")
        rows = await asyncio.gather(*(job.answer for job in jobs))
        again = replica.submit(files[:1], "predict")
        rows += [await again[0].answer]
        await replica.close()
        assert not replica.is_answering
        return rows, replica.restarts

    rows, restarts = asyncio.run(ask())
    for row, right in ((rows[0], expected[0]), (rows[2], expected[1]), (rows[3], expected[0])):
        assert_equal(row, right)
    assert rows[1]["error"].startswith("decoder_crashed: ")
    assert (rows[1]["label"], rows[1]["confidence"], rows[1]["p_c"]) == (None, None, None)
    assert (len(starts), restarts) == (3, 2), "after the batch, and after the picture alone"


@pytest.mark.slow
@pytest.mark.parametrize("name", [RESULTS.model.name, RESULTS.bundle.name])
def test_what_is_written_into_a_folder_meanwhile_is_not_served_as_the_version_of_before(
    tmp_path, files, name
):
    """The process of the version dies then, and is started anew: first with another file."""
    folder = use_real_model(Project(tmp_path)).folder / RESULTS.model.parent
    expected = predictions(tmp_path, files)
    old = (folder / name).read_bytes()
    other = change(old, name)

    async def ask():
        loader = Loader(str(folder), OPTIONS, queue=20, timeout_s=400.0)
        replica = await loader.load(loader.look())
        (folder / name).write_bytes(other)
        (resident,) = children(os.getpid(), "resident_main.py")
        resident.kill()
        with pytest.raises(Refusal, match="the process that predicts does not work"):
            await replica.submit(files[:1], "predict")[0].answer
        (folder / name).write_bytes(old)
        while not replica.is_answering:
            await asyncio.sleep(0.05)
        row = await replica.submit(files[:1], "predict")[0].answer
        await replica.close()
        return row

    assert_equal(asyncio.run(ask()), expected[0])


def change(raw, name):
    """Give other weights, or the same bundle in other bytes."""
    if name == RESULTS.bundle.name:
        return raw + b"\n"
    tensors = load(raw)
    tensors["head.weight"] = -tensors["head.weight"]
    return save(tensors)


@pytest.mark.slow
def test_what_is_written_between_the_look_and_the_start_is_refused(tmp_path):
    folder = use_real_model(Project(tmp_path)).folder / RESULTS.model.parent
    loader = Loader(str(folder), OPTIONS, queue=20, timeout_s=400.0)
    found = loader.look()
    model = folder / RESULTS.model.name
    model.write_bytes(change(model.read_bytes(), model.name))
    with pytest.raises(IntegrityError, match="must be what it was when this version was found"):
        asyncio.run(loader.load(found))
    assert not children(os.getpid(), "resident_main.py")
