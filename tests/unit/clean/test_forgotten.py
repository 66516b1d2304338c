"""What was forgotten is not used again: by its bytes, or by what they decode to."""

import hashlib

import pytest
from PIL import Image

from pipeline.clean.case import Rules
from pipeline.clean.page.samples import choose
from pipeline.clean.run import clean_items
from pipeline.clean.table import list_items
from pipeline.ground.errors import DataError
from pipeline.manifest.forgotten import (
    Forgetting,
    forgotten_folder,
    read_forgettings,
    write_forgetting,
)
from pipeline.raw.items import find_items
from tests.support.rawfolder import MACHINE, SPLIT, class_folders, clean_params


def cleaned(raw, review):
    rules = Rules.read("classification", clean_params(), SPLIT, review=review, raw=raw)
    listed = list_items(find_items(raw, raw, target="label"))
    return clean_items(raw, listed, rules, MACHINE), rules


def forget(raw, review, path):
    """Forget an item as the command does."""
    found, _ = cleaned(raw, review)
    row = found.table.set_index("path").loc[path]
    decision = Forgetting("a", "2026-01-01T00:00:00Z", "asked", ((row["id"], row["content_hash"]),))
    return write_forgetting(review, decision)


@pytest.fixture
def raw(tmp_path):
    return class_folders(tmp_path / "mine" / "raw")


def test_an_item_that_comes_back_under_another_name_is_left_out(raw, tmp_path):
    file = forget(raw, tmp_path / "review", "cat/03.png")
    assert "cat" not in file.read_text() + file.name
    (raw / "cat/03.png").rename(raw / "cat/zz.png")
    Image.open(raw / "cat/zz.png").save(raw / "dog/other.bmp")  # other bytes, the same pixels
    found, _ = cleaned(raw, tmp_path / "review")
    rows = found.manifest.set_index("path")
    for path in ("cat/zz.png", "dog/other.bmp"):
        assert tuple(rows.loc[path, ["status", "reason"]]) == ("dropped", "forgotten")
    assert "2 items that were to be forgotten are in the raw data again" in str(found.report)
    assert found.report["bad_frac"] == 0


def test_no_page_shows_it(raw, tmp_path):
    forget(raw, tmp_path / "review", "cat/03.png")
    found, _ = cleaned(raw, tmp_path / "review")
    showcase = choose(found.table, "classification")
    assert [(each.code, each.n) for each in showcase.reasons] == [("forgotten", 1)]
    assert "cat/03.png" not in [each["path"] for each in showcase.rows()]


def test_a_decision_is_read_as_it_was_written_and_its_name_is_that_of_its_items(tmp_path):
    ids = tuple((hashlib.sha256(each).hexdigest(), None) for each in (b"a", b"b"))
    one = Forgetting("a", "t", "r", ids, ("0" * 32,), ("1" * 32,))
    write_forgetting(tmp_path, one)
    write_forgetting(tmp_path, Forgetting("b", "t", "r", ids[:1]))
    assert one in read_forgettings(tmp_path)
    assert len(read_forgettings(tmp_path)) == 2


@pytest.mark.parametrize(
    "text", ["", "{}", '{"items": []}', '{"items": [["x", null]], "objects": [], "manifests": []}']
)
def test_a_damaged_decision_stops_the_stage(raw, tmp_path, text):
    folder = forgotten_folder(tmp_path / "review")
    folder.mkdir(parents=True)
    (folder / "x.json").write_text(text)
    with pytest.raises(DataError, match="is no decision"):
        cleaned(raw, tmp_path / "review")
