"""Every error is one line that names file, field, rule, value and remedy, with its exit code."""

import pickle
import signal

import pytest

from pipeline.ground.errors import (
    DataError,
    IntegrityError,
    Interrupted,
    MachineError,
    ParamsError,
    TrackingError,
)


def test_the_whole_form():
    error = ParamsError("params.yaml", "must be positive", field="optim.lr", got=-1, remedy="mend")
    assert str(error) == "params.yaml: optim.lr: must be positive, got -1 (mend)"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, "f: rule"),
        ({"got": None}, "f: rule, got None"),
        ({"got": ""}, "f: rule, got ''"),
        ({"remedy": "do"}, "f: rule (do)"),
    ],
    ids=["bare", "none", "empty", "remedy"],
)
def test_parts_may_be_absent_but_none_is_a_value(parts, text):
    assert str(DataError("f", "rule", **parts)) == text


def test_it_is_one_line_whatever_goes_in():
    assert "\n" not in str(DataError("a\nb", "c\r\nd", got="e\nf"))


@pytest.mark.parametrize(
    "error",
    [DataError("f", "rule", field="x", got=1, remedy="do"), Interrupted("train", signal.SIGINT)],
    ids=["data", "interrupted"],
)
def test_it_survives_the_way_from_a_worker_process(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert (str(back), back.exit_code) == (str(error), error.exit_code)


def test_exit_codes():
    codes = [c.exit_code for c in (ParamsError, DataError, MachineError, IntegrityError)]
    assert codes == [2, 3, 4, 5]
    assert TrackingError.exit_code == 6
    assert Interrupted("train", signal.SIGINT).exit_code == 130
    assert str(Interrupted("train", signal.SIGTERM)) == "train: stopped by SIGTERM"
