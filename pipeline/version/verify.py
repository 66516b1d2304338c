"""Prove that a registered version works elsewhere, and predicts what was evaluated.

A fresh process, in an empty folder, without the repository on its path and with pickle off, loads
the version and predicts test items from their raw files. What it gives must equal
predictions.parquet: to the bit under the same numeric fingerprint, else within `tolerance`, with
equal labels wherever the difference cannot have turned one. Which of the two was asked is told.
"""

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.ground.errors import DataError, IntegrityError
from pipeline.ground.tables import read_table
from pipeline.ground.tasks import number_columns
from pipeline.judge.tolerance import tolerance
from pipeline.modality.shown.inputs import item_input
from pipeline.modality.table import read_modality
from pipeline.raw.source import RawFault, read_raw
from pipeline.version.process import isolation
from pipeline.version.process import load_alone as fresh

log = logging.getLogger(__name__)

_TIMEOUT_S = 1800
_BATCH = 64


@dataclass(frozen=True)
class Evaluated:
    """What evaluation said of the test items, and under which fingerprint."""

    predictions: Path
    raw: Path
    bundle: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """How two sets of predictions of the same items compare."""

    is_exact: bool
    """Whether equality to the bit was asked for."""

    largest: float
    wrong: tuple[str, ...]
    """Paths of items that are not equal in that sense."""

    items: int

    sense: str
    """What was asked for, in words."""

    def __str__(self) -> str:
        return f"{self.items} items {self.sense}, largest difference {self.largest:.3g}"


def verify(
    uri: str, evaluated: Evaluated, *, items: int, environment: dict[str, str]
) -> Comparison:
    """Predict test items with a registered version in a fresh process, and compare.

    Args:
        uri: `models:/<name>/<version>`.
        evaluated: What to compare with.
        items: At most so many items, chosen by their ids.
        environment: Further environment variables: where the registry is.

    Raises:
        IntegrityError: The version does not load, or predicts something else.
        DataError: The raw files are not there.
    """
    table = choose_items(read_table(evaluated.predictions), items)
    with tempfile.TemporaryDirectory(prefix="rootstock-verify-") as name:
        folder = Path(name).resolve()
        paths = own_files(table, evaluated.raw, folder, read_modality(evaluated.bundle))
        answer = ask(uri, paths, environment, folder)
    is_exact = answer["fingerprint"] == evaluated.bundle["fingerprint"]
    comparison = compare(table, answer["rows"], evaluated.bundle, is_exact=is_exact)
    if comparison.wrong:
        raise IntegrityError(
            uri,
            f"does not predict what was evaluated: {len(comparison.wrong)} of {comparison.items} "
            f"items are not {comparison.sense}, first "
            f"{comparison.wrong[0]}, largest difference {comparison.largest:.3g}",
            remedy="run `dvc repro --force evaluate`; if it stays, the served code differs",
        )
    return comparison


def choose_items(predictions: pd.DataFrame, items: int) -> pd.DataFrame:
    """Return up to `items` rows of the test split: a sample that its ids alone decide."""
    test = predictions[predictions["split"] == "test"]
    return test.sort_values(["id", "path"]).head(items).reset_index(drop=True)


def compare(
    table: pd.DataFrame, rows: list[dict[str, Any]], bundle: dict[str, Any], *, is_exact: bool
) -> Comparison:
    """Compare rows that a model gave with the rows of predictions.parquet.

    Args:
        table: Rows of predictions.parquet.
        rows: What the model gave for the same items, in the same order.
        bundle: bundle.json.
        is_exact: Ask for equality to the bit.
    """
    columns = output_columns(bundle)
    unit = 1.0 if bundle["task"] == "classification" else float(bundle["target_std"])
    expected = table[columns].to_numpy(np.float64)
    got = np.array([[_number(row.get(name)) for name in columns] for row in rows])
    difference = np.abs(got - expected) / unit
    limit = 0.0 if is_exact else tolerance(bundle)
    sense = "equal to the bit" if is_exact else f"within {limit:g}"
    is_wrong = ~(difference <= limit).all(axis=1)  # NaN, from an item not read, is wrong
    if bundle["task"] == "classification":
        labels = np.array([row.get("label") for row in rows], dtype=object)
        is_other = labels != table["predicted"].to_numpy(object)
        top = np.sort(expected, axis=1)
        is_clear = top[:, -1] - top[:, -2] > 2 * limit
        is_wrong |= is_other & is_clear
    wrong = tuple(table["path"][is_wrong])
    largest = float(np.max(difference, initial=0.0))
    return Comparison(is_exact, largest, wrong, len(table), sense)


def output_columns(bundle: dict[str, Any]) -> list[str]:
    """Return the numbers of a prediction, by their columns: of each class, or the value."""
    return number_columns(bundle["classes"])


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def own_files(table: pd.DataFrame, raw: Path, folder: Path, modality: str) -> list[str]:
    """Check raw files, and copy them: a fresh process knows nothing of archives.

    They are read in the order of their paths, as containers are fastest.

    Args:
        table: `path` and `id` of each.
        raw: The raw folder.
        folder: Where the copies go; gets a folder `items`.
        modality: Of the items.

    Raises:
        DataError: One is not there.
        IntegrityError: One has another digest than its `id`.
    """
    item = item_input(modality)
    max_bytes = item.limits(item.most, item.seconds).bytes
    (folder / "items").mkdir()
    copies = [folder / "items" / str(number) for number in range(len(table))]
    for path, digest, copy in sorted(zip(table["path"], table["id"], copies, strict=True)):
        try:
            content = read_raw(raw, path, max_bytes)
        except RawFault as fault:
            raise DataError(
                raw / path, fault.detail, remedy="run `dvc pull --with-deps publish`"
            ) from fault
        if hashlib.sha256(content).hexdigest() != digest:
            raise IntegrityError(
                raw / path, "differs from the file that was evaluated", remedy="run `dvc repro`"
            )
        copy.write_bytes(content)
    return list(map(str, copies))


def ask(
    uri: str, paths: list[str], environment: dict[str, str], folder: Path, *, alone: int = 0
) -> dict[str, Any]:
    """Run `fresh.py` in a folder of its own, and give its answer.

    Args:
        uri: `models:/<name>/<version>`.
        paths: Of items.
        environment: Further environment variables: where the registry is.
        folder: An empty one.
        alone: So many items are predicted once more, each alone, to time it.

    Raises:
        IntegrityError: The version does not load, or does not predict.
    """
    (folder / "model").mkdir()
    for module in (fresh, isolation):
        shutil.copy(str(module.__file__), folder)
    request = {
        "uri": uri,
        "folder": str(folder / "model"),
        "repository": str(Path(__file__).resolve().parents[2]),
        "paths": paths,
        "batch": _BATCH,
        "alone": alone,
    }
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    command = [sys.executable, "-I", "load_alone.py", "request.json", "answer.json"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise IntegrityError(uri, f"did not answer within {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        log.warning("%s", done.stderr)
        raise IntegrityError(uri, f"does not load and predict in a fresh process: {lines[-1]}")
    answer: dict[str, Any] = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    return answer
