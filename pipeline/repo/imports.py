"""The code of a stage: `imports/<stage>`, a folder with a link to each file that it reads.

DVC reads no imports, so a stage has this folder as a dep: DVC hashes what the links lead to. A link
is named like its module, or its template. `make deps` writes the links, and a test compares them
with the imports. Lock files of earlier commits list the files themselves.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.ground.errors import IntegrityError
from pipeline.ground.files import md5_file
from pipeline.repo.git import ask_git, read_git

IMPORTS = "imports"
_PAGES = ("html", "css")
"""Suffixes of templates, which the names of their links keep."""


def is_code(path: str) -> bool:
    """Return whether a dep of a stage is code: its links, or in earlier lock files a module."""
    return path.endswith(".py") or path.startswith(f"{IMPORTS}/")


def source(link: str) -> str:
    """Return the file, relative to the project, that a link of this name leads to."""
    name, _, suffix = link.rpartition(".")
    if suffix not in _PAGES:
        name, suffix = link, "py"
    return f"{name.replace('.', '/')}.{suffix}"


def refuse_copied_links(root: Path) -> None:
    """Raise where a copy of the project, made without git, has files in place of links.

    Raises:
        IntegrityError: An edit of the code would re-run no stage.
    """
    for path in sorted((root / IMPORTS).glob("*/*")):
        if not path.is_symlink():
            raise IntegrityError(
                path,
                "must be a link to the code, as in git",
                remedy="run `make deps`, or `git clone`",
            )


def folder_md5(folder: Path) -> str | None:
    """Return the digest that DVC gives to a folder; None where there is none."""
    if not folder.is_dir():
        return None
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return _digest({path.relative_to(folder).as_posix(): md5_file(path) for path in paths})


def code_md5_at(root: Path, commit: str, path: str) -> str | None:
    """Return the digest of code as a commit has it; None where it has none.

    Args:
        root: The folder of the project.
        commit: Any revision.
        path: A dep for which `is_code` is true.
    """
    if path.endswith(".py"):
        return _md5_at(root, commit, path)
    listed = ask_git(root, "ls-tree", "-z", "--name-only", commit, f"./{path}/") or ""
    links = [Path(each).name for each in listed.split("\0") if each]
    files = {link: _md5_at(root, commit, source(link)) for link in links}
    known = {link: md5 for link, md5 in files.items() if md5 is not None}
    return _digest(known) if files and len(known) == len(files) else None


def _md5_at(root: Path, commit: str, path: str) -> str | None:
    content = read_git(root, "show", f"{commit}:./{path}")
    return None if content is None else hashlib.md5(content, usedforsecurity=False).hexdigest()


def _digest(files: Mapping[str, str]) -> str:
    entries = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    text = json.dumps(entries, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"
