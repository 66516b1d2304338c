"""Write the import closure of each stage into the deps of its dvc.yaml: `make deps`."""

import re
from pathlib import Path

from tests.support.closure import ROOT, closure

FOLDERS = ("", "data/elpv", "crossval", "suspects", "explain")
STAGE = re.compile(r"python -m ((?:stages|data)\.[a-z_.]+)")
CODE = re.compile(r"      - [a-z_./]+\.py")


def renew(path: Path) -> None:
    """Replace the run of code deps of every stage; all other lines stay as they are."""
    module, lines, is_written = "", [], False
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := STAGE.search(line):
            module, is_written = found[1], False
        if not CODE.fullmatch(line):
            lines.append(line)
        elif not is_written:
            lines += [f"      - {file}" for file in sorted(closure(module))]
            is_written = True
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    for folder in FOLDERS:
        renew(ROOT / folder / "dvc.yaml")
