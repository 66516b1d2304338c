"""Bad pictures, row by row of the table of faults, through `predict`: a row each, none ends it."""

import shutil

import pandas as pd
import pytest

from tests.fault.test_picture_table import BAD, GOOD, fill
from tests.support.packed import pack_folder
from tests.support.predicting import predict_to, tiny_resident

TRAINING_ALONE = {name for name in BAD if name[:2] in ("24", "25", "26")}
"""Refused by params of `clean`: fit to be looked at, and not to learn from."""

MAX_PIXELS = 50_000_000


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Give the rows of the table by their names: loose, in a tar, in a zip."""
    folder = tmp_path_factory.mktemp("predict-table")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fill(folder / "raw")
        pack_folder(folder / "raw", folder / "a.tar")
        pack_folder(folder / "raw", folder / "a.zip")
        with tiny_resident(folder, max_pixels=MAX_PIXELS) as (resident, _):
            found = {}
            for given in ("raw", "a.tar", "a.zip"):
                output = folder / f"{given}.parquet"
                predict_to(output, resident, given, max_pixels=MAX_PIXELS)
                found[given] = pd.read_parquet(output)
        shutil.rmtree(folder / "raw")
    return found


@pytest.fixture(params=["raw", "a.tar", "a.zip"])
def table(request, tables):
    return tables[request.param]


def row(table, name):
    (found,) = table[table["path"].str.endswith(f"/{name}.jpg")].to_dict("records")
    return found


@pytest.mark.parametrize("name", sorted(BAD.keys() - TRAINING_ALONE))
def test_bad(table, name):
    found = row(table, name)
    _, reason, detail = BAD[name]
    assert found["error"].startswith(f"{reason}: ")
    assert detail in found["error"]
    assert pd.isna([found[name] for name in ("label", "confidence", "p_a/b", "p_c")]).all()
    assert len(found["id"]) == 64


@pytest.mark.parametrize("name", sorted(GOOD.keys() | TRAINING_ALONE))
def test_good(table, name):
    found = row(table, name)
    assert pd.isna(found["error"])
    assert found["label"] in ("a/b", "c")
    assert found["p_a/b"] + found["p_c"] == pytest.approx(1.0)


def test_every_file_has_one_row_and_loose_and_packed_say_the_same(tables):
    loose = tables["raw"]
    assert len(loose) == len(BAD) + len(GOOD) + 44
    assert loose["path"].is_monotonic_increasing
    assert not loose["path"].str.contains("DS_Store|Thumbs|MACOSX").any()
    for archive in ("a.tar", "a.zip"):
        other = tables[archive]
        assert list(other["path"]) == [path.replace("raw", archive, 1) for path in loose["path"]]
        pd.testing.assert_frame_equal(other.drop(columns="path"), loose.drop(columns="path"))
