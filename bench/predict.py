"""`rootstock predict` from PNG files, against feature extraction from the uint8 store.

Conditions: the model of artifacts/train, by the present code, with its batch size, threads and
precision; with all its views, and with one. Both take turns on the same pictures, `IMAGES` forward
passes of a picture in a round. `features` is what the stage computes: rows of the store, each view
through backbone and pooling, in this process. `predict` is the command without its start: files
found, read and hashed, sent to the version's process, decoded there in processes of their own,
predicted, and the table written. CPU seconds are those of all processes that take part: what can
be compared on a machine that others use too.

    python -m bench.predict          # in a repository where `rootstock repro` has run
"""

import shutil
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import torch

from pipeline.compute.engine import MachineParams
from pipeline.ground.files import read_json, write_json
from pipeline.model.bundle import Predictor
from pipeline.picture.net.augment import orient
from pipeline.picture.read.decode import MAX_PIXELS
from pipeline.picture.read.limits import SECONDS
from pipeline.predict.inputs import find_inputs
from pipeline.predict.run import Options, predict_files
from pipeline.store.store import Store
from pipeline.version.fetch import fetch_model
from pipeline.version.process.resident import Resident, ResidentOptions

TRAINED, STORE, RAW = Path("artifacts/train"), Path("artifacts/transform/store"), "data/elpv/raw"
IMAGES, ROUNDS = 4096, 3
PAUSE_S = 0.5
"""Between the two: threads spin for a while after their work is done."""


def extract(predictor: Predictor, store: Store, rows: np.ndarray) -> None:
    """Compute the pooled features of every view of some rows."""
    network, bundle, runtime = predictor.network, predictor.bundle, predictor.runtime
    for start in range(0, len(rows), bundle.batch_size):
        part = store.read(rows[start : start + bundle.batch_size])
        with torch.inference_mode(), runtime.autocast():
            images = torch.from_numpy(part).to(runtime.device)
            for code in bundle.views:
                network.pooled(orient(images, code)).float().cpu().numpy()


def cpu_seconds(resident: Resident) -> float:
    """Return what this process, the resident and its decoders have computed so far."""
    other = psutil.Process(resident.pid)
    taken = [psutil.Process(), other, *other.children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in taken)


def compare(folder: Path, scratch: Path, machine: MachineParams) -> None:
    """Print pictures a second of both, for one number of views."""
    model = fetch_model(str(folder))
    predictor = Predictor.load(model.model, model.bundle)
    store = Store.open(STORE)
    bundle = predictor.bundle
    count = min(IMAGES // len(bundle.views), len(store)) // bundle.batch_size
    rows = np.arange(count * bundle.batch_size)
    files = [f"{RAW}/{path}" for path in store.index["path"].iloc[rows]]
    options = Options(scratch / "out.csv", True, machine, None, MAX_PIXELS, SECONDS)
    with closing(Resident(model, ResidentOptions(machine.count_workers()))) as resident:

        def predict() -> None:
            predict_files(resident, find_inputs(files), options)

        calls = {"features": lambda: extract(predictor, store, rows), "predict": predict}
        rates: dict[str, list[float]] = {name: [] for name in calls}
        costs: dict[str, list[float]] = {name: [] for name in calls}
        for number in range(ROUNDS + 1):
            for name, call in calls.items():
                time.sleep(PAUSE_S)
                start, spent = time.perf_counter(), cpu_seconds(resident)
                call()
                seconds, spent = time.perf_counter() - start, cpu_seconds(resident) - spent
                if number:
                    rates[name].append(len(rows) / seconds)
                    costs[name].append(1000 * spent / len(rows))
    print(
        f"{bundle.architecture}, {bundle.decode.size_px} px, batch {bundle.batch_size}, "
        f"{bundle.precision}, {bundle.threads} threads, {machine.count_workers()} decoders, "
        f"{len(bundle.views)} views, {len(rows)} pictures a round, {ROUNDS} rounds"
    )
    for name, found in rates.items():
        middle = statistics.median(found)
        print(
            f"  {name:10} best {max(found):7.1f} pictures/s   median {middle:7.1f}   "
            f"{min(costs[name]):6.1f} ms of CPU a picture"
        )
    best, median = (
        pick(rates["predict"]) / pick(rates["features"]) for pick in (max, statistics.median)
    )
    cost = min(costs["features"]) / min(costs["predict"])
    print(
        f"  predict is {best:.2f} of features by the best, {median:.2f} by the median, "
        f"{cost:.2f} by CPU seconds"
    )


def main() -> None:
    """Compare with all views of the model, and with one."""
    machine = MachineParams.alone(workers="auto", progress="none")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        single = shutil.copytree(TRAINED, scratch / "single")
        write_json(single / "bundle.json", read_json(single / "bundle.json") | {"views": [0]})
        for folder in (TRAINED, single):
            compare(folder, scratch, machine)


if __name__ == "__main__":
    main()
