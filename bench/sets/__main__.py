"""Our pipeline and others on many data sets: same items, splits, weights, threads and machine.

    python -m bench.sets --sets FOLDER [--elpv] [--set NAME ...] [--only NAME ...] [--seeds N ...]
                         [--quick] [--peers-python PATH]

FOLDER holds a folder or tar file for each set. Each contestant is a process of its own and runs
after the other; one whose result lies in docs/sets is not run again. Peers get an environment of
their own under .rootstock/sets/peers, made when first needed from bench/sets/peers.txt (about 6
GB). `python -m bench.sets.report` writes the tables of what there is.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.sets.clock import THREADS
from bench.sets.report import RESULTS, write_report
from bench.sets.sources import Source, find_sources
from bench.sets.with_autogluon import LEFT_OUT

FOLDER = Path(".rootstock/sets")
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Contestant:
    """One process.

    Attributes:
        name: Of its file, and in tables.
        module: What runs.
        arguments: Besides data, place and seed.
        is_peer: Whether it runs in the peers' environment.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    is_peer: bool = False


CONTESTANTS = (
    Contestant("ours", "ours"),
    Contestant("head", "ours", ("--strategy", "head")),
    Contestant("probe", "probe"),
    Contestant("plain", "plain"),
    Contestant("timm", "with_timm"),
    Contestant("fastai", "with_fastai", is_peer=True),
    Contestant("transformers", "with_transformers", is_peer=True),
    Contestant("autogluon", "with_autogluon", is_peer=True),
)


class Runner:
    """Runs contestants one after the other.

    Attributes:
        failed: Who ended with an error, and on what.
    """

    def __init__(self, *, is_quick: bool, peers_python: Path | None) -> None:
        self._scratch = FOLDER / "quick" if is_quick else FOLDER
        self._results = self._scratch / "results" if is_quick else RESULTS
        self._is_quick, self._peers_python = is_quick, peers_python
        self.failed: list[str] = []

    def run(self, source: Source, seed: int, contestants: list[Contestant]) -> None:
        """Run those who have no result on a set with a seed."""
        results = self._results / source.name
        waiting = [each for each in contestants if not _file(results, each, seed).exists()]
        if not waiting:
            return
        results.mkdir(parents=True, exist_ok=True)
        data = self._scratch / "data" / source.name / str(seed)
        raw = source.unpack(self._scratch / "raw", is_quick=self._is_quick)
        what = f"{source.name}, seed {seed}"
        if self._call(sys.executable, "prepare", "--raw", raw, "--out", data, "--seed", seed):
            self.failed.append(f"prepare, {what}")
            return
        for each in waiting:
            print(f"== {each.name}, {what}", flush=True)
            python = self._peers() if each.is_peer else Path(sys.executable)
            out = _file(results, each, seed)
            short = ("--epochs", "1") if self._is_quick else ()
            places = ("--data", data, "--out", out, "--seed", seed)
            code = self._call(python, each.module, *places, *each.arguments, *short)
            if code == LEFT_OUT:
                print(f"-- {each.name} is left out", flush=True)
            elif code:
                self.failed.append(f"{each.name}, {what}")

    def _call(self, python: Path | str, module: str, *arguments: object) -> int:
        command = [python, "-W", "ignore", "-m", f"bench.sets.{module}", *arguments]
        threads = {"OMP_NUM_THREADS": str(THREADS), "MKL_NUM_THREADS": str(THREADS)}
        offline = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        environment = os.environ | threads | offline
        return subprocess.run(
            [str(word) for word in command], env=environment, check=False
        ).returncode

    def _peers(self) -> Path:
        """Return the python of the peers' environment, made where it is not there."""
        if self._peers_python is None:
            folder = FOLDER / "peers"
            self._peers_python = folder / "bin/python"
            if not self._peers_python.exists():
                subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
                wanted = Path(__file__).with_name("peers.txt")
                pip = [str(self._peers_python), "-m", "pip", "install", "--quiet"]
                subprocess.run([*pip, "-r", str(wanted)], check=True)
        return self._peers_python


def _file(results: Path, contestant: Contestant, seed: int) -> Path:
    return results / f"{contestant.name}-{seed}.jsonl"


def main() -> None:
    """Run who has not run yet, and write the report."""
    names = [each.name for each in CONTESTANTS]
    parser = argparse.ArgumentParser("python -m bench.sets")
    parser.add_argument("--sets", type=Path, help="the folder with a folder or tar file a set")
    parser.add_argument("--elpv", action="store_true", help="also the demonstration data")
    parser.add_argument("--set", nargs="+", help="only sets of these names")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--quick", action="store_true", help="one epoch, few items: does it run?")
    parser.add_argument("--peers-python", type=Path, help="of an environment that is there")
    options = parser.parse_args()
    if not (options.sets or options.elpv):
        parser.error("give --sets FOLDER, --elpv, or both")
    runner = Runner(is_quick=options.quick, peers_python=options.peers_python)
    chosen = [each for each in CONTESTANTS if each.name in options.only]
    sources = list(find_sources(options.sets, with_demonstration=options.elpv))
    for seed in options.seeds[:1] if options.quick else options.seeds:
        for source in sources:
            if source.name in (options.set or [source.name]):
                runner.run(source, seed, chosen)
    if not options.quick:
        write_report(RESULTS)
    if runner.failed:
        sys.exit("failed: " + "; ".join(runner.failed))


if __name__ == "__main__":
    main()
