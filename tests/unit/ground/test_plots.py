"""Every plot is a PNG of a sensible size, the same bytes each time, whatever the names in it."""

import struct

import matplotlib as mpl
import numpy as np
import pytest

from pipeline.ground import plots
from pipeline.picture.shelf.plots import channel_histograms

ODD_NAMES = ["a$b$c", "日本語", "new\nline", "\udcff", "_x^2", "", "very long " * 20]
LINE = np.linspace(0.0, 1.0, 30)


def pictures(count) -> list[tuple[np.ndarray, str]]:
    generator = np.random.default_rng(0)
    return [
        (generator.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8), ODD_NAMES[i % len(ODD_NAMES)])
        for i in range(count)
    ]


def histograms(channels=3):
    generator = np.random.default_rng(0)
    return {name: generator.integers(0, 99, (channels, 256)) for name in ("train", "val", "test")}


DRAWINGS = {
    "sheet": lambda p: plots.contact_sheet(p, pictures(9), title="9 of 20 $x"),
    "sheet-empty": lambda p: plots.contact_sheet(p, [], title="none of 20"),
    "sheet-gray": lambda p: plots.contact_sheet(
        p, [(np.zeros((5, 90), dtype=np.uint8), "flat")], title="one"
    ),
    "histograms": lambda p: channel_histograms(p, histograms(), "before"),
    "histograms-after": lambda p: channel_histograms(
        p,
        histograms(),
        title="after",
        values=np.tile(np.linspace(-1, 1, 256), (3, 1)),
        xlabel="normalized value",
    ),
    "histograms-empty-split": lambda p: channel_histograms(
        p, {"train": np.zeros((1, 256)), "val": np.ones((1, 256))}, "one channel"
    ),
    "confusion": lambda p: plots.confusion_matrix(
        p, np.array([[3, 1], [0, 0]]), classes=["a", "b"], title="two"
    ),
    "confusion-odd": lambda p: plots.confusion_matrix(
        p, np.eye(7, dtype=int), classes=ODD_NAMES, title="seven"
    ),
    "confusion-many": lambda p: plots.confusion_matrix(
        p, np.ones((60, 60)), classes=[str(i) for i in range(60)], title="sixty"
    ),
    "roc": lambda p: plots.roc_curve(p, {"a$": (LINE, LINE**0.5)}, title="ROC"),
    "roc-many": lambda p: plots.roc_curve(
        p, {str(i): (LINE, LINE ** (1 / (i + 1))) for i in range(12)}, title="ROC"
    ),
    "pr": lambda p: plots.pr_curve(p, {"a": (LINE, 1 - LINE / 2)}, title="PR"),
    "pr-none": lambda p: plots.pr_curve(p, {}, title="PR"),
    "reliability": lambda p: plots.reliability(
        p, LINE[:10], LINE[:10] ** 2, count=np.arange(10), title="calibration"
    ),
    "folds": lambda p: plots.fold_scores(
        p,
        {"accuracy": [0.8, 0.9, 0.85], "ece": [0.1, 0.05, 0.02]},
        means={"accuracy": 0.85, "ece": 0.06},
        intervals={"accuracy": (0.7, 1.0), "ece": (0.0, 0.1)},
    ),
    "scatter": lambda p: plots.regression_scatter(
        p, LINE, LINE**2, target="probability", title="test"
    ),
    "scatter-one-point": lambda p: plots.regression_scatter(
        p, LINE[:1], LINE[:1], target="x", title="test"
    ),
    "scatter-none": lambda p: plots.regression_scatter(
        p, LINE[:0], LINE[:0], target="x", title="test"
    ),
}


def size_px(path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", data[16:24])


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_plot_is_a_readable_png_with_the_same_bytes_twice(name, tmp_path):
    first, second = tmp_path / "first.png", tmp_path / "other name.png"
    DRAWINGS[name](first)
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30.0}):  # a user's own style
        DRAWINGS[name](second)
    width, height = size_px(first)
    assert 400 <= width <= 1600
    assert 200 <= height <= 3000
    assert first.read_bytes() == second.read_bytes()
    assert b"matplotlib" not in first.read_bytes().lower()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp")] == []


def test_other_numbers_give_another_picture(tmp_path):
    for name, power in (("a", 0.5), ("b", 0.4)):
        plots.roc_curve(tmp_path / name, {"x": (LINE, LINE**power)}, title="ROC")
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_a_long_sheet_is_cut_and_says_so(tmp_path):
    tiny = np.zeros((2, 2, 3), dtype=np.uint8)
    full = [(tiny, "")] * plots.SHEET_LIMIT
    plots.contact_sheet(tmp_path / "full.png", full, title="x")
    plots.contact_sheet(tmp_path / "more.png", [*full, (tiny, "")], title="x")
    assert size_px(tmp_path / "full.png") == size_px(tmp_path / "more.png")
    assert (tmp_path / "full.png").read_bytes() != (tmp_path / "more.png").read_bytes()


def test_drawing_leaves_the_style_of_others_alone(tmp_path):
    before = dict(mpl.rcParams)
    plots.pr_curve(tmp_path / "a.png", {}, title="PR")
    assert dict(mpl.rcParams) == before


def test_a_failed_drawing_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="same first dimension"):
        plots.roc_curve(tmp_path / "a.png", {"x": (LINE, LINE[:3])}, title="ROC")
    assert list(tmp_path.iterdir()) == []
