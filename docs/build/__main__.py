"""Build the site: `python -m docs.build OUT`. A link that leads nowhere ends it with 1."""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import build_main

from docs.build.commands_page import commands_page
from docs.build.params_page import params_page

ROOT = Path(__file__).parents[2]


def write_source(folder: Path) -> None:
    """Write all pages into a folder, where they link to each other as in the repository."""
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("build"))
    for name in ("CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("data/elpv", "review", "weights"):
        (folder / name).mkdir(parents=True)
        shutil.copy(ROOT / name / "README.md", folder / name)
    (folder / "reference").mkdir()
    (folder / "reference/params.md").write_text(params_page(), encoding="utf-8")
    (folder / "reference/commands.md").write_text(commands_page(), encoding="utf-8")
    for page in folder.rglob("*.md"):
        page.write_text(
            page.read_text("utf-8").replace("](../README.md)", "](../index.md)"), "utf-8"
        )
    first = (ROOT / "README.md").read_text(encoding="utf-8")
    (folder / "index.md").write_text(first + _contents(folder), encoding="utf-8")
    decisions = folder / "docs/decisions/README.md"
    decisions.write_text(decisions.read_text("utf-8") + _toctree("", ["0*"], glob=True), "utf-8")


def _contents(folder: Path) -> str:
    """Return the navigation: the pages and headings of docs/README.md, then what is generated."""
    text = (folder / "docs/README.md").read_text(encoding="utf-8")
    trees = []
    for part in text.split("\n## ")[1:]:
        links = re.findall(r"\]\(([A-Za-z./-]+)\.md\)", part)
        pages = [os.path.normpath(f"docs/{each}") for each in links]
        trees.append(_toctree(part.partition("\n")[0], pages))
    return "".join(
        [*trees, _toctree("Reference", ["reference/params", "reference/commands", "CHANGELOG"])]
    )


def _toctree(caption: str, pages: list[str], *, glob: bool = False) -> str:
    options = [":hidden:", *([f":caption: {caption}"] if caption else []), *[":glob:"] * glob]
    return "\n".join(["", "```{toctree}", *options, "", *pages, "```", ""])


def main(out: str) -> int:
    """Build the site into a folder, and return Sphinx's exit code."""
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        write_source(Path(folder))
        options = ["-W", "--keep-going", "-q", "-c", str(Path(__file__).parent)]
        return int(build_main([*options, "-d", f"{folder}/.trees", folder, out]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
