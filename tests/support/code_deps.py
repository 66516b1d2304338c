"""Write what each stage imports as links, and the table of what an edit runs: `make deps`."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.support import rerun
from tests.support.closure import ROOT, closure

GRAPHS = (
    "dvc.yaml",
    "data/elpv/dvc.yaml",
    "crossval/dvc.yaml",
    "suspects/dvc.yaml",
    "explain/dvc.yaml",
)
COMMAND = re.compile(r"python -m ((?:stages|data)\.[a-z_.]+)")


def modules():
    """Return the module of every stage."""
    texts = [(ROOT / graph).read_text(encoding="utf-8") for graph in GRAPHS]
    return [name for text in texts for name in COMMAND.findall(text)]


def links(module):
    """Return path -> target of the links of a stage, both relative to the repository."""
    folder = f"imports/{module.split('.')[-1]}"
    return {
        f"{folder}/{file.removesuffix('.py').replace('/', '.')}": file for file in closure(module)
    }


def strip(graph):
    """Drop lists of code deps that a merge with an older branch brought back."""
    path = ROOT / graph
    lines: list[str] = []
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if found := COMMAND.search(line):
            name = found[1].split(".")[-1]
        if not line.endswith(".py\n") and "      - imports/" not in line:
            lines.append(line)
        if line == "    deps:\n":
            lines.append(f"      - imports/{name}\n")
    path.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    for graph in GRAPHS:
        strip(graph)
    shutil.rmtree(ROOT / "imports", ignore_errors=True)
    for module in modules():
        for path, target in links(module).items():
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).symlink_to(Path("../..", target))
    # `dvc exp run` takes along what git knows, and no other file.
    subprocess.run(["git", "add", "--all", "imports"], cwd=ROOT, check=True)
    rerun.write()
