"""Hash the files that lock files name, in the working tree and in DVC's cache, each once."""

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.compute.engine import MachineParams, progress
from pipeline.doctor.preflight import STATE, check_lock
from pipeline.fsck.experiments import check_experiments
from pipeline.ground.errors import IntegrityError, PipelineError
from pipeline.ground.files import md5_file
from pipeline.ground.findings import Finding, fault, fixed, ok, warn
from pipeline.ground.params import load_section, read_params
from pipeline.ground.stage import PARAMS
from pipeline.promotion.audit_check import read_sound_audit
from pipeline.repo.cache import cache_folder, object_path, read_listing
from pipeline.repo.git import ask_git, has_commit
from pipeline.repo.lock import AUDIT
from pipeline.repo.recorded_outs import Named, dvc_files, named_anywhere, named_here

DAMAGED = STATE / "damaged"
"""Where `--fix` puts objects whose bytes are not those of their name."""


@dataclass(frozen=True)
class Scope:
    """What is checked beside the working tree and the objects that its lock files name."""

    every_revision: bool = False
    """The objects that every branch, tag and experiment names."""

    whole_cache: bool = False
    """Every object in the cache."""

    fix: bool = False
    """Move damaged objects away, so that DVC gets them again."""


def check_files(scope: Scope, machine: MachineParams) -> Generator[Finding, None, None]:
    """Compare bytes with their records; each file is read once.

    A difference is an error with the code of `IntegrityError`. A missing file is a warning.

    Args:
        scope: What is looked at.
        machine: Workers (threads here) and progress.

    Raises:
        GitError: git cannot read the repository.
    """
    has_commit(Path())
    named: list[Named] = []
    for file in dvc_files():
        try:
            if file.name == "dvc.lock":
                check_lock(file)
            named += named_here(file)
        except PipelineError as error:
            yield fault(error)
    hasher = _Hasher(machine)
    cache = _Cache(cache_folder(Path()), hasher)
    yield from cache.check([each for each in named if each.is_cached], fix=scope.fix)
    if scope.every_revision:
        yield from cache.check(list(named_anywhere()), fix=scope.fix, elsewhere=True)
    if scope.whole_cache:
        yield from cache.check_rest(fix=scope.fix)
    yield from _working_tree(named, cache, hasher)
    yield from check_experiments(cache.folder)
    yield from _audit()


def refuse_damaged(since_s: float, machine: MachineParams) -> None:
    """Hash the objects that came into DVC's cache since a time: DVC may have believed a remote.

    Args:
        since_s: Seconds since 1970.
        machine: Workers and progress.

    Raises:
        IntegrityError: The md5 of an object is not its name.
    """
    folder = cache_folder(Path())
    new = {
        md5: place for md5, place in _objects(folder).items() if place.stat().st_ctime >= since_s
    }
    digests = _Hasher(machine).hash(new.values(), "pulled")
    wrong = [place for md5, place in new.items() if digests.get(place) != md5.removesuffix(".dir")]
    if wrong:
        raise IntegrityError(
            wrong[0],
            f"is damaged, as are {len(wrong) - 1} more objects that were pulled: what "
            "was made of them is not what the lock files say",
            remedy="run `rootstock fsck --fix`, push them again from an intact clone, and set "
            "`verify` on the remote",
        )


def _objects(cache: Path) -> dict[str, Path]:
    """Return md5 -> place of every object in a cache."""
    top = cache / "files" / "md5"
    return {
        each.parent.name + each.name: each
        for each in sorted(top.glob("[0-9a-f]*/*"))
        if not each.name.startswith(".") and each.is_file()
    }


def machine_params() -> MachineParams:
    """Return `machine` of params.yaml; if it cannot be read, values that suit every machine."""
    try:
        return load_section(read_params(PARAMS), "machine", MachineParams, path=PARAMS)
    except PipelineError:  # a merge left it in conflict, say: bytes can be hashed all the same
        return MachineParams.alone(workers="auto", progress="auto")


class _Hasher:
    """The md5 of files; a file with two names is hashed once."""

    def __init__(self, machine: MachineParams) -> None:
        self._machine = machine
        self._known: dict[tuple[int, int], str] = {}

    def hash(self, paths: Iterable[Path], title: str) -> dict[Path, str]:
        """Return the md5 of the files that are there."""
        where = {path: _identity(path) for path in paths}
        there = {path: key for path, key in where.items() if key is not None}
        new = {key: path for path, key in there.items() if key not in self._known}
        with ThreadPoolExecutor(self._machine.count_workers()) as pool:
            digests = progress(
                pool.map(md5_file, new.values()),
                self._machine,
                total=len(new),
                title=title,
                unit="files",
            )
            self._known.update(zip(new, digests, strict=True))
        return {path: self._known[key] for path, key in there.items()}


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (status.st_dev, status.st_ino) if path.is_file() else None


class _Cache:
    """DVC's cache: the objects that were checked, and those that are sound."""

    def __init__(self, folder: Path, hasher: _Hasher) -> None:
        self.folder = folder
        self._hasher = hasher
        self.sound: set[str] = set()
        self._seen: set[str] = set()

    def check(self, named: list[Named], *, fix: bool, elsewhere: bool = False) -> Iterator[Finding]:
        """Hash the named objects, then those that the sound folders among them list."""
        owner: dict[str, Path] = {}
        for each in named:
            owner.setdefault(each.md5, each.path)
        yield from self._look(owner, fix=fix, elsewhere=elsewhere)
        files: dict[str, Path] = {}
        for md5, path in owner.items():
            if md5.endswith(".dir") and md5 in self.sound:
                for name, file_md5 in read_listing(self.folder, md5).items():
                    files.setdefault(file_md5, path / name)
        yield from self._look(files, fix=fix, elsewhere=elsewhere)

    def check_rest(self, *, fix: bool) -> Iterator[Finding]:
        """Hash every other object."""
        yield from self._look(_objects(self.folder), fix=fix, elsewhere=True)

    def _look(self, owner: dict[str, Path], *, fix: bool, elsewhere: bool) -> Iterator[Finding]:
        new = {md5: path for md5, path in owner.items() if md5 not in self._seen}
        self._seen.update(new)
        places = {md5: object_path(self.folder, md5) for md5 in new}
        digests = self._hasher.hash(places.values(), "cache")
        sound, missing = 0, []
        for md5, place in places.items():
            if place not in digests:
                missing.append(new[md5])
            elif digests[place] == md5.removesuffix(".dir"):
                sound += 1
                self.sound.add(md5)
            else:
                yield _damaged(place, md5, new[md5], fix=fix)
        if missing:
            told = f"{len(missing)} objects are missing, first: {missing[0]}"
            told += " (of another revision)" if elsewhere else ""
            yield warn(
                self.folder,
                told,
                "run `dvc fetch --all-branches --all-tags`"
                if elsewhere
                else "run `dvc pull`, `dvc repro`, or `dvc commit`",
            )
        if sound:
            yield ok(self.folder, f"{sound} objects have the bytes of their names")


def _damaged(place: Path, md5: str, path: Path, *, fix: bool) -> Finding:
    if not fix:
        return fault(
            IntegrityError(
                place,
                f"is damaged: its bytes do not have the md5 of its name; it is {path}",
                remedy="run `rootstock fsck --fix`, then `dvc pull` or `dvc repro`",
            )
        )
    kept = DAMAGED / md5
    kept.parent.mkdir(parents=True, exist_ok=True)
    place.replace(kept)
    return fixed(
        place,
        f"was damaged, and is now {kept}; run `dvc pull`, or `dvc repro`, to have {path} again",
    )


def _working_tree(named: list[Named], cache: _Cache, hasher: _Hasher) -> Iterator[Finding]:
    """Compare the outputs that are here with their records."""
    wanted: dict[Path, dict[Path, str]] = {}
    for each in named:
        if not each.path.exists():
            yield warn(each.path, "is not here", "run `dvc checkout`, `dvc pull` or `dvc repro`")
        elif not each.md5.endswith(".dir"):
            wanted[each.path] = {each.path: each.md5}
        elif each.md5 in cache.sound:
            listing = read_listing(cache.folder, each.md5)
            wanted[each.path] = {each.path / name: md5 for name, md5 in listing.items()}
        else:
            yield warn(
                each.path,
                "cannot be compared: the list of its files is not in the cache",
                "run `dvc fetch`",
            )
    digests = hasher.hash([path for files in wanted.values() for path in files], "working tree")
    same = 0
    for out, files in wanted.items():
        here = set(filter(Path.is_file, out.rglob("*"))) if out.is_dir() else {out}
        wrong = sorted(
            {path for path in files if digests.get(path) != files[path]} | (here - set(files))
        )
        if not wrong:
            same += 1
            continue
        yield fault(
            IntegrityError(
                out,
                f"differs from its record: {len(wrong)} of {len(here | set(files))} files, first: "
                f"{wrong[0]}",
                remedy=f"copy it if you want to keep it, then `dvc checkout --force "
                f"{out}`, or `dvc repro`",
            )
        )
    if same:
        yield ok("working tree", f"{same} outputs have the bytes that were recorded")


def _audit() -> Iterator[Finding]:
    """Hash the decisions, and report those that no commit holds."""
    try:
        decisions = read_sound_audit(AUDIT)
    except IntegrityError as error:
        yield fault(error)
    else:
        if decisions:
            yield ok(AUDIT, f"{len(decisions)} decisions have the hashes of their names")
    status = ("status", "--porcelain", "--untracked-files=all")
    changed = ask_git(Path(), *status, "--", str(AUDIT)) or ""
    if changed:
        yield warn(
            AUDIT,
            f"{len(changed.splitlines())} decisions are not committed as they are",
            "run `git add audit`, and commit",
        )
