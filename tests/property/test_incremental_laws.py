"""After any edits in any order, a build on top of the last has the bytes of one from nothing."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.compute.engine import MachineParams
from pipeline.ground.files import sha256_file
from pipeline.picture.shelf.params import TransformParams
from pipeline.store.store import Store
from pipeline.store.unfinished import Builds
from pipeline.store.writer import write_store
from tests.support.encoding import encoding

PARAMS = TransformParams(
    size_px=8,
    resize="squash",
    interpolation="bilinear",
    background=(0, 0, 0),
    white16=65535,
    shard_rows=3,
)
ONE = MachineParams.alone(workers=1, progress="none")
NAMES = [f"{folder}/{number:02d}.png" for folder in "abc" for number in range(8)]

edits = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.sampled_from(["put", "remove", "relabel", "rename"]),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=6,
    ),
    min_size=2,
    max_size=5,
)


def picture(name, version):
    seed = [*name.encode(), version]
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def apply(raw, labels, name, action, version):
    """Change one file or its label."""
    path = raw / name
    if action == "put" or not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(name, version))
    elif action == "remove":
        path.unlink()
    elif action == "rename":
        path.replace(path.with_name(f"{version}-{path.name}"))
    else:
        labels[name] = str(version)


def rows_of(raw, labels):
    """Give the kept rows of a manifest: of equal files one."""
    files = sorted(raw.rglob("*.png"))
    names = [file.relative_to(raw).as_posix() for file in files]
    table = pd.DataFrame(
        {
            "path": names,
            "id": [sha256_file(file) for file in files],
            "label": [labels.get(name, "a") for name in names],
            "split": "train",
            "group": None,
            "weight": 1.0,
        }
    )
    return table.drop_duplicates("id").sort_values("path", ignore_index=True)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(start=st.sets(st.sampled_from(NAMES), min_size=4), steps=edits)
def test_edits_in_any_order_give_the_bytes_of_a_build_from_nothing(start, steps):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw, labels, old = folder / "raw", {}, None
        for each in start:
            apply(raw, labels, each, "put", 0)
        for number, step in enumerate([[], *steps]):
            for each, action, version in step:
                apply(raw, labels, each, action, version)
            rows = rows_of(raw, labels)
            if rows.empty:
                break
            new = folder / f"store-{number}"
            write_store(new, rows, encoding(PARAMS), raw=raw, machine=ONE, before=Builds(old))
            write_store(folder / "scratch", rows, encoding(PARAMS), raw=raw, machine=ONE)
            assert contents(new) == contents(folder / "scratch")
            assert len(Store.open(new)) == len(rows)
            old = new


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(names=st.sets(st.sampled_from(NAMES), min_size=6), data=st.data())
def test_the_way_to_an_item_set_leaves_no_trace(names, data):
    """Two ways to the same files, one by adding and one by removing, meet in the same bytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for way in ("more", "less"):
            for each in names if way == "less" else sorted(names)[:3]:
                apply(folder / way, {}, each, "put", 0)
            first = folder / f"{way}-0"
            write_store(
                first, rows_of(folder / way, {}), encoding(PARAMS), raw=folder / way, machine=ONE
            )
        wanted = data.draw(st.sets(st.sampled_from(sorted(names)), min_size=1))
        for way in ("more", "less"):
            for each in names:
                path = folder / way / each
                if each in wanted and not path.exists():
                    apply(folder / way, {}, each, "put", 0)
                elif each not in wanted and path.exists():
                    path.unlink()
            write_store(
                folder / f"{way}-1",
                rows_of(folder / way, {}),
                encoding(PARAMS),
                raw=folder / way,
                machine=ONE,
                before=Builds(folder / f"{way}-0"),
            )
        assert contents(folder / "more-1") == contents(folder / "less-1")
