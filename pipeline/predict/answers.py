"""The row of every file, in their order, from a model at work."""

import hashlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any, Never, TypeAlias

from tqdm import tqdm

from pipeline.compute.engine import MachineParams, progress
from pipeline.modality.shown.inputs import item_input
from pipeline.predict.inputs import Input
from pipeline.raw.source import RawFault, read_raw
from pipeline.version.process.resident import Resident

Row: TypeAlias = dict[str, Any]


def answer_rows(
    resident: Resident, files: Sequence[Input], machine: MachineParams
) -> Generator[Row, None, None]:
    """Yield the row of every file, in their order.

    Args:
        resident: The model.
        files: Read here.
        machine: Progress.
    """
    reader = _Reader(files, resident.limits.bytes)
    bar: tqdm[Never] = progress(
        (), machine, total=len(files), title="predict", unit=called(resident)
    )
    with bar, closing(resident.stream(reader.contents())) as predictions:
        for prediction in predictions:
            while (row := reader.rows.popleft())["error"] is not None:
                bar.update()
                yield row
            bar.update()
            yield row | prediction
        bar.update(len(reader.rows))
    yield from reader.rows


def called(resident: Resident) -> str:
    """Return what people call the items that a model takes."""
    item = item_input(resident.folder.modality)
    return item.many if item.is_text else "files"


class _Reader:
    """Reads files, and remembers in `rows` what it found, as far as nobody has taken it.

    Args:
        files: What is read.
        max_bytes: Of a file that could be an item.
    """

    def __init__(self, files: Sequence[Input], max_bytes: int) -> None:
        self.rows: deque[Row] = deque()
        self._files = files
        self._max_bytes = max_bytes

    def contents(self) -> Iterator[bytes]:
        """Yield the bytes of those that can be read; each after its row."""
        for file in self._files:
            row, content = self._read(file)
            self.rows.append(row)
            if content is not None:
                yield content

    def _read(self, file: Input) -> tuple[Row, bytes | None]:
        row: Row = {"path": file.path, "id": None, "error": file.fault}
        if file.fault is not None:
            return row, None
        try:
            content = read_raw(file.root, file.inner, self._max_bytes)
        except RawFault as fault:
            return row | {"id": fault.sha256, "error": str(fault)}, None
        return row | {"id": hashlib.sha256(content).hexdigest()}, content
