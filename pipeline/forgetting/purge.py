"""What a search found, deleted: objects of the cache and the remotes, runs and versions, scratch.

Nothing goes that the working tree still needs: `rootstock repro` makes results without the items
first. Older commits can then not be checked out whole any more, which is what was asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.forgetting.history import members
from pipeline.forgetting.remotes import remotes
from pipeline.forgetting.search import CACHE, Hit
from pipeline.ground.errors import ParamsError
from pipeline.past.holders import Holders
from pipeline.repo.cache import cache_folder
from pipeline.repo.lock import GRAPH, LOCK
from pipeline.repo.recorded_outs import dvc_files, named_here

_SCRATCH = (".rootstock", ".dvc/tmp")
_COMMAND = "rootstock forget --purge"


@dataclass(frozen=True)
class Purge:
    """What goes, and what a person has to see to.

    Attributes:
        goes: Places that are deleted.
        stays: Places that are not, such as files of the working tree.
    """

    goes: Sequence[Hit]
    stays: Sequence[Hit]


def plan_purge(root: Path, hits: Sequence[Hit]) -> Purge:
    """Part what can be deleted from what is a person's.

    Raises:
        ParamsError: The working tree still needs an object, or a version has an alias.
    """
    needed = _needed(root)
    for hit in hits:
        if hit.object in needed:
            source = needed[hit.object]
            raise ParamsError(
                hit.name, f"{hit.what}, and {source} names it", remedy=_remedy(source)
            )
        if hit.held and hit.held.aliases:
            raise ParamsError(
                hit.name,
                "saw what has to go, and has an alias",
                remedy="`rootstock promote --override --reason ...` another version first, or "
                "remove the alias in `make ui`",
            )
    held = [hit.held.id for hit in hits if hit.held and hit.held.kind != "version"]
    goes = [
        hit
        for hit in hits
        if hit.object
        or hit.held
        or _is_scratch(root, hit)
        or any(each in hit.name for each in held)
    ]
    return Purge(goes, [hit for hit in hits if hit not in goes])


def purge(root: Path, plan: Purge) -> None:
    """Delete what is planned.

    Raises:
        MachineError: A remote or MLflow does not answer, or refuses.
    """
    for path in {hit.name for hit in plan.goes if hit.where == CACHE or _is_scratch(root, hit)}:
        _unlink(Path(path))
    for remote in remotes(root):
        mine = [hit for hit in plan.goes if hit.where == f"remote {remote.name}" and hit.object]
        if remote.folder is None:
            remote.remove(sorted({str(hit.object) for hit in mine}))
        for path in {hit.name for hit in mine if remote.folder is not None}:
            _unlink(Path(path))
    Holders().delete(list(dict.fromkeys(hit.held for hit in plan.goes if hit.held)))


def _needed(root: Path) -> dict[str, Path]:
    """Return the md5 of all that files of DVC in the working tree name, and which file does."""
    named = {each.md5: each.source for file in dvc_files() for each in named_here(file)}
    within = {md5: members(cache_folder(root), [md5]) for md5 in named}
    return {each: named[md5] for md5, found in within.items() for each in found} | named


def _remedy(source: Path) -> str:
    if source == Path(LOCK):
        return "run `rootstock repro` first: its results are without the item"
    if source.name == LOCK:
        graph = source.with_name(GRAPH)
        return f"run `dvc repro {graph}` first; `git rm {source}` where it makes the item again"
    return f"delete it there, and `dvc add {source.with_suffix('')}` again"


def _is_scratch(root: Path, hit: Hit) -> bool:
    path = Path(hit.name).resolve()
    scratch = ((root / each).resolve() for each in _SCRATCH)
    return hit.held is None and any(map(path.is_relative_to, scratch))


def _unlink(path: Path) -> None:
    path.chmod(0o644)
    path.unlink()
