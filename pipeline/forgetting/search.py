"""Whether anything of forgotten items is left: in the project, cache, remotes, MLflow; and git."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.forgetting.history import look_back, members
from pipeline.forgetting.look import FOLLOWED, found_in
from pipeline.forgetting.needles import Needles, make_needles
from pipeline.forgetting.remotes import Remote, remotes
from pipeline.forgetting.traces import Traces, read_traces, traces_file
from pipeline.ground.errors import PipelineError
from pipeline.manifest.forgotten import Forgetting, forgotten_folder
from pipeline.manifest.manifest import read_manifest
from pipeline.past.holders import Held, Holders, in_trash
from pipeline.repo.cache import cache_folder, is_object
from pipeline.repo.git import ask_git
from pipeline.repo.lock import LOCK
from pipeline.repo.recorded_outs import dvc_files, named_here

_MANIFEST = Path("artifacts/clean/manifest.parquet")
_NOT_OURS = {".git", ".venv", "__pycache__", "node_modules"}
_TOLD_COMMITS = 20
PROJECT, CACHE, MLFLOW = "project", "cache", "MLflow"


@dataclass(frozen=True)
class Hit:
    """One place that has something of a forgotten item.

    Attributes:
        where: `project`, `cache`, `MLflow`, or `remote <name>`.
        name: The file, run or version, for people.
        what: What it has.
        object: Its md5, of an object of DVC.
        held: In MLflow.
    """

    where: str
    name: str
    what: str
    object: str | None = None
    held: Held | None = None


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        hits: Places.
        commits: Of git, that name an item by path or id: `<commit> <file>`.
        searched: How many files of which places were read.
        unknown: Commits whose manifest nobody has.
        is_local: Whether this machine knows the paths and rows: else it searched by digests alone.
    """

    hits: Sequence[Hit]
    commits: Sequence[str]
    searched: Sequence[str]
    unknown: Sequence[str]
    is_local: bool


def search(root: Path, review: Path, decisions: Sequence[Forgetting]) -> Found:
    """Search all that the project has, for all that decisions forget.

    Args:
        root: The project; the working directory.
        review: The folder of decisions.
        decisions: What is forgotten.

    Raises:
        MachineError: A remote or git does not answer.
        TrackingError: The tracking server does not.
        OSError: A file cannot be read.
    """
    traces = Traces()
    for each in decisions:
        traces = traces.joined(read_traces(each.name))
    ids = {each for decision in decisions for each, _ in decision.items}
    known = {each for decision in decisions for each in decision.manifests}
    seen = look_back(root, ids, known)
    seen.clean |= _added(root)
    needles = make_needles(decisions, traces, seen, _paths_of_others(root, ids))
    own = {traces_file(each.name).resolve() for each in decisions}
    own |= {(forgotten_folder(review) / each.name).resolve() for each in decisions}
    hits: list[Hit] = []
    searched = []
    looked: dict[tuple[int, int, int], list[str]] = {}
    shared = needles.without_paths()
    for where, folder in _folders(root):
        n, sought = 0, needles if where == PROJECT else shared
        for path in _files(folder, but=_others(where, root)):
            if path.resolve() not in own:
                n += 1
                hits += _hits(where, path, sought, looked)
        searched.append(f"{where}: {n} files")
    for remote in remotes(root):
        found, told = _in_remote(remote, shared, looked)
        hits += found
        searched.append(told)
    held = Holders().find(needles.objects)
    held += in_trash((hit.name for hit in hits), held)
    hits += [Hit(MLFLOW, _told(each), FOLLOWED, held=each) for each in held]
    searched.append(f"{MLFLOW}: tags of runs, models and versions")
    is_local = all(traces_file(each.name).exists() for each in decisions)
    return Found(hits, _commits(root, needles), searched, seen.unknown, is_local)


def _added(root: Path) -> set[str]:
    """Return the md5 of what `*.dvc` files of the working tree name, with what is in folders."""
    files = [each for each in dvc_files() if each.name != LOCK]
    named = {each.md5 for file in files for each in named_here(file)}
    return named | members(cache_folder(root), named).keys()


def _paths_of_others(root: Path, ids: Collection[str]) -> set[str]:
    try:
        table = read_manifest(root / _MANIFEST)
    except PipelineError:
        return set()
    return set(table["path"][~table["id"].isin(ids)])


def _folders(root: Path) -> Iterator[tuple[str, Path]]:
    yield PROJECT, root
    yield CACHE, cache_folder(root)


def _others(where: str, root: Path) -> set[Path]:
    return {cache_folder(root).resolve()} if where == PROJECT else set()


def _files(folder: Path, *, but: Collection[Path] = ()) -> Iterator[Path]:
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(
            each
            for each in folders
            if each not in _NOT_OURS and (Path(top) / each).resolve() not in but
        )
        for name in sorted(names):
            path = Path(top) / name
            if path.is_file():
                yield path


def _hits(
    where: str, path: Path, needles: Needles, looked: dict[tuple[int, int, int], list[str]]
) -> Iterator[Hit]:
    """Yield what a file has; one of several names is read once by each needles."""
    status = path.stat()
    key = (status.st_dev, status.st_ino, len(needles.paths))
    if key not in looked:
        looked[key] = found_in(path, needles)
    found = looked[key]
    if needles.names(path.as_posix().encode("utf-8", "surrogateescape")):
        found = [*found, "is called as the item was"]
    if found:
        md5 = "".join(path.parts[-2:]) if is_object(path.with_suffix("")) else None
        yield Hit(where, str(path), ", ".join(found), md5)


def _in_remote(
    remote: Remote, needles: Needles, looked: dict[tuple[int, int, int], list[str]]
) -> tuple[list[Hit], str]:
    where = f"remote {remote.name}"
    if remote.folder is None:
        held = remote.holds(needles.objects)
        hits = [Hit(where, each, f"{FOLLOWED}, or holds it", each) for each in held]
        return hits, f"{where}: {len(needles.objects)} digests asked for"
    files = list(_files(remote.folder))
    hits = [hit for path in files for hit in _hits(where, path, needles, looked)]
    return hits, f"{where}: {len(files)} files"


def _commits(root: Path, needles: Needles) -> list[str]:
    """Return the commits that changed how often an item is named, with their files."""
    found = []
    for text in needles.texts:
        words = text.decode("utf-8", "replace")
        which = ("--all", f"-{_TOLD_COMMITS}", "--format=@%h", "--name-only", f"-S{words}")
        log = ask_git(root, "log", *which)
        commit = ""
        for line in (log or "").splitlines():
            if line.startswith("@"):
                commit = line[1:]
            elif line and not line.startswith("review/forgotten/"):
                found.append(f"{commit} {line}")
    return sorted(set(found))


def _told(held: Held) -> str:
    aliases = "".join(f" @{each}" for each in held.aliases)
    return f"{held.name}{aliases}" + (" (in the trash)" if held.is_deleted else "")
