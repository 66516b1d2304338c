"""A plain model beside: its metrics, the gain over it, and a warning where there may be none."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.judge.beside import judge_beside
from pipeline.judge.gains import beside, doubt
from pipeline.judge.paired import Items
from pipeline.judge.resampling import Bootstrap
from pipeline.modality.types.protocols import Known

TARGETS = np.arange(200) % 2
GROUPS = np.arange(200) // 2


def chances(wrong):
    """Return answers of which every so many is wrong."""
    said = np.where(np.arange(200) % wrong == 0, 1 - TARGETS, TARGETS)
    return np.where(np.eye(2)[said] > 0, 0.9, 0.1)


@pytest.fixture
def judged(monkeypatch):
    """Judge answers beside those of a fake part; return the record and what the part was given."""
    given = {}

    def judge(served, plain, *, targets=TARGETS, classes=("a", "b"), resamples=300):
        def answers(store, known, asked, **options):
            given.update(options, known=known.targets, asked=asked)
            return plain

        part = SimpleNamespace(name="plain", answers=answers)
        monkeypatch.setattr("pipeline.judge.beside.baseline", lambda modality: part)
        store = SimpleNamespace(modality="sound", rows=lambda split: split)
        items, bootstrap = Items(targets, GROUPS, classes, 10), Bootstrap(resamples, 7, GROUPS)
        return judge_beside(store, Known("train", "truths of train"), items, served, bootstrap)

    return judge, given


def test_a_known_gain_and_its_interval(judged):
    judge, given = judged
    found = judge(chances(20), chances(5))
    assert found["name"] == "plain"
    assert found["accuracy"] == pytest.approx(0.8)
    gain = found["gain"]["accuracy"]
    assert gain["value"] == pytest.approx(0.15)
    assert 0.0 < gain["low"] < 0.15 < gain["high"] < 0.3
    assert set(found["gain"]) == {"accuracy", "f1_macro", "roc_auc"}
    assert given == {"known": "truths of train", "asked": "test", "classes": 2, "seed": 7}


def test_a_gain_in_an_error_is_positive_where_it_falls(judged):
    targets = np.linspace(0.0, 1.0, 200)
    near, far = (targets[:, np.newaxis] + offset for offset in (0.1, 0.3))
    found = judged[0](near, far, targets=targets, classes=())
    assert judged[1]["classes"] == 0
    assert found["gain"]["mae"]["value"] == pytest.approx(0.2)
    assert found["pearson_r"] == pytest.approx(1.0)


def test_without_resamples_there_is_no_gain_and_no_warning(judged):
    found = judged[0](chances(5), chances(5), resamples=0)
    assert found["gain"] == {}
    assert doubt({"accuracy": 0.8, "beside": found}) is None
    assert beside({"accuracy": 0.8, "beside": found}, "accuracy") == "plain 0.8000"


@pytest.mark.parametrize(
    ("low", "high", "warns"), [(0.001, 0.1, False), (-0.01, 0.1, True), (-0.2, -0.1, True)]
)
def test_a_gain_that_may_be_none_is_told(low, high, warns):
    gain = {"value": (low + high) / 2, "low": low, "high": high}
    plain = {"name": "tfidf", "accuracy": 0.7, "gain": {"accuracy": gain}}
    told = doubt({"accuracy": 0.8, "n": 3, "beside": plain})
    assert (told is not None) is warns
    assert told is None or told.startswith(
        "transfer does not pay here: accuracy is 0.8000, and 0.7000 by tfidf alone; the gain is "
    )


def test_a_modality_without_the_part_has_no_record(monkeypatch):
    monkeypatch.setattr("pipeline.judge.beside.baseline", lambda modality: None)
    items = Items(TARGETS, GROUPS, ("a", "b"), 10)
    store = SimpleNamespace(modality="sound")
    assert (
        judge_beside(store, Known("train", TARGETS), items, chances(5), Bootstrap(9, 1, GROUPS))
        == {}
    )
    assert doubt({"accuracy": 0.8}) is None
    assert beside({"accuracy": 0.8}, "accuracy") == ""
