"""Source code of ours in a program without Rootstock: definitions, and all that they need.

What is pasted is what the project itself runs, so that the two cannot part ways.
"""

import ast
import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

_OWN = "pipeline"


@dataclass(frozen=True)
class Source:
    """Python without imports of ours.

    Attributes:
        imports: Lines.
        text: Definitions, each after those that it needs.
    """

    imports: tuple[str, ...]
    text: str


@dataclass
class _Gathered:
    imports: set[str] = field(default_factory=set)
    pieces: dict[tuple[str, int], str] = field(default_factory=dict)
    """By module and line."""

    homes: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Where each name is from."""


def source_of(*wanted: Any) -> Source:
    """Return the source of functions and classes, and of what these name, down to other packages.

    Raises:
        ValueError: Two of our modules define one name.
    """
    found = _Gathered()
    for each in wanted:
        _gather(each.__module__, each.__name__, found)
    return Source(tuple(sorted(found.imports)), "\n\n\n".join(found.pieces.values()))


def import_lines(lines: Iterable[str]) -> str:
    """Join import statements as isort does: those of the standard library, then the others."""
    plain: set[str] = set()
    members: dict[str, set[str]] = {}
    for line in lines:
        (node,) = ast.parse(line).body
        if isinstance(node, ast.ImportFrom):
            members.setdefault(str(node.module), set()).update(each.name for each in node.names)
        elif isinstance(node, ast.Import):
            plain.update(ast.unparse(each) for each in node.names)
    written = [
        *((name, f"import {name}") for name in sorted(plain, key=str.lower)),
        *(
            (name, f"from {name} import {', '.join(sorted(members[name], key=_member))}")
            for name in sorted(members, key=str.lower)
        ),
    ]
    parts: tuple[list[str], list[str]] = ([], [])
    for name, line in written:
        parts[name.split()[0].split(".")[0] not in sys.stdlib_module_names].append(line)
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _member(name: str) -> tuple[int, str]:
    """Sort constants first, then classes, then the rest."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2, name)


def _gather(module: str, name: str, found: _Gathered) -> None:
    statement = _bindings(module)[name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        _import(statement, name, found)
        return
    key = (module, statement.lineno)
    if found.homes.setdefault(name, key) != key:
        raise ValueError(f"{name} is defined by {module} and by {found.homes[name][0]}")
    if key in found.pieces:
        return
    found.pieces[key] = ""  # it may name itself
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and node.id in _bindings(module) and node.id != name:
            _gather(module, node.id, found)
    del found.pieces[key]
    found.pieces[key] = _text(module, statement)


def _import(statement: ast.Import | ast.ImportFrom, name: str, found: _Gathered) -> None:
    if isinstance(statement, ast.ImportFrom) and str(statement.module).startswith(_OWN):
        _gather(str(statement.module), name, found)
        return
    (alias,) = (each for each in statement.names if (each.asname or each.name) == name)
    one = type(statement)(**{**dict(ast.iter_fields(statement)), "names": [alias]})
    found.imports.add(ast.unparse(one))


@cache
def _bindings(module: str) -> dict[str, ast.stmt]:
    """Return the statement of a module that binds each of its names."""
    found: dict[str, ast.stmt] = {}
    for statement in ast.parse(inspect.getsource(_module(module))).body:
        for name in _bound(statement):
            found[name] = statement
    return found


def _bound(statement: ast.stmt) -> Iterable[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [each.asname or each.name for each in statement.names]
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [
            node.id for each in targets for node in ast.walk(each) if isinstance(node, ast.Name)
        ]
    return []


def _text(module: str, statement: ast.stmt) -> str:
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(each.lineno for each in decorators)])
    lines = inspect.getsource(_module(module)).splitlines()
    return "\n".join(lines[first - 1 : statement.end_lineno])


def _module(name: str) -> ModuleType:
    return sys.modules[name]
