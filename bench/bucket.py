"""What it costs to read raw data from a bucket: requests, bytes and time, against a local folder.

`python -m bench.bucket raw [--tars 5] [--latency-ms 20]` packs a folder of pictures in class
folders into tars, runs `clean` and `transform` on them from a folder and from an S3 server on this
machine, in turn, and prints a table. The floor is each picture once for each of the two stages.
"""

import argparse
import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from pipeline.cli import main as rootstock
from pipeline.ground.files import sha256_file
from tests.support.servers import KEYS, s3_server
from tests.support.staged import remember, run_clean, run_transform, write_params
from tests.support.wire import wire_to


def main() -> None:
    """Measure, and print a table in Markdown."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("raw", type=Path)
    options.add_argument("--tars", type=int, default=5)
    options.add_argument("--latency-ms", type=float, default=20)
    given = options.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        s3_server(Path(folder), ["bench"]) as (url, client),
        wire_to(int(url.rpartition(":")[2])) as wire,
    ):
        os.environ |= KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{wire.port}"}
        here, there = Path(folder) / "here", Path(folder) / "there"
        items, size = _pack(given.raw, here / "raw", given.tars)
        _project(there, client, here / "raw")
        wire.latency_s = given.latency_ms / 1000
        floor = 2 * size
        print(
            f"\n{items} pictures of {size / items:,.0f} bytes in {given.tars} tars; answers after "
            f"{given.latency_ms:g} ms; the floor is {floor / 1e6:.1f} MB\n"
        )
        print("| what | requests | an item | bytes / floor | seconds, folder | bucket |")
        print("|---|---|---|---|---|---|")
        for name in ("first build", "again, nothing new"):
            seconds = _build(here)
            wire.clear()
            far = _build(there)
            over = wire.bytes / floor
            remember(here)
            remember(there)
            print(
                f"| {name} | {len(wire.requests)} | {len(wire.requests) / items:.3f} | {over:.2f} "
                f"| {seconds:.1f} | {far:.1f} |"
            )
        equal = _made(here) == _made(there)
        print(f"\nmanifest and store are {'the same bytes' if equal else 'NOT THE SAME'}")
        if not equal:
            sys.exit(1)


def _pack(raw: Path, target: Path, tars: int) -> tuple[int, int]:
    """Pack files into tars, each with a run of names; return their number and bytes."""
    target.mkdir(parents=True)
    files = sorted(path for path in raw.glob("*/*") if path.is_file())
    for number in range(tars):
        with tarfile.open(target / f"{number:02}.tar", "w") as archive:
            for path in files[number::tars]:
                archive.add(path, path.relative_to(raw).as_posix())
    return len(files), sum(path.stat().st_size for path in files)


def _project(folder: Path, client: object, tars: Path) -> None:
    """Put the tars into the bucket, and link them."""
    folder.mkdir()
    write_params(folder)
    (folder / "dvc.yaml").write_text("stages: {}", encoding="utf-8")  # it makes a project
    for path in sorted(tars.iterdir()):
        client.upload_file(str(path), "bench", f"set/{path.name}")  # type: ignore[attr-defined]
    os.chdir(folder)
    if rootstock(["data", "link", "s3://bench/set", "raw"]) != 0:
        raise SystemExit("it cannot be linked")


def _build(folder: Path) -> float:
    start = time.monotonic()
    settings = {"transform": {"size_px": 224, "shard_rows": 32}}
    if run_clean(folder, **settings) or run_transform(folder):
        raise SystemExit("a stage failed")
    return time.monotonic() - start


def _made(folder: Path) -> list[str]:
    files = [folder / "out/manifest.parquet", *sorted((folder / "out/store").iterdir())]
    return [sha256_file(path) for path in files]


if __name__ == "__main__":
    main()
