"""Memory for each of many items, while they are listed and joined with the rows of a label file."""

import tarfile
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from pipeline.clean.table import list_items
from pipeline.raw.items import find_items
from pipeline.store.spill import Spill

MEMBERS = 4_096
"""Of a tar: while one is listed, its members are in memory."""


def write_set(folder, tars, *, prefix=True):
    """Write tars of empty members, and a label file with a row for each member."""
    folder.mkdir()
    header = np.frombuffer(tarfile.TarInfo("class-0/000000.jpg").tobuf(), np.uint8)
    lines = ["path,label,note"]
    for tar in range(tars):
        numbers = np.arange(tar * MEMBERS, (tar + 1) * MEMBERS)
        blocks = np.tile(header, (MEMBERS, 1))
        for digit in range(6):
            blocks[:, 8 + digit] = ord("0") + numbers // 10 ** (5 - digit) % 10
        blocks[:, 148:156] = ord(" ")
        sums = blocks.sum(axis=1, dtype=np.int64)
        blocks[:, 148:156] = (
            np.array([b"%06o\0 " % each for each in sums]).view(np.uint8).reshape(-1, 8)
        )
        (folder / f"{tar:02}.tar").write_bytes(blocks.tobytes() + bytes(1024))
        home = f"{tar:02}.tar/" if prefix else ""
        lines += [f"{home}class-0/{each:06}.jpg,{each % 3},note" for each in numbers]
    (folder / "labels.csv").write_text("\n".join(lines))


def peak_bytes(folder, tars):
    """List a set and lay it into columns; give the most that Python and Arrow held."""
    pool = pa.system_memory_pool()
    before, old = pool.max_memory(), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        with Spill(folder) as spill:
            listed = list_items(find_items(folder, folder, target="label", place=spill))
        assert len(listed.table) == tars * MEMBERS
        assert listed.table["label"].notna().all()
        return tracemalloc.get_traced_memory()[1] + pool.max_memory() - before
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(old)


@pytest.mark.parametrize("prefix", [True, False])
def test_an_item_takes_less_memory_than_its_path_as_an_object_does(tmp_path, prefix):
    """Rows name members with their tar, or as they are called in it."""
    peaks = []
    for tars in (1, 3):
        write_set(tmp_path / f"{tars}", tars, prefix=prefix)
        peaks.append(peak_bytes(tmp_path / f"{tars}", tars))
    assert (peaks[1] - peaks[0]) / (2 * MEMBERS) < 200
