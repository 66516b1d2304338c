"""The table of rooms in docs/architecture.md: what each is, and what runs after an edit of it."""

import ast
from functools import cache

from tests.pipeline.test_layers import FILES, ROOMS, layer, name_of
from tests.support.closure import ROOT, closure

PAGE = ROOT / "docs/architecture.md"
BEGIN = "<!-- written by `make deps` -->\n"
END = "<!-- end -->\n"
MAIN = ("clean", "weights", "recipe", "transform", "normalize", "features", "train", "evaluate")
SIDE = ("crossval", "suspects", "explain", "privacy")


@cache
def stages_of(file):
    """Return the stages that run after an edit of a file, those of the main graph first."""
    return tuple(each for each in MAIN + SIDE if file in closure(f"stages.{each}"))


def files_of(room):
    """Return the files of a room, without its rooms."""
    return [
        path.relative_to(ROOT).as_posix()
        for path in FILES
        if layer(name_of(path)) == ROOMS.index(room)
    ]


def rows():
    """Yield for every room: its name, the file that most stages import, and those stages."""
    for room in ROOMS:
        file = max(files_of(room), key=lambda each: len(stages_of(each)))
        yield room, file, stages_of(file)


def purpose(room):
    """Return the first sentence of the docstring of a room, or of a file of one."""
    path = ROOT / "pipeline" / room.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def table():
    """Return the table as Markdown."""
    lines = ["| room | what it is | the file that most stages import | runs |", "|---|---|---|---|"]
    for room, file, stages in rows():
        name = file.removeprefix("pipeline/") if stages else ""
        told = ", ".join(f"`{each}`" for each in stages) or "`publish` alone, as always"
        lines.append(f"| `{room}` | {purpose(room)} | {f'`{name}`' if name else 'any'} | {told} |")
    return "\n".join([*lines, ""])


def written():
    """Return the table that the page has."""
    return PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]


def write():
    """Write the table into the page."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    PAGE.write_text(head + BEGIN + table() + END + rest.split(END)[1], encoding="utf-8")
