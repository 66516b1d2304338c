"""dvc.yaml says what the stages do: deps are imports, params are sections, options are paths."""

import importlib
import inspect
import shlex
from pathlib import Path

import pytest
import yaml

from pipeline.ground.params import SECTIONS, read_params
from pipeline.modality.sections import candidates
from pipeline.repo.imports import is_code, source
from tests.support.closure import ROOT, closure

GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
TEXTS = yaml.safe_load((ROOT / "data/amazon/dvc.yaml").read_text(encoding="utf-8"))
FETCH = yaml.safe_load((ROOT / "data/elpv/dvc.yaml").read_text(encoding="utf-8"))
CROSSVAL = yaml.safe_load((ROOT / "crossval/dvc.yaml").read_text(encoding="utf-8"))
SUSPECTS = yaml.safe_load((ROOT / "suspects/dvc.yaml").read_text(encoding="utf-8"))
EXPLAIN = yaml.safe_load((ROOT / "explain/dvc.yaml").read_text(encoding="utf-8"))
PRIVACY = yaml.safe_load((ROOT / "privacy/dvc.yaml").read_text(encoding="utf-8"))
STAGES = {
    **GRAPH["stages"],
    "fetch": FETCH["stages"]["fetch"],
    **TEXTS["stages"],
    "crossval": CROSSVAL["stages"]["crossval"],
    "publish_crossval": CROSSVAL["stages"]["publish"],
    "suspects": SUSPECTS["stages"]["suspects"],
    "publish_suspects": SUSPECTS["stages"]["publish"],
    "explain": EXPLAIN["stages"]["explain"],
    "publish_explain": EXPLAIN["stages"]["publish"],
    "privacy": PRIVACY["stages"]["privacy"],
    "publish_privacy": PRIVACY["stages"]["publish"],
}
FREE = {"machine", "tracking", "registry"}
"""Sections that change no result: params of no stage but `publish`."""

ORDER = (
    "clean",
    "weights",
    "recipe",
    "transform",
    "normalize",
    "features",
    "train",
    "evaluate",
    "publish",
)
SETTLED = {"transform", "features", "train", "crossval", "explain", "privacy"}
"""Stages that read values in place of `auto`, by an option of their runner."""


def names(entries):
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries or []]


def module(stage):
    folders = {"fetch": "data.elpv", "fetch_amazon": "data.amazon"}
    return f"{folders.get(stage, 'stages')}.{stage}"


def words(stage):
    return shlex.split(STAGES[stage]["cmd"])


def options(stage):
    rest = words(stage)[3:]
    return dict(zip([o.removeprefix("--") for o in rest[::2]], rest[1::2], strict=True))


def parameters(stage):
    return inspect.signature(importlib.import_module(module(stage)).main).parameters.values()


def outs(stage):
    entry = STAGES[stage]
    return names(entry.get("outs")) + names(entry.get("metrics"))


def test_the_stages_are_those_of_the_design():
    assert tuple(GRAPH["stages"]) == ORDER


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_runs_the_module_with_python_m(stage):
    assert words(stage)[:3] == ["python", "-m", module(stage)]


@pytest.mark.parametrize("stage", STAGES)
def test_code_deps_are_the_import_closure(stage):
    name = module(stage).split(".")[-1]
    assert [dep for dep in STAGES[stage]["deps"] if is_code(dep)] == [f"imports/{name}"]
    found = {path.name: str(path.readlink()) for path in (ROOT / "imports" / name).iterdir()}
    wanted = {each.removesuffix(".py").replace("/", "."): each for each in closure(module(stage))}
    assert found == {link: f"../../{each}" for link, each in wanted.items()}, "run `make deps`"
    assert all(source(link) == each for link, each in wanted.items())


def test_no_links_are_left_of_a_stage_that_is_gone():
    names = {module(stage).split(".")[-1] for stage in STAGES}
    assert {path.name for path in (ROOT / "imports").iterdir()} == names


@pytest.mark.parametrize("stage", STAGES)
def test_options_are_the_keyword_only_parameters(stage):
    wanted = [p.name.replace("_", "-") for p in parameters(stage) if p.kind is p.KEYWORD_ONLY]
    assert list(options(stage)) == wanted + ["recipe"] * (stage in SETTLED)


@pytest.mark.parametrize("stage", [each for each in STAGES if not each.startswith("publish")])
def test_a_stage_that_reads_what_may_be_auto_reads_the_recipe(stage):
    """Else it would see `auto`, or run with another value than the stages beside it."""
    auto = {param.split(".")[0] for param in candidates("picture")}
    reads = {p.name for p in parameters(stage) if p.kind is not p.KEYWORD_ONLY} & auto
    assert bool(reads) == (stage in SETTLED | {"recipe"})


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_the_sections_that_main_takes(stage):
    taken = {p.name for p in parameters(stage) if p.kind is not p.KEYWORD_ONLY}
    entries = list(map(str, STAGES[stage].get("params", [])))
    inside = {name.removeprefix("text.") for name in entries if name.startswith("text.")}
    listed = {name.split(".")[0] for name in entries if not name.startswith("text.")}
    assert taken <= set(SECTIONS)
    assert inside == taken & set(read_params(ROOT / "params.yaml")["text"]) - FREE
    if inside:  # which of the two counts
        assert {"data", "data.text"} & set(entries)
        listed -= {"data"} - taken
    assert listed - FREE == taken - FREE
    if not stage.startswith("publish"):
        assert not listed & FREE, "a section that changes no result must not re-run a stage"


def test_a_stage_that_lists_part_of_a_section_reads_only_that_part():
    files = closure("stages.features") | closure("stages.evaluate")
    for stage in ("features", "evaluate"):
        assert {n for n in STAGES[stage]["params"] if n.startswith("runtime")} == {
            "runtime.threads",
            "runtime.device",
            "runtime.precision",
        }
    for file in files:
        assert "runtime.seed" not in (ROOT / file).read_text(encoding="utf-8"), file


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_of_the_command_is_a_dep_or_an_out(stage):
    known = set(outs(stage)) | set(names(STAGES[stage].get("deps")))
    for name, path in options(stage).items():
        assert path in known, f"--{name} {path} is neither a dep nor an out"
    data = {dep for dep in known if not is_code(dep)}
    assert data - set(options(stage).values()) == set(), "listed but not given to the command"


def test_outs_lie_under_the_stage_s_own_folder():
    for stage in ORDER:
        for out in outs(stage):
            assert out.startswith(f"artifacts/{stage}/")


def test_every_dep_is_made_upstream_or_committed():
    made = {out for stage in STAGES for out in outs(stage)}
    for stage in STAGES:
        for dep in names(STAGES[stage]["deps"]):
            assert dep in made or dep.startswith("${data.") or (ROOT / dep).exists(), dep


def test_what_pull_requests_should_show_is_in_git():
    shown = [
        next(iter(entry))
        for stage in GRAPH["stages"].values()
        for entry in [*stage.get("outs", []), *stage.get("metrics", [])]
        if isinstance(entry, dict) and entry[next(iter(entry))]["cache"] is False
    ]
    assert sorted(shown) == [
        "artifacts/clean/report.json",
        "artifacts/evaluate/metrics.json",
        "artifacts/normalize/normalization.json",
    ]


def test_nothing_persists_and_only_publish_always_runs():
    for name, stage in STAGES.items():
        assert stage.get("always_changed", False) == name.startswith("publish")
        for entry in stage.get("outs", []):
            assert "persist" not in str(entry)


def test_no_stage_of_the_main_graph_reads_the_params_of_a_side_branch():
    for name, stage in GRAPH["stages"].items():
        assert not {"crossval", "suspects", "explain", "privacy", "tune"} & set(
            stage.get("params", [])
        ), name


def test_every_param_of_the_file_is_read_by_some_stage():
    raw = read_params(ROOT / "params.yaml")
    taken = {p.name for stage in STAGES for p in parameters(stage)}
    assert set(raw) - {"tune"} <= taken  # read by `rootstock tune` alone


def test_ignore_patterns_are_anchored():
    for path in [ROOT / ".gitignore", *ROOT.glob("data/*/.gitignore")]:
        for line in Path(path).read_text(encoding="utf-8").split():
            assert line.startswith(("/", "!/", "__pycache__", ".", "*.egg")), f"{path}: {line}"
