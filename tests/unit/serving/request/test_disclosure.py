"""Less of an answer goes out, and what goes out stays consistent."""

import numpy as np
import pytest

from pipeline.serving.request.disclosure import Disclosure

ROW = {"label": "b", "confidence": 0.40, "p_a": 0.3005, "p_b": 0.40, "p_c": 0.2995, "error": None}


@pytest.mark.parametrize("decimals", [0, 1, 2, 3])
def test_rounded_probabilities_sum_to_one_and_the_answer_stays_the_largest(decimals):
    draws = np.random.default_rng(1).dirichlet([0.5] * 7, size=200)
    for p in draws:
        names = [f"p_{number}" for number in range(7)]
        best = int(p.argmax())
        row = {
            "label": str(best),
            "confidence": float(p[best]),
            **dict(zip(names, p.tolist(), strict=True)),
        }
        found = Disclosure(decimals).row(row)
        shown = [found[name] for name in names]
        assert round(sum(shown), 9) == 1.0
        assert found["confidence"] == shown[best] == max(shown)
        assert all(round(each, decimals) == each for each in shown)
        assert np.abs(np.array(shown) - p).max() <= 10**-decimals


def test_the_top_alone_has_no_other_probability_and_the_label_alone_none():
    top, label = Disclosure(2, "top"), Disclosure(None, "label")
    assert top.row(ROW) == {"label": "b", "confidence": 0.4, "error": None}
    assert label.row(ROW) == {"label": "b", "error": None}
    assert top.columns(["label", "confidence", "p_a"]) == ["label", "confidence"]
    assert not top.explains


def test_other_numbers_are_rounded_too_and_errors_stay():
    assert Disclosure(1).row({"value": 1.26, "error": None}) == {"value": 1.3, "error": None}
    assert Disclosure(1).row({"weights": [0.26, -0.31]}) == {"weights": [0.3, -0.3]}
    bad = {"label": None, "confidence": None, "p_a": None, "error": "empty: no bytes"}
    assert Disclosure(1).row(bad) == bad
    assert Disclosure().row(ROW) == ROW
