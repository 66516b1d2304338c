"""The arithmetic of the comparison on many sets, with known answers, and tables of a part."""

from math import sqrt

import numpy as np
import pytest
import torch

from bench.sets.clock import Clock
from bench.sets.report import sentences, set_rows, summary_rows
from bench.sets.results import Result, accuracy, difference, geometric_mean, load, mean_of
from bench.sets.sources import why_not


def result(right, *, seconds=10.0, items="same", earlier=()):
    """Give a run that keeps its last line; `right` is a text of 0 and 1."""
    bits = np.array([int(each) for each in right], dtype=np.uint8)
    kept = {
        "epoch": len(earlier) + 1,
        "seconds": seconds,
        "test_accuracy": float(bits.mean()),
        "test_items": len(bits),
        "kept": True,
        "items": items,
        "right": np.packbits(bits).tobytes().hex(),
    }
    return Result([*earlier, kept])


def test_the_error_of_one_seed_is_that_of_a_share():
    found = accuracy([result("1111110000")])
    assert found.mean == pytest.approx(0.6)
    assert found.error == pytest.approx(sqrt(0.6 * 0.4 / 10))


def test_seeds_add_their_variance_and_no_items():
    found = accuracy([result("1111110000"), result("1111111100")])
    assert found.mean == pytest.approx(0.7)
    assert found.error == pytest.approx(sqrt(0.02 / 2 + 0.7 * 0.3 / 10))


def test_a_difference_counts_the_items_that_one_got_right():
    found = difference({1: result("1110000000")}, {1: result("1100000000"), 2: result("1")})
    assert found.mean == pytest.approx(0.1)
    assert found.error == pytest.approx(sqrt(0.1 * 0.9 / 10))
    assert difference({1: result("10")}, {1: result("10")}).error == 0


def test_other_test_items_are_not_compared():
    assert difference({1: result("10")}, {1: result("10", items="other")}) is None
    assert difference({1: result("10")}, {2: result("10")}) is None


def test_means_over_sets():
    whole = mean_of([accuracy([result("1100")]), accuracy([result("1111")])])
    assert whole.mean == pytest.approx(0.75)
    assert whole.error == pytest.approx(0.25 / 2)
    assert geometric_mean([0.5, 2.0, 8.0]) == pytest.approx(2.0)


def test_the_first_epoch_with_an_accuracy_counts():
    early = {"epoch": 1, "seconds": 2.0, "test_accuracy": 0.9}
    run = result("1100", earlier=(early,))
    assert run.seconds_to(0.8) == 2.0
    assert run.seconds_to(0.95) is None
    assert (run.accuracy, run.seconds, run.right.tolist()) == (
        0.5,
        10.0,
        [True, True, False, False],
    )


class Six:
    """Six items of two classes in val and in test."""

    digest = "six"

    def targets(self, split):
        return [0, 0, 0, 1, 1, 1]


def test_the_clock_keeps_the_epoch_with_the_lowest_validation_loss(tmp_path, capsys):
    (tmp_path / "set").mkdir()
    clock = Clock(Six(), tmp_path / "set" / "plain-3.jsonl")
    clock.start()
    for epoch, scale in enumerate((1.0, 3.0, -1.0), start=1):
        logits = torch.tensor([[scale, 0.0]] * 3 + [[0.0, scale]] * 3)
        clock.judge(epoch, lambda split, logits=logits: logits)
    clock.finish()
    ((seed, run),) = load(tmp_path)["set"]["plain"].items()
    assert (seed, len(run.lines), run.kept["epoch"]) == (3, 3, 2)
    assert (run.accuracy, run.right.tolist()) == (1.0, [True] * 6)
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["plain-3.jsonl"]
    assert capsys.readouterr().out.count("val_loss") == 3


def test_the_report_says_where_ours_is_below():
    sets = {
        "a": {"ours": {1: result("0" * 40, seconds=5.0)}, "plain": {1: result("10" * 20)}},
        "b": {"ours": {1: result("1" * 40, seconds=20.0)}, "plain": {1: result("10" * 20)}},
    }
    told = "\n".join(sentences(sets))
    assert "Best single peer, over 2 sets: `plain`; ours minus it +0.0000" in told
    assert "Below `plain` by more than two standard errors, of 2 sets: a (-0.5000" in told
    assert "geometric mean of 2 sets: 1.00" in told
    row = next(row for row in summary_rows(sets) if row[0] == "plain")
    assert (row[1], row[-1]) == ("2", "1.00")


def test_parts_of_the_results_make_a_report():
    sets = {"a": {"probe": {1: result("1110")}}, "b": {"head": {2: result("1110")}}}
    assert [row[:3] for row in set_rows(sets)][1:] == [("a", "probe", "1"), ("b", "head", "1")]
    assert [row[0] for row in summary_rows(sets)][1:] == ["head", "probe"]
    assert list(sentences(sets)) == [
        "- Without results: ours, plain, timm, fastai, transformers, autogluon."
    ]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([f"{each}/{at}.jpg" for each in "ab" for at in range(60)], None),
        (
            [
                f"{part}/{each}/{at}.JPG"
                for part in ("train", "test")
                for each in "ab"
                for at in range(60)
            ],
            None,
        ),
        (["data.csv"], "it has no pictures in class folders"),
        ([f"a/{at}.jpg" for at in range(200)], "it has no pictures in class folders"),
        ([f"{each}/1.jpg" for each in "ab"], "2 pictures tell nothing"),
    ],
)
def test_what_is_a_set(names, reason):
    assert why_not(names) == reason
