"""Experiments of `dvc exp`: commits outside all branches, and whether their data are here."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.ground.errors import IntegrityError, MachineError
from pipeline.ground.findings import Finding, ok, warn
from pipeline.repo.cache import object_path, read_listing
from pipeline.repo.recorded_outs import Named, experiment_names, named_at


def check_experiments(cache: Path) -> Iterator[Finding]:
    """Report each experiment, and which of its data the cache lacks; that is no error.

    Objects are looked for, not hashed.

    Args:
        cache: DVC's cache folder.
    """
    for name, commit in experiment_names().items():
        named = {each.md5: each for each in named_at(commit, set())}
        missing = [each for each in named.values() if not _is_here(cache, each.md5)]
        where = f"experiment {name} ({commit[:7]})"
        if missing:
            yield warn(
                where,
                _lacks(missing, len(named)),
                f"run `dvc exp pull <git remote> {name}`, or run it again",
            )
        else:
            yield ok(where, f"its {len(named)} outputs are in the cache")


def _lacks(missing: list[Named], count: int) -> str:
    return f"{len(missing)} of its {count} outputs are not in the cache, first: {missing[0].path}"


def _is_here(cache: Path, md5: str) -> bool:
    """Return whether an object is there, and if it is a folder, all files that it lists."""
    if not object_path(cache, md5).is_file():
        return False
    if not md5.endswith(".dir"):
        return True
    try:
        listing = read_listing(cache, md5)
    except (IntegrityError, MachineError):  # told by who hashes it
        return False
    return all(object_path(cache, each).is_file() for each in listing.values())
