"""Predictions on the machines of a cluster: the model is in each process."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial

import pyarrow as pa

from pipeline.compute.engine import LARGE, Checked, MachineParams, Share, map_in_order
from pipeline.compute.identity import check_fingerprint
from pipeline.ground.errors import MachineError
from pipeline.ground.files import sha256_json
from pipeline.predict.answers import Row, answer_rows
from pipeline.predict.inputs import Input
from pipeline.predict.rows import schema_of, to_table
from pipeline.version.fetch import ModelFolder
from pipeline.version.process.resident import Resident, ResidentDied, ResidentOptions

_MOST_SEEN = 64
"""Folders whose first file every machine must see."""

_QUIET = MachineParams.alone(workers=1, progress="none")

Files = tuple[Input, ...]


@dataclass(frozen=True)
class FarModel:
    """A model that every machine opens.

    Attributes:
        folder: It, on the shared file system.
        options: How it is run.
        fingerprint: By which it computes on the first machine.
        seen: Some of the files, one of each folder.
        stamp: A digest of what the first machine's file system says of them.
    """

    folder: ModelFolder
    options: ResidentOptions
    fingerprint: Mapping[str, str | int]
    seen: Files
    stamp: str


def far_model(resident: Resident, files: Sequence[Input], options: ResidentOptions) -> FarModel:
    """Return a model that is at work here, for other machines.

    Args:
        resident: The model.
        files: What is predicted.
        options: How each process runs it.
    """
    first = {file.root: file for file in reversed(files)}
    seen = tuple(first.values())[-_MOST_SEEN:]
    fingerprint = resident.describe()["fingerprint"]
    return FarModel(resident.folder, options, fingerprint, seen, _stamp(seen))


def far_tables(
    work: FarModel, chunks: Sequence[Files], machine: MachineParams
) -> Iterator[pa.Table]:
    """Yield the rows of chunks of files, in order.

    Raises:
        MachineError: No machine of the cluster can do it.
        ResidentDied: The model ended twice over a chunk.
    """
    facts = work.fingerprint
    share = Share(int(facts["threads"]), int(facts["device"] not in ("cpu", "mps")))
    function = Checked(partial(_table, work), partial(_bits, work), share, LARGE)
    return map_in_order(function, chunks, machine, title="predict")


def _table(work: FarModel, files: Files) -> pa.Table:
    try:
        rows = _rows(work, files)
    except ResidentDied:  # as when memory is short for a moment
        rows = _rows(work, files)
    return to_table(rows, schema_of(_resident(work.folder, work.options).describe()))


def _rows(work: FarModel, files: Files) -> list[Row]:
    resident = _resident(work.folder, work.options)
    try:
        with closing(answer_rows(resident, files, _QUIET)) as rows:
            return list(rows)
    except ResidentDied:
        _resident.cache_clear()
        raise


@lru_cache(maxsize=1)
def _resident(folder: ModelFolder, options: ResidentOptions) -> Resident:
    return Resident(folder, options)  # it ends with this process


def _bits(work: FarModel, files: Files) -> str:
    """Return a SHA-256 over the answers to a first batch of files.

    Raises:
        MachineError: This machine does not see the files, or computes by another fingerprint.
    """
    if _stamp(work.seen) != work.stamp:
        raise MachineError(
            ", ".join(sorted({str(each.root) for each in work.seen})),
            "must be what the first machine sees there",
        )
    about = _resident(work.folder, work.options).describe()
    check_fingerprint(about["fingerprint"], work.fingerprint)
    rows = _rows(work, files[: about["batch_size"]])
    return sha256_json([row for row in rows if row["error"] is None])


def _stamp(files: Files) -> str:
    return sha256_json([file.stamp() for file in files])
