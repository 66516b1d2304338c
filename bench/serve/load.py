"""Requests of several kinds, each held against what its answer must be."""

import asyncio
import base64
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from bench.serve.cells import SECONDS, Cells, load
from tests.fault.test_picture_table import BAD

CLIENTS = 16
TOLERANCE = 1e-4
HOSTILE = {name: value for name, value in BAD.items() if value[1] not in ("too_small", "aspect")}
WRONG = ("text/plain", "application/x-www-form-urlencoded", "video/mp4")


@dataclass
class Tally:
    """What came of requests."""

    seconds: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    pictures: int = 0
    worst: float = 0.0

    def latency(self) -> str:
        """Return the median and the slowest of a hundred."""
        values = sorted(self.seconds)
        p50, p99 = (values[int(len(values) * share)] for share in (0.5, 0.99))
        return f"p50 {1000 * p50:,.0f} ms, p99 {1000 * p99:,.0f} ms"


async def picture(client: httpx.AsyncClient, cells: Cells, rng: random.Random) -> Tally:
    """Ask for one cell."""
    tally = Tally()
    at = rng.randrange(len(cells.files))
    answer = await client.post(
        "/predict", content=cells.files[at], headers={"content-type": "image/png"}
    )
    check(tally, cells, answer, [at], [answer.json()])
    return tally


async def mixed(client: httpx.AsyncClient, cells: Cells, rng: random.Random) -> Tally:
    """Ask one of four kinds of questions, and hold the answer against what is right."""
    tally, share = Tally(), rng.random()
    start = time.perf_counter()
    if share < 0.70:
        tally = await picture(client, cells, rng)
        tally.kinds["picture"] += 1
    elif share < 0.85:
        rows = [rng.randrange(len(cells.files)) for _ in range(rng.randint(2, 8))]
        body = {"images": [base64.b64encode(cells.files[at]).decode() for at in rows]}
        answer = await client.post("/predict", json=body)
        check(tally, cells, answer, rows, answer.json().get("predictions", []))
        tally.kinds["list"] += 1
    elif share < 0.95:
        name = rng.choice(list(HOSTILE))
        content, reason, _ = HOSTILE[name]
        answer = await client.post(
            "/predict", content=content, headers={"content-type": "image/jpeg"}
        )
        refused(tally, answer, 422, reason)
        tally.kinds["hostile"] += 1
    else:
        answer = await client.post(
            "/predict", content=b"hello, world", headers={"content-type": rng.choice(WRONG)}
        )
        refused(tally, answer, 415, "media_type")
        tally.kinds["wrong type"] += 1
    tally.seconds.append(time.perf_counter() - start)
    return tally


def check(
    tally: Tally, cells: Cells, answer: httpx.Response, at: list[int], rows: list[dict[str, Any]]
) -> None:
    """Hold rows against what the version that they name says of the cells."""
    if answer.status_code != 200 or len(rows) != len(at):
        tally.wrong.append(f"{answer.status_code} {answer.text[:200]}")
        return
    version = answer.json()["version"]
    tally.versions[version] += 1
    tally.pictures += len(at)
    got = np.array([[row[name] for name in cells.columns] for row in rows])
    tally.worst = float(np.abs(got - cells.expected[version][at]).max())
    if tally.worst > TOLERANCE:
        tally.wrong.append(f"version {version}: off by {tally.worst:.2e}")


def refused(tally: Tally, answer: httpx.Response, status: int, code: str) -> None:
    """Hold a refusal against its code."""
    if answer.status_code != status or not answer.json()["error"].startswith(f"{code}: "):
        tally.wrong.append(f"{answer.status_code} {answer.text[:200]}, not {status} {code}")


def join(tallies: list[Tally | BaseException]) -> Tally:
    """Add up."""
    whole = Tally()
    for each in tallies:
        if isinstance(each, BaseException):
            whole.wrong.append(repr(each))
            continue
        whole.seconds += each.seconds
        whole.wrong += each.wrong
        whole.kinds += each.kinds
        whole.versions += each.versions
        whole.pictures += each.pictures
        whole.worst = max(whole.worst, each.worst)
    return whole


async def one_by_one(title: str, ask: Callable[[], Awaitable[Tally]]) -> None:
    """Ask with one client, and tell how long an answer takes."""
    seconds = []
    end = time.perf_counter() + SECONDS / 2
    while time.perf_counter() < end:
        start = time.perf_counter()
        await ask()
        seconds.append(time.perf_counter() - start)
    print(
        f"{title}, one picture after another: n = {len(seconds)}, median "
        f"{1000 * statistics.median(seconds):.0f} ms",
        flush=True,
    )


async def at_once(title: str, ask: Callable[[], Awaitable[Tally]]) -> float:
    """Ask with many clients, each as soon as it is answered; gives pictures a second."""
    end = time.perf_counter() + SECONDS

    async def client() -> list[Tally]:
        tallies = []
        while time.perf_counter() < end:
            tallies.append(await ask())
        return tallies

    start = time.perf_counter()
    found = await asyncio.gather(*(client() for _ in range(CLIENTS)))
    whole = join([tally for each in found for tally in each])
    speed = whole.pictures / (time.perf_counter() - start)
    print(
        f"{title}, {CLIENTS} at once: {speed:.1f} pictures/s, {whole.latency()}, "
        f"wrong {len(whole.wrong)} {whole.wrong[:2]}; {load()}",
        flush=True,
    )
    return speed
