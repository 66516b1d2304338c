"""The modules of this repository that a module imports, found by reading the source."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "stages", "data")
TEMPLATE = re.compile(r'"([a-z_/]+\.(?:html|css))"')


def module_file(name: str) -> Path | None:
    """Return the file of one of our modules, or None for a package or a foreign module."""
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    return path if path.exists() else None


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Return the dotted names that a file imports, inside functions too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names += [node.module or ""]
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(names)


@cache
def parts(path: Path) -> tuple[str, ...]:
    """Return the modules of all modalities that a look-up of `pipeline/modality/` may import."""
    if ROOT / "pipeline" / "modality" not in path.parents:
        return ()
    from pipeline.modality.table import MODALITIES

    part = re.search(r'^PART = "(.*)"$', path.read_text(encoding="utf-8"), re.MULTILINE)
    return tuple(f"pipeline.{each}.{part[1]}" for each in MODALITIES) if part else ()


@cache
def templates(path: Path) -> frozenset[str]:
    """Return the templates and styles that a module or a template names, and those they name."""
    found: set[str] = set()
    for name in TEMPLATE.findall(path.read_text(encoding="utf-8")):
        if (file := ROOT / "pipeline" / name).is_file():
            found |= {f"pipeline/{name}", *templates(file)}
    return frozenset(found)


@cache
def _step(name: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the file of a module with its templates, and the modules that it imports."""
    file = module_file(name)
    if file is None:
        return frozenset(), ()
    own = tuple(each for each in imports(file) if each.split(".")[0] in PACKAGES)
    return templates(file) | {file.relative_to(ROOT).as_posix()}, (*own, *parts(file))


@cache
def closure(name: str) -> frozenset[str]:
    """Return our own files, as repository paths, that a module imports or fills as templates."""
    found: set[str] = set()
    todo, seen = [name], set()
    while todo:
        if (module := todo.pop()) not in seen:
            seen.add(module)
            files, names = _step(module)
            found |= files
            todo += names
    return frozenset(found)
