"""The two servers under the same clients, one after the other."""

import asyncio
import base64
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import psutil

from bench.serve.cells import ALIAS, NAME, Cells, load
from bench.serve.load import TOLERANCE, Tally, at_once, join, mixed, one_by_one, picture
from pipeline.track.connection import connect
from tests.support.servers import answers, free_port, until

SHARE = 0.8


async def ours(folder: Path, cells: Cells, minutes: float) -> None:
    """Measure `rootstock serve`."""
    command = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "serve",
        f"models:/{NAME}@{ALIAS}",
        "--port",
        "0",
        "--poll",
        "2",
    ]
    log = (folder / "serve.log").open("w")
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder, env=environment
    )
    try:
        url = process.stdout.readline().split()[0]
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            rng = random.Random(1)
            await one_by_one("rootstock serve", lambda: picture(client, cells, rng))
            speed = await at_once("rootstock serve", lambda: mixed(client, cells, rng))
            await mixed_minutes(client, cells, process.pid, SHARE * speed, minutes)
        process.send_signal(signal.SIGTERM)
        print(f"exit code after SIGTERM: {process.wait(60)}")
    finally:
        process.kill()
        process.wait()
        print((folder / "serve.log").read_text())


async def mixed_minutes(
    client: httpx.AsyncClient, cells: Cells, pid: int, speed: float, minutes: float
) -> None:
    """Ask at random times, as many pictures a second as said on average."""
    rng = random.Random(2)
    per_request = 0.70 + 0.15 * 5  # pictures that are predicted
    end = time.perf_counter() + 60 * minutes
    asked: list[asyncio.Task[Tally]] = []
    others = [asyncio.create_task(move(end)), asyncio.create_task(watch(pid, end))]
    start = time.perf_counter()
    while time.perf_counter() < end:
        await asyncio.sleep(rng.expovariate(speed / per_request))
        asked.append(asyncio.create_task(mixed(client, cells, rng)))
    whole = join(await asyncio.gather(*asked, return_exceptions=True))
    elapsed = time.perf_counter() - start
    await asyncio.gather(*others)
    state = (await client.get("/model")).json()
    print(
        f"mixed: {len(asked)} requests in {elapsed:.0f} s, {dict(whole.kinds)}, "
        f"{whole.pictures / elapsed:.1f} pictures/s, {whole.latency()}"
    )
    print(
        f"mixed: not as they must be: {len(whole.wrong)} {whole.wrong[:5]}; by version "
        f"{dict(whole.versions)}, largest difference {whole.worst:.2e}; swaps {state['swaps']}, "
        f"restarts {state['restarts']}",
        flush=True,
    )


async def move(end: float) -> None:
    """Move the alias every minute, or at least three times."""
    client = connect(NAME).client
    pause = min(60.0, (end - time.perf_counter()) / 4)
    version = 1
    while time.perf_counter() + pause < end:
        await asyncio.sleep(pause)
        version = 3 - version
        await asyncio.to_thread(client.set_registered_model_alias, NAME, ALIAS, str(version))


async def watch(pid: int, end: float) -> None:
    """Print the memory of the server and of what runs below it, ten times."""
    front = psutil.Process(pid)
    pause = (end - time.perf_counter()) / 10
    while time.perf_counter() < end:
        below = 0
        for each in front.children(recursive=True):
            try:
                below += each.memory_full_info().pss
            except psutil.Error:
                continue
        count = len([c for c in front.children() if "resident_main.py" in " ".join(c.cmdline())])
        print(
            f"memory: front {front.memory_info().rss / 1e6:.0f} MB, below it "
            f"{below / 1e6:.0f} MB (PSS), {count} versions; {load()}",
            flush=True,
        )
        await asyncio.sleep(pause)


async def theirs(folder: Path, cells: Cells) -> None:
    """Measure `mlflow models serve`."""
    port = free_port()
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "PYTHONPATH": "",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": "120",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        f"models:/{NAME}/1",
        "--env-manager",
        "local",
        "--port",
        str(port),
    ]
    with (folder / "mlflow.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{url}/ping"))
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            rng = random.Random(1)

            async def ask() -> Tally:
                tally, at = Tally(), rng.randrange(len(cells.files))
                start = time.perf_counter()
                body = {
                    "dataframe_records": [{"image": base64.b64encode(cells.files[at]).decode()}]
                }
                answer = await client.post("/invocations", json=body)
                rows = answer.json().get("predictions", [])
                got = np.array([[row[name] for name in cells.columns] for row in rows])
                if (
                    answer.status_code != 200
                    or np.abs(got - cells.expected["1"][at]).max() > TOLERANCE
                ):
                    tally.wrong.append(answer.text[:200])
                tally.pictures, tally.seconds = 1, [time.perf_counter() - start]
                return tally

            await one_by_one("mlflow models serve", ask)
            await at_once("mlflow models serve", ask)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
