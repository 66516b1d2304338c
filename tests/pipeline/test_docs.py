"""What the documentation names is there: links, commands, stages, params, paths and rooms."""

import re
import shlex
from functools import cache
from itertools import pairwise

import pytest

from docs.build.commands_page import commands_page, subcommands
from docs.build.params_page import params_page
from pipeline.cli import command_line
from pipeline.ground.params import read_params
from pipeline.promotion.decisions import read_audit
from tests.pipeline.test_layers import ROOMS
from tests.support.closure import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / name / "README.md" for name in ("data/elpv", "review", "weights")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
PROGRAMS = ("rootstock", "make", "dvc", "python")
FOLDERS = (
    "pipeline/",
    "stages/",
    "tests/",
    "bench/",
    "docs/",
    ".ci/",
    "crossval/",
    "suspects/",
    "privacy/",
)
NO_PARAM = {"csv", "parquet", "zip", "tar", "json", "jsonl", "tfrecord", "py", "yaml", "png"}
"""Suffixes of files whose names begin as a section of params.yaml does: `train.csv`."""


@cache
def prose(page):
    """Return a page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


@cache
def anchors(page):
    """Return where links may lead to in a page, as hosts of git name its headings."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in titles}


def shell_lines(page):
    """Yield each line of the page's blocks that a shell runs, without prompt and comment."""
    for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if language in ("console", "sh"):
            for line in re.sub(r"\\\n", " ", text).splitlines():
                if language == "sh" or line.startswith(("$ ", "# ")):
                    yield re.sub(r"\s#(\s.*)?$", "", line.removeprefix("$ ").removeprefix("# "))


def commands(page):
    """Yield the words of each command, and whether it is shown whole, as in a block."""
    for line in shell_lines(page):
        for part in re.split(r"&&|;|\|", line):
            yield from _words(part, is_whole="..." not in part)
    for text in CODE.findall(prose(page)):
        yield from _words(text, is_whole=False)


def _words(text, *, is_whole):
    try:
        words = shlex.split(text)
    except ValueError:
        return
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if len(words) > 1 and words[0] in PROGRAMS:
        yield words, is_whole


def faults_of_rootstock(words, *, is_whole):
    if is_whole:
        try:
            command_line().parse_known_args(words[1:])
        except SystemExit as error:
            return [] if error.code == 0 else [" ".join(words)]
    known = {parser.prog: parser for parser, _ in subcommands(command_line())}
    names = [name for name in (" ".join(words[:3]), " ".join(words[:2])) if name in known]
    if not names:
        return [" ".join(words)]
    options = {option for name in names for option in known[name]._option_string_actions}
    is_passed_on = names[-1] == "rootstock repro"  # to DVC
    return [each for each in words if each.startswith("--") and each not in options | {"--"}] * (
        not is_passed_on
    )


def faults_of_make(words):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    return [each for each in words[1:] if each.isalpha() and each.islower() and each not in targets]


def faults_of_dvc(words):
    """Return stages and params that are not there."""
    wrong = []
    for option, value in pairwise(words):
        if option in ("-S", "--set-param"):
            wrong += faults_of_param(value.partition("=")[0])
    if words[1] in ("repro", "pull"):
        wrong += [each for each in words[2:] if not each.startswith("-") and not is_stage(each)]
    return wrong


def is_stage(target):
    file, _, stage = target.rpartition(":")
    if target.endswith("dvc.yaml"):
        return (ROOT / target).exists()
    if target.startswith("data/") or "<" in target:
        return True
    return stage in read_params(ROOT / (file or "dvc.yaml"))["stages"]


def faults_of_python(words):
    modules = [name for option, name in pairwise(words) if option == "-m"]
    own = [
        each for each in modules if each.split(".")[0] in ("bench", "stages", "pipeline", "docs")
    ]
    return [
        each for each in own if "<" not in each and not is_program(ROOT / each.replace(".", "/"))
    ]


def is_program(path):
    return path.with_suffix(".py").exists() or (path / "__main__.py").exists()


def faults_of_param(name):
    """Return a name whose first part is a section of params.yaml and whose second is no key."""
    section, _, key = name.partition(".")
    keys = read_params(ROOT / "params.yaml").get(section)
    return [name] if isinstance(keys, dict) and key not in keys else []


def faults(page):
    """Yield what a page names and what is not there."""
    for words, is_whole in commands(page):
        yield from faults_of_command(words, is_whole=is_whole)
    for text in CODE.findall(prose(page)):
        if (found := re.match(r"([a-z]+)\.([a-z_0-9]+)(?=$|: )", text)) and text not in ROOMS:
            yield from [] if found[2] in NO_PARAM else faults_of_param(found[0])
        if text.startswith(FOLDERS) and not re.search(r"[<*\s]", text):
            path = re.sub(r"(\.\w+):.*", r"\1", text)
            places = (ROOT / path, ROOT / "pipeline" / path)  # a room may be named like a folder
            yield from [] if any(place.exists() for place in places) else [text]


def faults_of_command(words, *, is_whole):
    match words[0]:
        case "rootstock":
            return faults_of_rootstock(words, is_whole=is_whole)
        case "make":
            return faults_of_make(words)
        case "dvc":
            return faults_of_dvc(words)
        case _:
            return faults_of_python(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_link_leads_somewhere(page):
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_is_there(page):
    assert sorted(set(faults(page))) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("`make repo`", ["repo"]),
        ("`rootstock servo`", ["rootstock servo"]),
        ("`rootstock serve --porto`", ["--porto"]),
        ("```console\n$ rootstock serve --port x models:/a@b\n```\n", None),
        ("```console\n$ rootstock serve models:/a@b --port 1 # it\n```\n", []),
        ("```sh\ngit pull && dvc repro trian\n```\n", ["trian"]),
        ("`dvc exp run -S optim.rl=1`", ["optim.rl"]),
        ("`dvc repro crossval/dvc.yaml:publish`, `train.csv`, `optim.lr: 1`", []),
        ("`optim.rl`", ["optim.rl"]),
        ("`pipeline/trian/loop.py`", ["pipeline/trian/loop.py"]),
        ("`python -m bench.nothing`", ["bench.nothing"]),
    ],
)
def test_what_is_not_there_is_found(text, wrong, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    found = list(faults(page))
    assert found == wrong if wrong is not None else found


OLD = "84751398b3ea"
"""Of the one decision that the project came with. Those of a team on its own models may be more."""


def test_the_first_version_of_a_fresh_clone_may_become_champion():
    """An old decision on the name would have it wait, and commands with `@champion` fail."""
    name = read_params(ROOT / "params.yaml")["registry"]["name"]
    (old,) = (each for each in read_audit(ROOT / "audit") if each.hash.startswith(OLD))
    assert name != old.name


def test_the_first_page_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 150


def test_the_index_names_each_page():
    index = ROOT / "docs/README.md"
    named = {(index.parent / each).resolve() for each in LINK.findall(prose(index))}
    assert set((ROOT / "docs").glob("*.md")) - {index} <= named
    decisions = ROOT / "docs/decisions/README.md"
    listed = {(decisions.parent / each).resolve() for each in LINK.findall(prose(decisions))}
    assert set(decisions.parent.glob("0*.md")) == listed


def test_the_generated_pages_have_each_param_and_each_subcommand():
    page = params_page(ROOT / "params.yaml")
    params = read_params(ROOT / "params.yaml")
    params |= {f"text.{name}": values for name, values in params.pop("text").items()}
    for section, values in params.items():
        for key in values if isinstance(values, dict) else []:
            (row,) = re.findall(rf"^\| `{section}\.{key}` \|.*\| (.+) \|$", page, re.MULTILINE)
            assert row.strip()
    text = commands_page()
    for parser, _ in subcommands(command_line()):
        assert f"\n## {parser.prog}\n" in text
        for option in parser._option_string_actions.keys() - {"-h", "--help"}:
            assert f"`{option}" in text
