"""Imports point down the layers, each big dependency has one home, and stage scripts stay thin."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from pipeline.modality.table import MODALITIES
from tests.support.closure import ROOT, closure, imports, module_file

ROOMS = (
    "ground",
    "compute",
    "repo",
    "store",
    "modality",
    "raw",
    "store.store",
    "store.encoded_shard",
    "store.writer",
    "pages",
    "manifest",
    "picture.files",
    "picture.sets",
    "picture.read",
    "picture.strip",
    "picture.shelf",
    "picture.net.cpu",
    "picture.net",
    "picture.explain.params",
    "picture.params",
    "picture.show",
    "text.files",
    "text.read",
    "text.strip",
    "weights",
    "text.shelf",
    "text.net",
    "text.params",
    "text.show",
    "model",
    "engine",
    "text.baseline",
    "judge",
    "clean",
    "clean.page",
    "train.recipe",
    "train",
    "recipe",
    "crossval",
    "suspects",
    "membership",
    "explain",
    "picture.explain",
    "text.explain",
    "keys",
    "track",
    "track.branches",
    "version",
    "promotion",
    "publish",
    "diff",
    "past",
    "serving.replicas",
    "serving.request",
    "serving",
    "predict",
    "export",
    "picture.export",
    "text.export",
    "tune",
    "reproduce",
    "doctor",
    "fsck",
    "reviewing",
    "forgetting",
    "strip",
    "commands",
    "cli",
)
"""From the bottom to the top: a room, or a file of one, imports from itself and those before it."""

SHIMS = {"pipeline/model/engine.py", "pipeline/track/served.py"}
"""Where versions of every age have these files; each passes on what a room above it holds."""

HOMES = {
    "fastapi": ("pipeline/serving/", "pipeline/reviewing/"),
    "uvicorn": ("pipeline/serving/", "pipeline/reviewing/"),
    "onnx": ("pipeline/export/",),
    "onnxruntime": ("pipeline/export/",),
    "cleanlab": ("pipeline/suspects/labels.py",),
    "opacus": ("pipeline/train/private/accounting.py",),
    "optuna": ("pipeline/tune/study.py",),
    "mlflow": ("pipeline/track/", "pipeline/version/", "pipeline/past/"),
    "jinja2": ("pipeline/pages/",),
    "ray": ("pipeline/compute/cluster.py",),
    "s3fs": ("pipeline/raw/bucket/",),
    "botocore": ("pipeline/raw/bucket/s3.py",),
    "tokenizers": ("pipeline/text/",),
    "timm": ("pipeline/picture/",),
    "PIL": ("pipeline/picture/",),
    "torchvision": ("pipeline/picture/",),
    "matplotlib": ("pipeline/ground/plots.py",),
    "yaml": ("pipeline/ground/params.py",),
}
_OF_ONE_MODALITY = re.compile(r"picture|pixel|image|thumbnail|size_px", re.IGNORECASE)
_SHORT = re.compile(r"[rbf]*([\"'])[\w.]+\1")
"""A string that is a key, a name of a column or of a file; texts for people are longer."""

TOLD = {
    "pipeline/manifest/split.py": 1,
    "pipeline/modality/table.py": 2,
    "pipeline/model/engine.py": 2,
}
"""Words of one modality in code outside its room, by file: to be lowered, never raised."""

PACKAGES = sorted((ROOT / "pipeline").rglob("__init__.py"))
FILES = sorted(set((ROOT / "pipeline").rglob("*.py")) - set(PACKAGES))
STAGES = [
    *sorted((ROOT / "stages").glob("[a-z]*.py")),
    *sorted((ROOT / "data").glob("*/fetch*.py")),
]


def layer(module: str) -> int:
    """Return the rank of the deepest room that a module lies in."""
    parts = module.split(".")[1:]
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return ROOMS.index(next(name for name in names if name in ROOMS))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize(
    "path", [each for each in FILES if each.relative_to(ROOT).as_posix() not in SHIMS], ids=name_of
)
def test_imports_point_down(path):
    for name in imports(path):
        assert not name.startswith("stages"), f"{path} imports a stage"
        if name.startswith("pipeline.") and module_file(name):
            assert layer(name) <= layer(name_of(path)), f"{path} imports {name}, which is above it"


def test_no_import_cycles():
    for path in FILES:
        own = path.relative_to(ROOT).as_posix()
        for name in imports(path):
            if name.startswith("pipeline.") and module_file(name):
                assert own not in closure(name), f"{own} and {name} import each other"


@pytest.mark.parametrize("path", FILES + STAGES, ids=name_of)
def test_each_big_dependency_has_one_home(path):
    own = path.relative_to(ROOT).as_posix()
    for name in imports(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or own.startswith(homes), f"{own} imports {name}; its home is {homes}"


def words_of_one_modality(path):
    """Return the names and short strings of a file that say what an item is."""
    with path.open(encoding="utf-8") as file:
        tokens = list(tokenize.generate_tokens(io.StringIO(file.read()).readline))
    return [
        token.string
        for token in tokens
        if _OF_ONE_MODALITY.search(token.string)
        and (token.type == tokenize.NAME or _SHORT.fullmatch(token.string))
    ]


def test_what_an_item_is_stands_in_its_own_room_alone():
    found = {
        own: len(words)
        for path in [*PACKAGES, *FILES, *STAGES]
        if not (own := path.relative_to(ROOT).as_posix()).startswith(("pipeline/picture/", "data/"))
        if (words := words_of_one_modality(path))
    }
    assert found == TOLD


@pytest.mark.parametrize("path", PACKAGES[1:], ids=name_of)  # the first: docs/decisions/0004
def test_packages_hold_a_docstring_and_nothing_else(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


@pytest.mark.parametrize("path", STAGES, ids=name_of)
def test_stages_are_thin(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    limit = 72 if path.parent.name == "stages" else 100
    assert len(text.splitlines()) <= limit
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if path.parent.name == "stages":
        assert functions == ["main"]
    docstring = ast.get_docstring(tree) or ""
    assert "Reads" in docstring
    assert "Writes" in docstring


@pytest.mark.parametrize("stage", ["clean", "transform", "normalize"])
def test_stages_that_do_not_compute_with_torch_do_not_import_it(stage):
    code = (
        f"import sys, stages.{stage}; sys.exit('torch' in sys.modules or 'mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("module", [name_of(path) for path in STAGES])
@pytest.mark.parametrize("there", [(), ("pydantic", "yaml")], ids=["no-package", "those-of-dvc"])
def test_a_foreign_python_says_what_is_missing(module, there, tmp_path):
    for name in there:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path += [{str(tmp_path)!r}, {str(ROOT)!r}]; import {module}",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1
    assert f"lacks the project's packages, {'numpy' if there else 'pydantic'} first" in done.stderr
    assert ". .venv/bin/activate" in done.stderr


@pytest.mark.parametrize("path", STAGES, ids=name_of)
def test_no_stage_asks_which_modality_it_has(path):
    rooms = {f"pipeline.{each}" for each in MODALITIES}
    for name in imports(path):
        assert not any(name == room or name.startswith(f"{room}.") for room in rooms), name
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare | ast.If | ast.IfExp | ast.Match):
            assert "modality" not in ast.unparse(node).split("\n")[0], ast.unparse(node)
        assert not (isinstance(node, ast.Constant) and node.value in MODALITIES), "names a modality"


def test_training_does_not_import_the_tracker():
    files = closure("stages.train") | closure("stages.evaluate")
    for file in files:
        for name in imports(ROOT / file):
            assert name.split(".")[0] != "mlflow", f"{file} imports mlflow"


def test_git_holds_no_big_files_and_no_notebooks():
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, tracked.stdout.split("\0")):
        path = ROOT / name
        if path.exists():
            assert path.stat().st_size <= 500_000, f"{name} is over 500 kB"
            assert path.suffix != ".ipynb"
