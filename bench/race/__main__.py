"""The race: our recipes and those of others, on the same pictures, splits, weights and machine.

    python -m bench.race [--quick] [--only NAME ...] [--seeds N ...] [--peers-python PATH]

Needs the artifacts of a finished `make repro`. Each contestant is a process of its own and is run
one after the other; one whose results lie in docs/race is not run again. Peers get an environment
of their own under .rootstock/race/peers, made on the first run from bench/race/peers.txt (about
6 GB). The whole takes about an hour and a half on 2 cores. `python -m bench.race.report` draws what
there is.
"""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.race.export import export
from bench.race.report import RESULTS, write_report

FOLDER = Path(".rootstock/race")
FRACTIONS = (0.05, 0.1, 0.25, 0.5)
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Contestant:
    """One process.

    Attributes:
        name: Of its file, and in tables.
        module: What runs.
        arguments: Besides data, place and seed.
        is_ours: Whether it runs in our environment.
        seed: Of everything random in it.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    is_ours: bool = False
    seed: int = 1

    @property
    def file(self) -> Path:
        """Where it writes."""
        return RESULTS / f"{self.name}-{self.seed}.jsonl"


def contestants() -> list[Contestant]:
    """Return all, those first that the others are compared with."""
    ours = [
        Contestant(recipe, "ours", ("--recipe", recipe), is_ours=True, seed=seed)
        for seed in SEEDS
        for recipe in ("head", "top")
    ]
    peers = [
        Contestant("plain", "plain"),
        Contestant("fastai", "with_fastai"),
        Contestant("transformers", "with_transformers", ("--lr", "0.0005")),
        Contestant("transformers-2e-5", "with_transformers", ("--lr", "0.00002")),
    ]
    curve = [
        Contestant(f"{name}@{part}", module, (*arguments, "--fraction", str(part)), is_ours, seed)
        for part in (*FRACTIONS, 1.0)
        for name, module, arguments, is_ours, seeds in (
            ("top", "ours", ("--recipe", "top", "--keep", str(FOLDER / "features")), True, SEEDS),
            ("scratch", "plain", ("--random",), False, SEEDS[:1]),
        )
        for seed in seeds
        if not (part == 1.0 and is_ours)  # that is `top`
    ]
    return [*ours, *peers, *curve]


def main() -> None:
    """Run who has not run yet, and draw."""
    parser = argparse.ArgumentParser("python -m bench.race")
    parser.add_argument("--quick", action="store_true", help="one epoch on 5 %% each: does it run?")
    parser.add_argument("--only", nargs="+", help="names of contestants")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--peers-python", type=Path, help="of an environment that is there")
    options = parser.parse_args()
    data = FOLDER / "data"
    if not (data / "facts.json").exists():
        export(Path("artifacts"), data)
    python = options.peers_python or _environment()
    for each in contestants():
        if each.seed not in options.seeds or each.name not in (options.only or [each.name]):
            continue
        out = FOLDER / "quick" / each.file.name if options.quick else each.file
        if out.exists() or (options.quick and each.seed != 1):
            continue
        out.parent.mkdir(parents=True, exist_ok=True)
        short = ("--epochs", "1", "--fraction", "0.05") if options.quick else ()
        arguments = [*each.arguments, "--data", data, "--out", out, "--seed", each.seed, *short]
        print(f"== {each.name}, seed {each.seed}", flush=True)
        interpreter = sys.executable if each.is_ours else python
        command = [interpreter, "-W", "ignore", "-m", f"bench.race.{each.module}", *arguments]
        subprocess.run([str(word) for word in command], check=True)
    if not options.quick:
        write_report(RESULTS)


def _environment() -> Path:
    """Make the environment of the peers, and give its python."""
    folder = FOLDER / "peers"
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        wanted = Path(__file__).with_name("peers.txt")
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "-r", str(wanted)], check=True
        )
    return python


if __name__ == "__main__":
    main()
