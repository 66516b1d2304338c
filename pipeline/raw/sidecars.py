"""Files that lie beside the items and are none: by the user's patterns, or by their names."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from fnmatch import translate

from pipeline.raw.item_names import item_suffixes

_NOTES = frozenset(
    ".xml .json .jsonl .ndjson .txt .csv .tsv .md .rst .yaml .yml .html .htm .xmp .log .xls .xlsx "
    ".ods .py .ipynb .sh .m .names .sha256 .md5".split()
)
_NAMES = re.compile(r"(?:readme|licen[cs]e|copying|citation|notice|changelog)(?![a-z]).*", re.I)
_SHOWN = 6


def compile_globs(globs: Sequence[str]) -> Callable[[str], str | None]:
    """Return a function from a path to the first pattern that it matches, or None.

    A pattern without `/` matches the name of a file or folder at any depth, one with `/`, also at
    its beginning, a path from the top; `*` is any text. What matches a folder matches all in it.
    Case does not count.
    """
    compiled = [(glob, re.compile(_expression(glob), re.I)) for glob in globs]

    def first_match(path: str) -> str | None:
        return next((glob for glob, regex in compiled if regex.match(path)), None)

    return first_match


def _expression(glob: str) -> str:
    is_anywhere = "/" not in glob.rstrip("/") or glob.startswith("**/")
    own = glob.strip("/").removeprefix("**/")
    forms = [own, f"{own}/*"] + ([f"*/{own}", f"*/{own}/*"] if is_anywhere else [])
    return "|".join(map(translate, forms))


def is_read_me(path: str) -> bool:
    """Return whether a file is called as a read-me or a license is."""
    return _NAMES.fullmatch(path.rpartition("/")[2]) is not None


def find_sidecars(files: Sequence[str], *, but: Iterable[str] = ()) -> frozenset[str]:
    """Return the files that are notes on items: no items by their suffix, and named so.

    A file is one if its suffix is that of a table, a text or a markup file, if it is a read-me or a
    license, or if an item in its folder has the same name but for the suffix. A file without a
    suffix, or with one that nobody knows, is none: it may be an item.

    Args:
        files: Paths with `/`.
        but: Paths that a label file names: these are items whatever they are.
    """
    suffixes = item_suffixes()
    other = [path for path in files if _suffix(path) not in suffixes]
    if not other:
        return frozenset()
    outside = set(other)
    bare = {path[: len(path) - len(_suffix(path))] for path in other}
    stems = {
        stem
        for path in files
        if path not in outside
        for stem in (path, path.rpartition(".")[0])
        if stem in bare
    }
    named = outside.intersection(but)
    return frozenset(path for path in other if path not in named and _is_sidecar(path, stems))


def _is_sidecar(path: str, stems: Collection[str]) -> bool:
    suffix = _suffix(path)
    if suffix in _NOTES or is_read_me(path):
        return True
    return bool(suffix) and path[: -len(suffix)] in stems


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if stem and dot else ""


def describe_sidecars(paths: Iterable[str], nouns: str) -> list[str]:
    """Return a warning that counts sidecars by their suffixes; none where there are none."""
    paths = sorted(paths)
    if not paths:
        return []
    counts = Counter(_suffix(path) or path.rpartition("/")[2] for path in paths)
    return [
        f"{some_files(len(paths))} left out as notes beside the {nouns}: "
        f"{some_counts(counts)}; first: {paths[0]!r}"
    ]


def some_files(n: int) -> str:
    """Return `1 file`, or `2 files`."""
    return f"{n} file" if n == 1 else f"{n} files"


def some_counts(counts: Counter[str]) -> str:
    """Return names with their counts, the most frequent first, and how many more there are."""
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    more = len(ranked) - _SHOWN
    return ", ".join(f"{name} {n}" for name, n in ranked[:_SHOWN]) + (
        f" and {more} more" if more > 0 else ""
    )
