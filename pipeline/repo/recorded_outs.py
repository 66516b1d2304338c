"""What lock files and `*.dvc` files name, now or in any revision: paths, and md5 digests."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ground.errors import ParamsError
from pipeline.ground.params import parse_params, read_params
from pipeline.repo.git import ask_git
from pipeline.repo.history import experiments, show
from pipeline.repo.lock import GRAPH, LOCK


@dataclass(frozen=True)
class Named:
    """An output, as a file of DVC records it."""

    path: Path
    """Relative to the repository's root."""

    md5: str
    """Of its bytes; ends in `.dir` for a folder."""

    source: Path
    """The lock file or `*.dvc` file."""

    is_cached: bool = True
    """False where git keeps it (`cache: false`)."""


def dvc_files() -> list[Path]:
    """Return the lock files and `*.dvc` files of the working tree, whether committed or not."""
    listed = ask_git(
        Path(),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
        LOCK,
        f"*/{LOCK}",
        "*.dvc",
    )
    found = (Path(each) for each in (listed or "").split("\0") if each)
    return sorted({each for each in found if each.is_file()})


def named_here(file: Path) -> list[Named]:
    """Return what one file names.

    Raises:
        ParamsError: It is no YAML, or not of the form that DVC writes.
    """
    tracked = set((ask_git(Path(), "ls-files", "-z") or "").split("\0"))
    graph = file.with_name(GRAPH)
    stages = read_params(graph) if file.name == LOCK and graph.exists() else {}
    return [
        Named(each.path, each.md5, each.source, each.path.as_posix() not in tracked)
        for each in _named(read_params(file), file, stages)
    ]


def named_anywhere() -> Iterator[Named]:
    """Yield what the files of every branch, tag and experiment name, remote ones too."""
    refs = ask_git(
        Path(), "for-each-ref", "--format=%(objectname)", "refs/heads", "refs/tags", "refs/remotes"
    )
    commits = {*(refs or "").split(), *(each.sha for each in experiments(Path()))}
    seen: set[tuple[str, str]] = set()
    for commit in sorted(commits):
        yield from named_at(commit, seen)


def experiment_names() -> dict[str, str]:
    """Return name -> commit of the experiments that `dvc exp` keeps here.

    Of two with one name, on different commits, each has the beginning of its baseline added.
    """
    found = experiments(Path())
    counts = Counter(each.name for each in found)
    return {
        each.name if counts[each.name] == 1 else f"{each.name} of {each.baseline[:7]}": each.sha
        for each in found
    }


def named_at(commit: str, seen: set[tuple[str, str]]) -> Iterator[Named]:
    """Yield what the files of a commit name; files in `seen` are skipped, others added to it.

    Unreadable files are skipped: nobody can change a commit.
    """
    listed = ask_git(Path(), "ls-tree", "-r", "-z", commit) or ""
    entries = [each.partition("\t") for each in listed.split("\0") if each]
    in_git = {name for _, _, name in entries}
    for head, _, name in entries:
        blob = head.split()[-1]
        if not (Path(name).name == LOCK or name.endswith(".dvc")) or (blob, name) in seen:
            continue
        seen.add((blob, name))
        try:
            content = parse_params(ask_git(Path(), "cat-file", "blob", blob) or "", path=name)
            graph = Path(name).with_name(GRAPH).as_posix()
            text = show(Path(), commit, graph) or ""
            found = list(_named(content, Path(name), parse_params(text, graph) if text else {}))
        except ParamsError:
            continue
        yield from (each for each in found if each.path.as_posix() not in in_git)


def read_outs(file: Path) -> list[dict[str, Any]]:
    """Return the entries that a lock file or a `*.dvc` file has of outputs, as they stand there.

    Raises:
        ParamsError: It is no YAML, or not of the form that DVC writes.
    """
    return [out for _, _, out in _outs(read_params(file), file)]


def _outs(content: Any, file: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield name and entry of a stage (of a `*.dvc` file, no name and all of it), and an out."""
    stages = content.get("stages") if file.name == LOCK else {"": content}
    if not isinstance(stages, dict):
        raise ParamsError(file, "must hold stages", remedy="run `rootstock doctor --fix`")
    for name, stage in stages.items():
        for out in (stage.get("outs") if isinstance(stage, dict) else None) or ():
            if isinstance(out, dict):
                yield name, stage, out


def _named(content: Any, file: Path, graph: Any) -> Iterator[Named]:
    """Yield the outputs that a file records; entries without an md5 of DVC 3 are skipped.

    Paths are relative to the stage's `wdir`, which the lock file does not repeat.
    """
    for name, stage, out in _outs(content, file):
        if out.get("hash") == "md5" and "md5" in out:
            wdir = _wdir(graph, name) if file.name == LOCK else stage.get("wdir", ".")
            path = Path(os.path.normpath(file.parent / wdir / str(out["path"])))
            yield Named(path, str(out["md5"]), file)


def _wdir(graph: Any, stage: str) -> str:
    """Return the folder that a stage runs in, relative to its dvc.yaml; `name@0` is of `name`."""
    stages = graph.get("stages") if isinstance(graph, dict) else None
    found = stages.get(stage.partition("@")[0]) if isinstance(stages, dict) else None
    found = found.get("do", found) if isinstance(found, dict) else {}
    return str(found.get("wdir", "."))
