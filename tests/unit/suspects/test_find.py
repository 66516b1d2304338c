"""What is wrong with a planted data set is found, ranked, shown and listed, and nothing changed."""

from dataclasses import replace

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.ground.errors import ParamsError
from pipeline.ground.files import sha256_file
from pipeline.ground.params import load_section, read_params
from pipeline.raw.visible import safe_line
from pipeline.suspects.find import find_suspects, summary
from pipeline.suspects.heldout import Setting, predict_held_out
from pipeline.suspects.params import SuspectsParams
from pipeline.suspects.sheets import draw_sheets
from pipeline.suspects.table import COLUMNS, REASONS, write_suspects
from pipeline.train.inputs import open_parts
from tests.support.closure import ROOT
from tests.support.trainable import QUIET, cpu, make_sources

FLIPPED = ("007.png", "020.png", "033.png", "045.png")
OF_TEST = ("008.png",)
BLACK, COPY, ORIGINAL = "050.png", "051.png", "011.png"


def params(**changes) -> SuspectsParams:
    path = ROOT / "params.yaml"
    raw = read_params(path)
    raw["suspects"] |= {"folds": 3, "epochs": 15, "neighbors": 3} | changes
    return load_section(raw, "suspects", SuspectsParams, path=path)


def plant(rows: pd.DataFrame, raw) -> pd.DataFrame:
    """Flip labels, one of test too; blacken a picture; put a brightened copy into another split."""
    labels = rows.set_index("path")["label"]
    for path in (*FLIPPED, *OF_TEST):
        labels[path] = "bright" if labels[path] == "dark" else "dark"
    Image.fromarray(np.zeros((40, 40, 3), dtype=np.uint8)).save(raw / BLACK)
    with Image.open(raw / ORIGINAL) as picture:
        Image.fromarray(np.clip(np.asarray(picture).astype(int) + 3, 0, 255).astype(np.uint8)).save(
            raw / COPY
        )
    rows = rows.assign(label=labels.to_numpy())
    rows["id"] = [sha256_file(raw / path) for path in rows["path"]]
    splits = rows.set_index("path")["split"]
    splits[[ORIGINAL, COPY]] = ["train", "val"]
    return rows.assign(split=splits.to_numpy())


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suspects") / "s"
    return make_sources(folder, items=80, change=lambda rows: plant(rows, folder / "raw"))


@pytest.fixture(scope="module")
def found(sources):
    return find_suspects(Setting("classification", open_parts(sources), params(), cpu(), QUIET))


def listed(found, reason, *, of_test=False):
    table = found.table
    mine = table[(table["reason"] == reason) & ((table["split"] == "test") == of_test)]
    assert mine["rank"].tolist() == list(range(1, len(mine) + 1))
    assert mine["score"].is_monotonic_decreasing
    return mine


def test_planted_flips_are_found_first_and_the_other_label_is_suggested(sources, found):
    first = listed(found, "label").head(len(FLIPPED))
    assert set(first["path"]) == set(FLIPPED)
    assert (first["label"] != first["suggested"]).all()
    assert first["detail"].str.contains(r"p\(bright\) 0\.\d+").all()


def test_items_of_the_test_split_are_marked_and_listed_after_all_others(found):
    assert listed(found, "label", of_test=True)["path"].tolist()[:1] == list(OF_TEST)
    is_test = (found.table["split"] == "test").tolist()
    assert is_test == sorted(is_test)
    assert found.report["suspects"]["label"]["test"] >= 1
    assert "biases every test metric" in found.report["note"]


def test_a_copy_in_another_split_is_a_look_alike_told_once(found):
    rows = listed(found, "look_alike")
    pair = rows[rows["path"].isin([ORIGINAL, COPY])]
    assert pair["path"].tolist()[:1] == [ORIGINAL]  # of train: val is more protected
    assert COPY not in pair["path"].tolist()
    assert f"with {COPY} (val, bright)" in pair["detail"].iloc[0]
    assert rows["rank"].tolist()[0] == 1


def test_a_black_picture_holds_little(found):
    poor = listed(found, "low_information")
    assert poor["path"].iloc[0] == BLACK
    assert poor["detail"].iloc[0].startswith("constant: ")
    assert found.report["low_information"]["constant"] == 1


def test_the_report_counts_and_estimates(sources, found):
    report = found.report
    assert report["items"] == 80
    assert 0.0 < report["noise"]["wrong"] < 0.25
    shares = [share for row in report["noise"]["given"].values() for share in row.values()]
    assert sum(shares) == pytest.approx(1.0, abs=1e-5)
    assert report["out_of_fold"]["accuracy"] > 0.8
    assert summary(report).startswith("suspects among 80 items: label ")


def test_no_row_is_listed_beyond_the_bound_and_all_are_counted(sources, found):
    fewer = find_suspects(
        Setting("classification", open_parts(sources), params(most=2), cpu(), QUIET)
    )
    assert fewer.report == found.report
    assert listed(fewer, "label")["path"].tolist() == listed(found, "label")["path"].tolist()[:2]


def write(found, parts, folder):
    folder.mkdir()
    write_suspects(folder / "s.parquet", csv=folder / "s.csv", table=found.table)
    few = found.table[found.table["rank"] <= 3]  # to draw a picture takes a twentieth of a second
    draw_sheets(folder / "sheets", few, parts.store)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_again_gives_the_same_bytes_and_changes_nothing(sources, found, tmp_path):
    before = {path: path.read_bytes() for path in sources.store.rglob("*")}
    parts = open_parts(sources)
    first = write(found, parts, tmp_path / "a")
    again = find_suspects(Setting("classification", parts, params(), cpu(), QUIET))
    assert write(again, parts, tmp_path / "b") == first
    assert again.report == found.report
    assert {path: path.read_bytes() for path in sources.store.rglob("*")} == before
    assert set(first) == {"s.parquet", "s.csv"} | {
        f"sheets/{reason}{part}.png" for reason in REASONS for part in ("", "-test")
    }
    for name in first:
        if name.endswith(".png"):
            assert min(matplotlib.image.imread(tmp_path / "a" / name).shape[:2]) > 50
    table = pd.read_parquet(tmp_path / "a/s.parquet")
    assert tuple(table.columns) == COLUMNS
    assert pd.read_csv(tmp_path / "a/s.csv")["path"].tolist() == table["path"].tolist()


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@a", "'@a"),
        ("\t=1", "\\t=1"),
        ("\r\n=1", "\\r\\n=1"),
        ("a=1", "a=1"),
        ("caf\u00e9 x", "caf\u00e9 x"),
    ],
)
def test_a_cell_is_one_line_and_never_a_formula(text, cell, found, tmp_path):
    assert safe_line(text) == cell
    hostile = found.table.assign(path=text, label=text, suggested=text)
    write_suspects(tmp_path / "s.parquet", csv=tmp_path / "s.csv", table=hostile)
    read = pd.read_csv(tmp_path / "s.csv", keep_default_na=False)
    assert len(read) == len(hostile)
    for column in ("path", "label", "suggested", "detail"):
        assert not read[column].str.startswith(("=", "+", "-", "@", "\t", "\r")).any()
    assert pd.read_parquet(tmp_path / "s.parquet")["path"].tolist() == [text] * len(read)


def test_every_item_is_judged_by_a_head_that_did_not_see_it(sources):
    parts = open_parts(sources)
    held_out = predict_held_out(Setting("classification", parts, params(), cpu(), QUIET))
    assert held_out.served.shape == (80, 2)
    assert held_out.served.sum(axis=1) == pytest.approx(np.ones(80))
    index = parts.store.index
    flipped = index["label"].map({"bright": "dark", "dark": "bright"})
    row = 5  # its own label changes what the others' heads say, and not what is said of it
    labels = index["label"].where(index.index != row, flipped)
    changed = replace(parts, store=replace(parts.store, index=index.assign(label=labels)))
    again = predict_held_out(Setting("classification", changed, params(), cpu(), QUIET))
    assert again.served[row].argmax() == held_out.served[row].argmax()


def test_regression(tmp_path):
    def labels(number, level):
        return str(level + (300 if number == 22 else 0))

    sources = make_sources(tmp_path / "s", items=60, labels=labels)
    parts = open_parts(sources)
    found = find_suspects(Setting("regression", parts, params(), cpu(), QUIET))
    first = listed(found, "label").iloc[0]
    assert first["path"] == "022.png"
    assert float(first["suggested"]) < float(first["label"])
    assert found.report["out_of_fold"]["mae"] > 0
    assert "noise" not in found.report
    draw_sheets(tmp_path / "sheets", found.table.head(2), parts.store)


def test_without_pooled_features_the_param_is_named(tmp_path):
    sources = make_sources(tmp_path / "s", items=20, pooled=False)
    with pytest.raises(ParamsError, match=r"features\.pooled.*suspects"):
        find_suspects(Setting("classification", open_parts(sources), params(), cpu(), QUIET))


def test_too_many_folds_are_told_by_their_own_name(sources):
    with pytest.raises(ParamsError, match=r"suspects\.folds: must be below"):
        predict_held_out(
            Setting("classification", open_parts(sources), params(folds=60), cpu(), QUIET)
        )
