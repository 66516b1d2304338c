"""params.yaml is read exactly as DVC reads it, and a wrong value gets one line with a remedy."""

import math
import re
from typing import Annotated, Literal

import pytest
from dvc.utils.serialize import parse_yaml
from pydantic import Field

from pipeline.ground.errors import DataError, ParamsError
from pipeline.ground.params import (
    SECTIONS,
    Section,
    Task,
    in_force,
    load_section,
    load_value,
    named_as_written,
    read_params,
    refuse_unknown_sections,
    settle,
    written_as,
)
from tests.support.closure import ROOT

AGREED = (
    "1e-3 1e3 1E5 1.0E-5 1.e3 .5 5. .5e-3 .5e3 -.5 +.5 -0.0 1.5e3 +3 010 -010 007 08 00 0777 "
    "0o17 +0o17 0x1F -0x1F 0o8 0x 0o 1e 1.2.3 12:30 12:30:45 no on yes off y n NO Off true TRUE "
    "True false null Null ~ 'x' a:b 1.0 0 -1 1,5 1__a _1 e3 +e3 .e3 nan inf NaN"
).split(" ")
REFUSED = ["1_000", "1_0.5", "0b11", "-0b1", "0x1_F", ".nan", ".NaN", ".inf", "-.inf", "2024-01-02"]


class Inner(Section):
    width: int = Field(ge=1)


class Toy(Section):
    lr: float = Field(gt=0.0, le=10.0)
    min_side_px: int = Field(ge=1)
    mode: str
    inner: Inner


def write(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", AGREED)
def test_every_spelling_reads_as_it_does_in_dvc(tmp_path, text):
    ours = read_params(write(tmp_path, f"a: {text}\nb: [{text}]\n"))
    theirs = parse_yaml(f"a: {text}\nb: [{text}]\n", "params.yaml")
    assert ours == theirs
    assert type(ours["a"]) is type(theirs["a"])


@pytest.mark.parametrize("text", REFUSED)
def test_spellings_that_readers_disagree_on_are_refused(tmp_path, text):
    path = write(tmp_path, f"ok: 1\na: {text}\n")
    with pytest.raises(ParamsError, match="read differently") as caught:
        read_params(path)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_the_committed_file_reads_the_same_in_dvc():
    path = ROOT / "params.yaml"
    assert read_params(path) == parse_yaml(path.read_text(encoding="utf-8"), "params.yaml")
    assert tuple(read_params(path)) and set(read_params(path)) == set(SECTIONS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "the key 'a' is there twice"),
        ("a: {b: 1, b: 2}\n", "the key 'b' is there twice"),
        ("- 1\n- 2\n", r"must be a mapping of sections, got \[1, 2\]"),
        ("", "must be a mapping of sections, got None"),
        ("a:\n\tb: 1\n", "found character"),
        ("a: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("<<<<<<< HEAD\na: 1\n", "unresolved merge"),
        ("a: [1\n", "expected"),
        ("? [1, 2]\n: x\n", "a key must be a word"),
    ],
    ids=["twice", "nested", "list", "empty", "tab", "tag", "merge", "open", "key"],
)
def test_broken_files_get_one_line(tmp_path, text, message):
    with pytest.raises(ParamsError, match=message) as caught:
        read_params(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ParamsError, match=r"nowhere.yaml: no such file \(run `git checkout"):
        read_params(tmp_path / "nowhere.yaml")


def test_a_latin_1_file_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes("a: caf\xe9\n".encode("latin-1"))
    with pytest.raises(ParamsError, match="must be UTF-8"):
        read_params(path)


def test_anchors_and_merge_keys_work_as_in_dvc(tmp_path):
    text = "base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\n"
    assert read_params(write(tmp_path, text)) == parse_yaml(text, "params.yaml")


GOOD = {"lr": 0.1, "min_side_px": 8, "mode": "a", "inner": {"width": 2}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": -0.003}, "toy.lr: must be greater than 0, got -0.003"),
        ({"lr": "1e-3"}, "toy.lr: must be a valid number, got '1e-3'"),
        ({"lr": True}, "toy.lr: must be a valid number, got True"),
        ({"min_side_px": 8.5}, "toy.min_side_px: must be a valid integer, got 8.5"),
        ({"inner": {"width": 0}}, "toy.inner.width: must be greater than or equal to 1, got 0"),
        (
            {"inner": {"width": 1, "widht": 1}},
            "toy.inner: 'widht' is not a known key (did you mean 'width'?)",
        ),
    ],
    ids=["bound", "string", "bool", "float", "nested", "nested-typo"],
)
def test_a_wrong_value_names_field_rule_and_value(tmp_path, change, message):
    with pytest.raises(ParamsError) as caught:
        load_section({"toy": GOOD | change}, "toy", Toy, path=tmp_path / "params.yaml")
    assert str(caught.value) == f"{tmp_path / 'params.yaml'}: {message}"


def test_all_problems_of_a_section_are_told_at_once(tmp_path):
    raw = {"toy": {"lr": 0, "min_side_pix": 8, "mode": "a", "inner": {"width": 2}}}
    with pytest.raises(ParamsError) as caught:
        load_section(raw, "toy", Toy, path=tmp_path)
    for part in (
        "toy.lr: must be greater than 0, got 0",
        "toy: 'min_side_pix' is not a known key (did you mean 'min_side_px'?)",
        "toy.min_side_px is missing",
    ):
        assert part in str(caught.value)


class Alternatives(Section):
    size: Literal["full"] | Annotated[int, Field(ge=1)]
    name: Annotated[str, Field(pattern="^[a-z]+$", min_length=1)]
    cut: str | int


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "odd.size: must be 'full' or be greater than or equal to 1, got 0"),
        ({"size": "all"}, "odd.size: must be 'full' or be a valid integer, got 'all'"),
        ({"cut": 2.5}, "odd.cut: must be a valid string or be a valid integer, got 2.5"),
        ({"name": "A"}, "odd.name: must match pattern '^[a-z]+$', got 'A'"),
    ],
)
def test_alternatives_make_one_problem_in_plain_words(tmp_path, change, message):
    raw = {"odd": {"size": "full", "name": "a", "cut": "none"} | change}
    with pytest.raises(ParamsError, match=re.escape(message)) as caught:
        load_section(raw, "odd", Alternatives, path=tmp_path / "params.yaml")
    assert str(caught.value).count(" must ") == 1


def test_a_misspelled_section_is_named(tmp_path):
    with pytest.raises(ParamsError, match="'trian' is not a known section"):
        refuse_unknown_sections({"trian": {}}, path=tmp_path)


def test_a_bare_value_is_checked(tmp_path):
    assert load_value({"task": "regression"}, "task", Task, path=tmp_path) == "regression"
    with pytest.raises(ParamsError, match="task: must be 'classification' or 'regression', got"):
        load_value({"task": "ranking"}, "task", Task, path=tmp_path)


def test_sections_are_frozen_and_finite(tmp_path):
    toy = load_section({"toy": GOOD}, "toy", Toy, path=tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        toy.lr = 1.0
    with pytest.raises(ParamsError):
        load_section({"toy": GOOD | {"lr": math.nan}}, "toy", Toy, path=tmp_path)


def test_a_choice_takes_the_place_of_auto_and_of_nothing_else():
    raw = {"a": {"x": "auto", "y": 3, "z": "auto"}, "b": {"x": "auto"}, "task": "auto"}
    before = {**raw, "a": dict(raw["a"])}
    settled = settle(raw, {"a.x": 0.5, "a.y": 9, "c.x": 1})
    assert settled == {"a": {"x": 0.5, "y": 3, "z": "auto"}, "b": {"x": "auto"}, "task": "auto"}
    assert raw == before


def test_a_block_takes_the_place_of_whole_sections_where_its_key_of_data_has_a_value():
    raw = {
        "data": {"path": "raw", "text": "review"},
        "optim": {"lr": 0.1, "name": "sgd"},
        "train": {"epochs": 3},
        "text": {"optim": {"lr": 0.2}},
    }
    assert in_force(raw) == {"data": raw["data"], "optim": {"lr": 0.2}, "train": {"epochs": 3}}
    assert written_as(raw, "optim.lr") == "text.optim.lr"
    assert written_as(raw, "train.epochs") == "train.epochs"
    without = {**raw, "data": {"path": "raw", "text": None}}
    assert written_as(without, "optim.lr") == "optim.lr"
    assert in_force(without) == {name: without[name] for name in ("data", "optim", "train")}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("optim.lr: must be more", "text.optim.lr: must be more"),
        ("optim: 'lrr' is not a known key", "text.optim: 'lrr' is not a known key"),
        ("train.epochs: must be more", "train.epochs: must be more"),
        ("text.optim.lr: must be more", "text.optim.lr: must be more"),
    ],
)
def test_an_error_names_a_param_where_it_stands(line, told):
    raw = {"data": {"text": "a"}, "optim": {"lr": 1}, "text": {"optim": {"lr": 2}}}
    error = ParamsError("params.yaml", line)
    assert str(named_as_written(error, raw)) == f"params.yaml: {told}"
    other = DataError("data/a.csv", "optim: is bad")
    assert str(named_as_written(other, raw)) == "data/a.csv: optim: is bad"
