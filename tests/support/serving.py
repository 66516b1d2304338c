"""`rootstock serve` as a process, the models that it serves, and what its answers must be."""

import base64
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from jsonschema import Draft202012Validator

from pipeline.ground.files import md5_file
from pipeline.model.bundle import Predictor
from pipeline.track.connection import connect
from pipeline.version.package import Content, log_model
from pipeline.version.registry import MODEL
from tests.support.processes import children
from tests.support.project import ENVIRONMENT
from tests.support.published import RESULTS, TRACKING, predict_bytes

NAME = "cells"
START_S = 400
_ADDRESS = re.compile(r"(http://\S+) serves ")


class Serving:
    """A running server, and a client for it."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self.url = None
        self.client = None
        self._told = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            self._told.put(line)
        self._told.put(None)

    def wait_ready(self):
        """Wait for the line that says where it listens."""
        while (line := self._told.get(timeout=START_S)) is not None:
            if found := _ADDRESS.match(line):
                self.url = found[1]
                self.client = httpx.Client(base_url=self.url, timeout=60)
                return self
        raise AssertionError(self.log)

    @property
    def log(self):
        return "".join(self.lines)

    def residents(self):
        """Give the processes of versions, each a child of the server, but none that ends."""
        return children(self.process.pid, "resident_main.py")

    def stop(self, signum=signal.SIGTERM):
        """End it; gives the exit code."""
        self.process.send_signal(signum)
        code = self.process.wait(60)
        self._reader.join(10)
        return code

    def close(self):
        """Let go of what is left of it."""
        self._reader.join(10)
        self.process.stdout.close()
        if self.client is not None:
            self.client.close()

    def post(self, content, kind="image/png", path="/predict", **options):
        return self.client.post(path, content=content, headers={"content-type": kind}, **options)

    def post_list(self, files):
        return self.post(as_json(files), "application/json")


def as_json(files):
    return json.dumps({"images": [base64.b64encode(raw).decode() for raw in files]})


@contextmanager
def serving(model, *options, cwd, env=None, wait=True):
    """Run a server on a free port."""
    command = [sys.executable, "-m", "pipeline.cli", "serve", str(model), "--port", "0", *options]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        start_new_session=True,
        env=ENVIRONMENT
        | {"PYTHONPATH": str(Path(__file__).parents[2]), "DVC_ROOT": str(cwd)}
        | (env or {}),
    )
    server = Serving(process)
    try:
        yield server.wait_ready() if wait else server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        server.close()


def register(project, *aliases, code=None):
    """Register a project's model as the next version, as `publish` does, and without its checks."""
    tracking = connect(TRACKING.experiment)
    client = tracking.client
    with suppress(Exception):
        client.create_registered_model(NAME)
    run = client.create_run(tracking.experiment_id)
    model = project.folder / RESULTS.model
    content = Content(model, project.folder / RESULTS.bundle, md5_file(model), code)
    logged = log_model(tracking, content, name=NAME, run_id=run.info.run_id)
    version = client.create_model_version(
        NAME,
        f"models:/{logged}",
        run.info.run_id,
        model_id=logged,
        tags={MODEL: content.md5, "metric.accuracy": "0.875"},
    )
    for alias in aliases:
        client.set_registered_model_alias(NAME, alias, version.version)
    return str(version.version)


def point(alias, version):
    """Move an alias."""
    connect(TRACKING.experiment).client.set_registered_model_alias(NAME, alias, version)


def predictions(folder, files):
    """Give the rows that a model's files give here, without a server."""
    predictor = Predictor.load(folder / RESULTS.model, folder / RESULTS.bundle)
    table = predict_bytes(predictor, files)
    return table.to_dict("records")


def assert_equal(row, expected):
    """Hold an answer against what the model says, to 1e-4."""
    for name, value in expected.items():
        if isinstance(value, str):
            assert row[name] == value, row
        else:
            assert abs(row[name] - value) <= 1e-4, (row, expected)


def assert_clean(response, *paths):
    """No answer is a failure of ours, or tells of the server's files and code."""
    assert response.status_code < 500, response.text
    for secret in ("Traceback", ".py", "/tmp", "/root", "/home", "site-packages", *map(str, paths)):
        assert secret not in response.text, response.text


class Promise:
    """The OpenAPI document of a server, against which answers are held."""

    def __init__(self, document):
        self.document = document

    def check(self, response):
        """Hold an answer against the document; gives its JSON."""
        request = response.request
        operation = self.document["paths"][request.url.path][request.method.lower()]
        promised = operation["responses"][str(response.status_code)]
        schema = promised["content"][response.headers["content-type"]]["schema"]
        content = response.json()
        whole = {**schema, "components": self.document["components"]}
        Draft202012Validator(whole).validate(content)
        if content.get("model") is not None:
            assert response.headers["x-model"] == content["model"]
            assert response.headers["x-model-version"] == content["version"]
        return content


def until_answers(server, path, holds, seconds=START_S):
    """Ask until an answer is as it should be; gives it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = server.client.get(path)
        if holds(answer):
            return answer
        assert time.monotonic() < deadline, (answer.text, server.log)
        time.sleep(0.1)
