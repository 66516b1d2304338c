"""Memory for each of many items, while they are listed and joined with the rows of a label file."""

import gc
import tracemalloc

import pyarrow as pa
import pytest

from pipeline.clean.table import list_items
from pipeline.raw.items import find_items
from pipeline.store.spill import Spill
from tests.support.many_items import write_set

MEMBERS = 4_096
"""Of a tar: while one is listed, its members are in memory."""


def peak_bytes(folder, tars):
    """List a set and lay it into columns; give the most that Python and Arrow held."""
    pool = pa.system_memory_pool()
    before, old = pool.max_memory(), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    gc.collect()
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
        write_set(tmp_path / f"{tars}", tars, members=MEMBERS, prefix=prefix)
        peaks.append(peak_bytes(tmp_path / f"{tars}", tars))
    assert (peaks[1] - peaks[0]) / (
        2 * MEMBERS
    ) < 400  # 170 and 150 alone; 1,192 when held in lists
