"""A small project with something to review, and `rootstock review` as a process."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import httpx
import pandas as pd

from pipeline.clean.probe_cache import write_probes
from pipeline.ground.files import write_json
from pipeline.ground.params import replace_values
from pipeline.ground.tables import write_table
from pipeline.manifest.manifest import write_manifest
from tests.support.closure import ROOT
from tests.support.project import ENVIRONMENT
from tests.support.rawfolder import clean_folder, save_picture
from tests.support.scenes import brightness, save_scene

HOSTILE = "<img src=x onerror=window.injected=1>"
START_S = 60


def make_project(folder, *, suspects=6):
    """Write what `clean` and the side branch `suspects` leave, on 60 pictures.

    Two classes and a hostile one; a conflict, a near-duplicate, two small pictures and one that is
    cut off; so many suspects of train and val, and one of test.
    """
    raw = folder / "data/pets/raw"
    for number in range(24):
        save_scene(raw / "cat" / f"{number:02}.png", number)
        save_scene(raw / "dog" / f"{number:02}.png", 100 + number)
        if number < 8:
            save_scene(raw / HOSTILE / f"q\"'{number} <b>.png", 200 + number)
    save_scene(raw / "dog" / "same.bmp", 3)
    for number in range(5, 10):
        save_scene(raw / "cat" / f"near{number}.png", number, change=brightness(0.9))
    for number in range(2):
        save_picture(raw / "dog" / f"tiny{number}.png", 900 + number, size=(6, 9))
    (raw / "cat" / "cut.png").write_bytes((raw / "cat/00.png").read_bytes()[:700])
    cleaned = clean_folder(raw)
    clean = folder / "artifacts/clean"
    write_manifest(clean / "manifest.parquet", cleaned.manifest)
    write_table(clean / "near_duplicates.parquet", cleaned.near_duplicates)
    write_json(clean / "report.json", cleaned.report)
    write_probes(clean / "probes.parquet", cleaned.probes, "picture")
    write_table(folder / "artifacts/suspects/suspects.parquet", _suspects(cleaned, suspects))
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    changes = {"data.path": "data/pets/raw", "data.labels": "data/pets/raw"}
    (folder / "params.yaml").write_text(replace_values(text, changes), encoding="utf-8")
    (folder / "review").mkdir(exist_ok=True)
    return cleaned


def _suspects(cleaned, count):
    kept = cleaned.manifest[cleaned.manifest["status"] == "kept"]
    alone = kept[kept["path"].str.fullmatch(r"(cat|dog)/1\d\.png")]
    known = alone[alone["split"] != "test"][:count]
    rows = pd.concat([known, alone[alone["split"] == "test"][:1]])
    return pd.DataFrame(
        {
            "rank": rank,
            "path": item["path"],
            "id": item["id"],
            "split": item["split"],
            "label": item["label"],
            "suggested": "dog" if item["label"] == "cat" else "cat",
            "reason": "label",
            "score": 0.9,
            "detail": f"p({'dog' if item['label'] == 'cat' else 'cat'}) 0.900, "
            f"p({item['label']}) 0.080",
        }
        for rank, item in enumerate(rows.to_dict("records"), start=1)
    )


class Reviewing:
    """A running `rootstock review`, and a client that has its token."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self._told = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        found = None
        while not found:
            line = self._told.get(timeout=START_S)
            assert line is not None, "".join(self.lines)
            found = re.search(r"(http://127\.0\.0\.1:(\d+)/)#token=(\S+)", line)
        self.address, self.url, self.port, self.token = found[0], found[1], found[2], found[3]
        self.client = httpx.Client(
            base_url=self.url, headers={"x-rootstock-token": self.token}, trust_env=False
        )

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            self._told.put(line)
        self._told.put(None)

    def end(self, signum=signal.SIGINT):
        """End it; gives its exit code and all that it printed."""
        self.process.send_signal(signum)
        code = self.process.wait(timeout=START_S)
        self._reader.join(START_S)
        return code, "".join(self.lines)

    def close(self):
        """Let go of what is left of it."""
        self._reader.join(START_S)
        self.process.stdout.close()
        self.client.close()


@contextmanager
def reviewing(folder, *options, env=None):
    """Run `rootstock review` in a folder; it opens no browser, unless `env` names one."""
    quiet = () if env else ("--no-browser",)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "review", *quiet, "--port", "0", *options],
        cwd=folder,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT)} | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = None
    try:
        running = Reviewing(process)
        yield running
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        if running is not None:
            running.close()
