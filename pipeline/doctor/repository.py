"""git and DVC: is this a repository of both, and is what DVC keeps about itself sound?"""

import json
import os
import re
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import psutil

from pipeline.doctor.preflight import backup_of, check_lock, lock_files
from pipeline.ground.errors import MachineError, ParamsError
from pipeline.ground.files import write_text
from pipeline.ground.findings import Finding, fault, fixed, ok, warn
from pipeline.repo.cache import dvc_folder
from pipeline.repo.git import GitError, ask_git, find_repository, has_commit

_RWLOCK = Path("tmp") / "rwlock"
_LEFTOVERS = ".*.tmp"
"""What DVC calls a file until it is whole."""

_LINKS = ("hardlink", "symlink")
_SHOWN = 300


def check_repository(*, fix: bool, params_are_right: bool) -> Generator[Finding, None, Any]:
    """Check the repository from the outside in.

    The project may lie in a subfolder of the git repository, and share the DVC repository above it.

    Args:
        fix: Mend what can be mended without a loss.
        params_are_right: Whether params.yaml is, which DVC reads for its graph.

    Returns:
        DVC's configuration, as a mapping.

    Raises:
        MachineError: There is no git or DVC repository, or DVC's own files are damaged.
        ParamsError: DVC's configuration or graph is wrong, or a lock file is in conflict.
    """
    is_top = _require_git()
    dvc = _shown(dvc_folder(Path()))
    if not (dvc / "config").is_file():
        made = "`dvc init`" if is_top else "`dvc init --subdir`"
        raise MachineError(
            dvc, "this is no DVC repository", remedy=f"run `git checkout .dvc`, or {made}"
        )
    config = _read_config(dvc)
    yield from _judge_config(dvc, config)
    yield from _rwlock(dvc / _RWLOCK, fix=fix)
    yield from _locks(fix=fix)
    yield from _leftovers(_cache_folder(dvc, config), fix=fix)
    if params_are_right:
        yield _graph()
    return config


def _require_git() -> bool:
    """Return whether this is the top of a git repository, and not a folder in it."""
    if shutil.which("git") is None:
        raise GitError("git", "must be installed, and on the PATH")
    top = find_repository(Path())
    if top is None:
        raise MachineError(
            Path.cwd(),
            "this is no git repository",
            remedy="clone the repository, or run `git init`",
        )
    has_commit(Path())
    return top == Path.cwd()


def _shown(path: Path) -> Path:
    """Return a path as people would write it here."""
    return Path(os.path.relpath(path))


def _read_config(dvc: Path) -> Any:
    """Read all levels of DVC's configuration, as DVC does."""
    from dvc.config import Config, ConfigError  # slow to import

    try:
        return Config(str(dvc.resolve()))
    except ConfigError as error:
        raise ParamsError(dvc / "config", str(error)) from error


def _judge_config(dvc: Path, config: Any) -> Iterator[Finding]:
    where, found = dvc / "config", True
    if config["core"].get("analytics", True):
        found = False
        yield warn(
            where,
            "core.analytics: DVC reports its use to its makers",
            "run `dvc config core.analytics false`",
        )
    links = [each for each in config["cache"].get("type") or () if each in _LINKS]
    if links:
        found = False
        yield warn(
            where,
            f"cache.type: {links[0]}: whoever writes to a file in the working tree "
            "damages the cache too",
            "run `dvc config cache.type reflink,copy`",
        )
    cache = _cache_folder(dvc, config)
    place = next(each for each in (cache, *cache.absolute().parents) if each.exists())
    if not os.access(place, os.W_OK):
        raise MachineError(cache, "DVC's cache cannot be written", remedy="mend its access")
    if found:
        yield ok(where, "DVC sends no usage data, and its cache is safe from writes")


def _cache_folder(dvc: Path, config: Any) -> Path:
    return Path(config["cache"].get("dir") or dvc / "cache")


def _rwlock(rwlock: Path, *, fix: bool) -> Iterator[Finding]:
    """Look at the file by which DVC's processes know of each other; a crash leaves it empty."""
    if not rwlock.exists():
        return
    try:
        content = json.loads(rwlock.read_text(encoding="utf-8"))
        is_sound = isinstance(content, dict)
    except ValueError:
        is_sound = False
    running = running_dvc(Path.cwd())
    if running:
        yield warn(rwlock, f"DVC is running here (PID {running[0]})", "wait for it")
    if is_sound:
        return
    if fix and not running:
        rwlock.unlink()
        yield fixed(rwlock, "was cut or damaged by a crash, and is removed")
        return
    yield fault(
        MachineError(
            rwlock,
            "is cut or damaged, and stops every `dvc repro`",
            remedy="wait for the DVC that runs" if running else "run `rootstock doctor --fix`",
        )
    )


def running_dvc(root: Path) -> list[int]:
    """Return the processes of DVC that work in a repository."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words, folder = process.info["cmdline"] or (), process.info["cwd"]
        is_dvc = any(Path(word).name == "dvc" for word in words[:4])
        if is_dvc and folder and Path(folder).is_relative_to(root.resolve()):
            found.append(int(process.pid))
    return found


def _locks(*, fix: bool) -> Iterator[Finding]:
    sound = 0
    for lock in lock_files():
        try:
            check_lock(lock)
            sound += 1
        except ParamsError as error:
            yield fault(error)
        except MachineError as error:
            yield _restored(lock) if fix else fault(error)
    if sound:
        yield ok("dvc.lock", f"{sound} lock files are sound")


def _restored(lock: Path) -> Finding:
    """Put the last sound copy in place; what it does not know comes back from DVC's run cache."""
    backup, committed = backup_of(lock), ask_git(Path(), "show", f"HEAD:./{lock}")
    kept = backup.with_name(f"{lock.name}.damaged")
    kept.parent.mkdir(parents=True, exist_ok=True)
    whole = _whole_entries(lock.read_text(encoding="utf-8", errors="replace"))
    lock.replace(kept)
    if backup.is_file():
        shutil.copyfile(backup, lock)
        done = f"restored from {backup}"
    elif committed is not None:
        write_text(lock, committed)
        done = "restored from the last commit"
    else:
        write_text(lock, whole)
        done = "restored as far as whole entries go, as there is no copy"
    check_lock(lock)
    return fixed(lock, f"was cut or damaged, and is {done}; the old one is {kept}")


def _whole_entries(text: str) -> str:
    """Return a cut lock file up to its last entry, which may be cut itself."""
    lines = text.splitlines(keepends=True)
    last = max(
        (number for number, line in enumerate(lines) if re.match(r"  [^\s-]", line)), default=0
    )
    return "".join(lines[:last]) if last > 2 else "schema: '2.0'\nstages: {}\n"


def _leftovers(cache: Path, *, fix: bool) -> Iterator[Finding]:
    """Find what DVC was writing to its cache when it was killed, or the disk was full."""
    stale = [each for each in cache.rglob(_LEFTOVERS) if each.is_file()]
    if not stale or running_dvc(Path.cwd()):
        return
    size = sum(each.lstat().st_size for each in stale)
    told = f"{len(stale)} files that DVC did not finish, {size / 1e6:,.1f} MB"
    if not fix:
        yield warn(cache, told, "run `rootstock doctor --fix` to remove them")
        return
    for each in stale:
        each.unlink()
    yield fixed(cache, f"{told}, are removed")


def _graph() -> Finding:
    """Have DVC read all its files and check its graph, as `dvc repro` begins."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(Path.cwd())) as repo:
            repo.index.check_graph()
            stages = len(repo.index.stages)
    except DvcException as error:
        causes = [str(error), str(error.__cause__ or "")]
        told = " ".join(" ".join(each.split()) for each in causes if each)
        raise ParamsError("dvc.yaml", f"DVC cannot use its files: {told[:_SHOWN]}") from error
    return ok("dvc.yaml", f"{stages} stages and tracked data, and no cycle")
