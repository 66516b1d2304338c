"""Serve the demonstration's model: capacity, and minutes of mixed requests while versions change.

Conditions: loopback, client and server on the same cores. Two versions in a registry of their own:
the demonstration's model, and the same with a head scaled by 0.8. In one run, one after another:

1. a bare loop in one process that decodes and predicts test cells, at its best batch size;
2. `rootstock serve`: one client that asks for one picture after another; then many at once, as fast
   as they are answered (its capacity);
3. requests at 80 % of that for --minutes, at random times: pictures, JSON lists, hostile pictures,
   wrong types; the alias moves to the other version every minute. Every answer is checked: rows to
   1e-4 for the version that they name, refusals by their code;
4. `mlflow models serve` with the same model: as 2, with its own JSON.

Where other programs want the cores too, let waiting threads of all of them sleep soon:

    GOMP_SPINCOUNT=1000 python -m bench.serve [--minutes M] [--raw data/elpv/raw]
        [--train artifacts/train] [--predictions artifacts/evaluate/predictions.parquet]
"""

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from bench.serve.cells import bare, predict, read_cells, registry, scale_head
from bench.serve.servers import ours, theirs
from pipeline.ground.files import read_json


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--raw", type=Path, default=Path("data/elpv/raw"))
    parser.add_argument("--train", type=Path, default=Path("artifacts/train"))
    parser.add_argument(
        "--predictions", type=Path, default=Path("artifacts/evaluate/predictions.parquet")
    )
    arguments = parser.parse_args()
    raw, train = arguments.raw.resolve(), arguments.train.resolve()
    cells = read_cells(raw, arguments.predictions, read_json(train / "bundle.json")["classes"])
    with tempfile.TemporaryDirectory(prefix="rootstock-serve-") as name:
        folder = Path(name)
        os.environ |= {"DVC_ROOT": name, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
        other = scale_head(train, folder / "other")
        cells.expected["2"] = predict(other, cells)
        bare(train, cells)
        registry(folder, train, other)
        asyncio.run(ours(folder, cells, arguments.minutes))
        asyncio.run(theirs(folder, cells))


if __name__ == "__main__":
    main()
