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
    "data/amazon/dvc.yaml",
    "crossval/dvc.yaml",
    "suspects/dvc.yaml",
    "explain/dvc.yaml",
    "privacy/dvc.yaml",
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


if __name__ == "__main__":
    shutil.rmtree(ROOT / "imports", ignore_errors=True)
    for module in modules():
        for path, target in links(module).items():
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).symlink_to(Path("../..", target))
    # `dvc exp run` takes along what git knows, and no other file.
    subprocess.run(["git", "add", "--all", "imports"], cwd=ROOT, check=True)
    rerun.write()
