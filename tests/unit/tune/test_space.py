"""Every range is checked against its param before any trial; params.yaml is edited in place."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ground.errors import ParamsError
from pipeline.ground.params import parse_params, read_params, replace_values
from pipeline.tune.params import TuneParams
from pipeline.tune.space import Dimension, check_space, with_values
from tests.support.closure import ROOT

RAW = read_params(ROOT / "params.yaml")
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


def check(space, **train):
    raw = with_values(RAW, {f"train.{name}": value for name, value in train.items()})
    params = TuneParams(trials=3, together=1, pruner="none", seed=1, space=space)
    return check_space(raw, params)


def test_the_committed_space_is_sound():
    names = [each.path for each in check_space(RAW, TuneParams.model_validate(RAW["tune"]))]
    assert names == list(RAW["tune"]["space"])


def test_ranges_are_typed_by_their_params():
    space = {
        "optim.lr": {"low": 0.001, "high": 0.1, "log": True},
        "train.epochs": {"low": 5, "high": 50},
        "train.batch_size": {"low": 8, "high": 64, "log": True},
        "optim.momentum": {"low": 0.5, "high": 0.9},
        "optim.name": {"choices": ["sgd", "adamw"]},
    }
    assert check(space) == [
        Dimension("optim", "lr", 0.001, 0.1, is_log=True),
        Dimension("train", "epochs", 5, 50, is_whole=True),
        Dimension("train", "batch_size", 8, 64, is_log=True, is_whole=True),
        Dimension("optim", "momentum", 0.5, 0.9),
        Dimension("optim", "name", choices=("sgd", "adamw")),
    ]


@pytest.mark.parametrize(
    ("path", "spec", "text"),
    [
        ("optim.lr", {"low": 0, "high": 1}, "optim.lr.low: must be greater than 0, got 0"),
        ("optim.lr", {"low": 0.1, "high": 11.0}, "optim.lr.high: must be less than or equal to 10"),
        ("optim.lr", {"low": 0.1, "high": 0.1}, "optim.lr.high: must be above low, which is 0.1"),
        ("optim.lr", {"low": "a", "high": 1}, "optim.lr.low: must be a number, got 'a'"),
        ("optim.lr", {"low": 0.1}, "optim.lr: must be {low, high}, {low, high, log} or {choices}"),
        ("optim.lr", {"low": 0.1, "high": 1, "log": 1}, "optim.lr.log: must be true or false"),
        (
            "optim.weight_decay",
            {"low": 0.0, "high": 0.1, "log": True},
            "optim.weight_decay.low: must be above 0 on a logarithmic scale, got 0.0",
        ),
        ("train.epochs", {"low": 1.5, "high": 3}, "train.epochs.low: must be 'auto' or be a"),
        ("optim.rate", {"low": 0, "high": 1}, "must be a param of optim"),
        ("optim.lrr", {"low": 0, "high": 1}, "(did you mean optim.lr?)"),
        ("features.cut", {"choices": ["a", "b"]}, "`features` cannot be searched: trials share"),
        ("nothing.x", {"low": 0, "high": 1}, "must be a param of train, optim, schedule, loss"),
        ("optim.name", {"choices": ["sgd"]}, "must be a list of two values or more"),
        ("optim.name", {"choices": ["sgd", "lion"]}, "must be 'sgd', 'adam' or 'adamw', got"),
        ("loss.class_weights", {"choices": ["none", "balanced"]}, "would change the loss that"),
        ("train.monitor", {"choices": ["loss", "accuracy"]}, "is what trials are compared by"),
        ("train.test_views", {"choices": [1, 8]}, "changes no trial: validation looks at"),
        ("optim.momentum", {"low": 0.5, "high": 0.9}, "does nothing with `optim.name: adamw`"),
        ("augment.hflip", {"low": 0.0, "high": 1.0}, "with `train.strategy` auto or full"),
    ],
)
def test_a_wrong_range_is_one_line_that_names_it(path, spec, text):
    with pytest.raises(ParamsError) as caught:
        check({path: spec}, strategy="head", monitor="loss")
    message = str(caught.value)
    assert message.startswith(f"params.yaml: tune.space.{path}")
    assert text in message
    assert "\n" not in message


def test_an_empty_space_is_told():
    with pytest.raises(ParamsError, match=r"tune\.space: must name a param to search"):
        check({})


def test_values_are_tidy_and_stay_in_their_range():
    dimension = Dimension("optim", "lr", 0.0012345, 0.1)
    assert dimension.tidy(0.0123456) == 0.0123
    assert dimension.tidy(0.0012345) == 0.0012345


def test_an_edit_changes_one_value_and_keeps_comment_and_column():
    text = "optim:\n  lr: 0.0002   # peak\n  name: adamw\ntrain:\n  lr: 1 # other\n"
    assert replace_values(text, {"optim.lr": 0.00012345, "optim.name": "sgd"}) == (
        'optim:\n  lr: 0.00012345 # peak\n  name: "sgd"\ntrain:\n  lr: 1 # other\n'
    )


def test_a_key_that_is_not_there_is_told():
    for path in ("optim.nope", "tune.space", "nope.lr"):
        with pytest.raises(ParamsError, match="must hold one plain value"):
            replace_values(TEXT, {path: 1})


PLAIN = [
    f"{section}.{key}"
    for section, values in RAW.items()
    if isinstance(values, dict)
    for key, value in values.items()
    if not isinstance(value, dict | list)
]
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(1e-12, 1e12),
    st.text(string.ascii_letters + string.punctuation + " é", max_size=12),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(PLAIN), VALUES, max_size=6))
def test_an_edited_file_reads_as_meant_and_keeps_its_comments(values):
    edited = replace_values(TEXT, values)
    assert parse_params(edited, "params.yaml") == with_values(RAW, values)
    assert edited.count("\n") == TEXT.count("\n")
    assert edited.count(" # ") >= TEXT.count(" # ")
