"""Which file a written path means, where no file has just that path.

People write paths without a suffix, in another case, as another machine has them, or seen from
another folder. A reading is one such difference: a spelling and a place. It counts only where it
finds a file for every path that names none as written, another one for each; so a list is read in
one way or not at all, and never by halves. (What stands before all paths alike may be left out
where some of the files are missing: that mixes up none.) Whatever is found is one of the files that
were given: no reading leads out of the folder.
"""

import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from pipeline.raw.item_names import is_named_item

_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")
_NUMBER = re.compile(r"0*(\d+)(?:\.0+)?")
_MARKS = re.compile("[ \t\u00a0'\"`]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_DRIVE = re.compile(r"[A-Za-z]:(?=/)")
_SAMPLED = 20
"""Paths by which folders are looked for that may lack before all of them."""

_MOST_FOLDERS = 5
"""Of such folders, those in which the most of these paths are."""

_FEWEST = 0.5
"""Share of a list's paths that may be seen from elsewhere; fewer are rather stale."""


@dataclass(frozen=True)
class Written:
    """The paths of a list that name no file as they are written.

    Attributes:
        texts: The paths, in the list's order.
        share: Their share of all paths, 0..1.
        beside: The cells of other columns of the same rows, which may name the folder.
        home: The list's own folder as seen from the root: `""`, `"train"`, `".."`.
        stem: The list's name without its suffix: `train` of train.csv means train/ if in doubt.
    """

    texts: Sequence[str]
    share: float
    beside: Mapping[str, Sequence[str]]
    home: str
    stem: str = ""


class Matched(NamedTuple):
    """What the paths mean, and what to tell people.

    Attributes:
        files: A file for each path, in order, or None where it is missing; empty without a reading.
        told: How they are read, or how the most of them could be; empty where nothing is like them.
    """

    files: tuple[str | None, ...]
    told: str


def inside(root: Path, text: str) -> str | None:
    """Return the place below `root` that an absolute path or a `file:` URL names, or None.

    Only the text is looked at; `root` may be reached through links.
    """
    scheme = _SCHEME.match(text)
    if scheme and scheme[1].lower() == "file":
        text = unquote(text[scheme.end() :].removeprefix("localhost"))
    if not text.startswith("/"):
        return None
    path = posixpath.normpath(text)
    for each in (posixpath.abspath(root), posixpath.realpath(root)):
        if path.startswith(f"{each}/"):
            return path[len(each) + 1 :]
    return None


def home_of(listing: Path, root: Path) -> str:
    """Return the folder of a list as seen from `root`."""
    home = posixpath.relpath(posixpath.abspath(listing.parent), posixpath.abspath(root))
    return "" if home == "." else home


def match_paths(written: Written, files: Sequence[str], taken: Set[str]) -> Matched:
    """Find the one reading by which all paths name files.

    Args:
        written: The paths that name none as written.
        files: All files below the root, relative to it.
        taken: Those that other paths name as written.
    """
    best = (0, "")
    plain = [_plain(text) for text in written.texts]
    for place, (spelling, texts, files_by, hits) in _readings(plain, files):
        if hits <= best[0] and hits < len(plain):
            continue
        found = place(texts, files_by, written)
        n = _count(found.files)
        if n <= best[0] and n < len(plain):
            continue
        doubt = found.doubt or _doubt(written, found.files, taken, place)
        told = spelling.tell(found.how, [each for each in found.files if each])
        if not doubt and (n == len(plain) or (found.is_uniform and n > len(plain) / 2)):
            missing = f", with no file for {len(plain) - n}" if n < len(plain) else ""
            return Matched(tuple(found.files), f"they are read {told}{missing}")
        if n > best[0]:
            best = n, f"{n} of them would be found {told}{doubt}"
    return Matched((), best[1])


def _readings(plain: Sequence[str], files: Sequence[str]) -> "Iterator[tuple[_Place, _Spelled]]":
    """Return what to try, the likeliest first: all spellings in the near places, then in the far.

    A spelling by which no file has the name of any path helps nowhere.
    """
    spelled = []
    composed = [(unicodedata.normalize("NFC", file), file) for file in files]
    items = [pair for pair in composed if _may_be_item(pair[0])]
    for spelling in _SPELLINGS:
        index = _Index(items if spelling.is_of_items else composed, spelling)
        texts = [spelling.of_row(text) for text in plain]
        hits = sum(_name(text) in index.names for text in texts)
        if hits:
            spelled.append(_Spelled(spelling, texts, index, hits))
            yield from ((place, spelled[-1]) for place in _PLACES)
    yield from ((place, each) for each in spelled for place in _LAST_PLACES)


def _doubt(written: Written, found: Sequence[str | None], taken: Set[str], place: "_Place") -> str:
    """Return what speaks against a reading: two paths would be one file, or it is a far guess."""
    owner: dict[str, str] = {}
    for text, file in zip(written.texts, found, strict=True):
        if file is None:
            continue
        if file in taken:
            return f"; but {text!r} would be {file!r}, which another row names"
        if owner.setdefault(file, text) != text:
            return f"; but {text!r} and {owner[file]!r} would be one file"
    is_near = place in (_whole, _from_home) or written.share >= _FEWEST
    if not is_near and not all(map(_is_foreign, written.texts)):
        return ", which is not believed of a few paths among many good ones"
    return ""


def _count(found: Sequence[str | None]) -> int:
    return len(found) - found.count(None)


# Spellings: what of a path does not count. Both sides are turned into the same key.


def _same(path: str) -> str:
    return path


def _bare(path: str) -> str:
    if not _MARKS.search(path):
        return path
    return "/".join(part.strip(" \t\u00a0'\"`") for part in path.split("/"))


def _lower(path: str) -> str:
    return unicodedata.normalize("NFC", path.casefold())


def _stem(path: str) -> str:
    return _SUFFIX.sub("", path)


def _number(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    number = _NUMBER.fullmatch(_stem(name))
    return f"{folder}{slash}{number[1]}" if number else path


def _loose(path: str) -> str:
    return re.sub(r"[\s_-]+", "_", _lower(_stem(unquote_plus(_bare(path)))))


@dataclass(frozen=True)
class _Spelling:
    told: str
    of_row: Callable[[str], str]
    of_file: Callable[[str], str]
    is_of_items: bool = False
    """Whether suffixes do not count, so that files that are no items must not either."""

    def tell(self, place: str, files: Sequence[str]) -> str:
        suffixes = sorted({posixpath.splitext(each)[1] for each in files})
        named = " or ".join(islice(suffixes, 3)) + (" or others" if len(suffixes) > 3 else "")
        return ", ".join(filter(None, (place, self.told.format(suffix=named)))) or "as they are"


_SPELLINGS = (
    _Spelling("", _same, _same),
    _Spelling("without blanks and quotes around them", _bare, _bare),
    _Spelling("with %20 and the like decoded", unquote, unquote),
    _Spelling("with + and %20 decoded", unquote_plus, unquote_plus),
    _Spelling("in another case", _lower, _lower),
    _Spelling("with the suffix {suffix}", _same, _stem, is_of_items=True),
    _Spelling("with the suffix {suffix} in place of their own", _stem, _stem, is_of_items=True),
    _Spelling("as numbers, with the suffix {suffix}", _number, _number, is_of_items=True),
    _Spelling(
        "with the suffix {suffix}, in another case, or with other blanks and escapes",
        _loose,
        _loose,
        is_of_items=True,
    ),
)


class _Index:
    """Files by a spelling's key; a key of several files has none."""

    def __init__(self, files: Sequence[tuple[str, str]], spelling: _Spelling) -> None:
        self.by_key = _unique((spelling.of_file(composed), file) for composed, file in files)
        self.names = {_name(key) for key in self.by_key}

    @cached_property
    def by_tail(self) -> dict[str, str | None]:
        """Files by each end of their paths, from whole folders on."""
        return _unique((tail, file) for key, file in self._files() for tail in _tails(key))

    def by_end(self, parts: int) -> dict[str, str | None]:
        """Files by the last parts of their paths."""
        return _unique((_end(key, parts), file) for key, file in self._files())

    def folders(self, name: str) -> list[str]:
        """Return the folders, with `/`, that hold a file of this path below them."""
        return [key[: -len(name)] for key in self.by_key if key.endswith(f"/{name}")]

    def _files(self) -> Iterator[tuple[str, str]]:
        return ((key, file) for key, file in self.by_key.items() if file is not None)


class _Spelled(NamedTuple):
    """Paths and files by a spelling, and how many paths have the name of any file."""

    spelling: _Spelling
    texts: list[str]
    files_by: _Index
    hits: int


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for key, file in pairs:
        found[key] = None if found.get(key, file) != file else file
    return found


def _may_be_item(file: str) -> bool:
    return is_named_item(file) or not _SUFFIX.search(file)


# Places: from where a path is seen.


class _Found(NamedTuple):
    """The file of each path; how it is seen, for people; what speaks against it.

    `is_uniform` where the same is left out before all paths, found or not.
    """

    files: list[str | None]
    how: str = ""
    doubt: str = ""
    is_uniform: bool = False


def _whole(texts: Sequence[str], index: _Index, written: Written) -> _Found:
    """As seen from the root."""
    del written
    return _Found([index.by_key.get(text) for text in texts])


def _from_home(texts: Sequence[str], index: _Index, written: Written) -> _Found:
    """As seen from the folder of the list."""
    if not written.home:
        return _none(texts)
    joined = (posixpath.normpath(f"{written.home}/{text}") for text in texts)
    return _Found([index.by_key.get(path) for path in joined], "as seen from the list's own folder")


def _without_prefix(texts: Sequence[str], index: _Index, written: Written) -> _Found:
    """As seen from a folder above the root, or from the root of another machine."""
    del written
    ends = [next(filter(index.by_key.get, _tails(text)), "") for text in texts]
    cut = {text[: -len(end)] for text, end in zip(texts, ends, strict=True) if end}
    found = [index.by_key.get(end) for end in ends]
    if len(cut) != 1:
        return _Found(found, "without the folders before them")
    prefix = cut.pop()
    is_uniform = prefix != "" and all(text.startswith(prefix) for text in texts)
    return _Found(found, f"without {prefix!r} before them", is_uniform=is_uniform)


def _below_folder(texts: Sequence[str], index: _Index, written: Written) -> _Found:
    """As seen from one folder below the root."""
    step = len(texts) // _SAMPLED + 1
    seen = Counter(folder for text in texts[::step] for folder in index.folders(text))
    counts = [
        (
            sum(index.by_key.get(f"{folder}{text}") is not None for text in texts),
            _name(folder[:-1]) == written.stem,
            folder,
        )
        for folder, _ in seen.most_common(_MOST_FOLDERS)
    ]
    if not counts:
        return _none(texts)
    counts.sort(reverse=True)
    (*first, folder), others = counts[0], [each[2] for each in counts[1:]]
    equal = [other for each, other in zip(counts[1:], others, strict=True) if [*each[:2]] == first]
    doubt = f"; but as many with {equal[0]!r}" if equal else ""
    found = [index.by_key.get(f"{folder}{text}") for text in texts]
    return _Found(found, f"with {folder!r} before them", doubt)


def _below_column(texts: Sequence[str], index: _Index, written: Written) -> _Found:
    """In a folder that another column of the row names."""
    best = _none(texts)
    for name, cells in written.beside.items():
        joined = [f"{cell}/{text}" for cell, text in zip(cells, texts, strict=True)]
        found = [index.by_tail.get(path) for path in joined]
        if _count(found) > _count(best.files):
            best = _Found(found, f"in the folders of the column {name!r}")
    return best


def _below_any(texts: Sequence[str], index: _Index, written: Written) -> _Found:
    """In whatever folders below the root."""
    del written
    return _Found([index.by_tail.get(text) for text in texts], "in the folders below")


def _by_end(parts: int) -> "_Place":
    def place(texts: Sequence[str], index: _Index, written: Written) -> _Found:
        del written
        ends = index.by_end(parts)
        told = "by their names alone" if parts == 1 else "by their last folders and names"
        return _Found([ends.get(_end(text, parts)) for text in texts], told)

    return place


def _none(texts: Sequence[str]) -> _Found:
    return _Found([None] * len(texts))


_Place = Callable[[Sequence[str], _Index, Written], _Found]
_PLACES: tuple[_Place, ...] = (
    _whole,
    _from_home,
    _without_prefix,
    _below_folder,
    _below_column,
    _below_any,
)
_LAST_PLACES: tuple[_Place, ...] = (_by_end(2), _by_end(1))


def _is_foreign(text: str) -> bool:
    """Return whether a path is of another machine: it begins with a root, a drive or a scheme."""
    path = text.strip().replace("\\", "/")
    return path.startswith("/") or bool(_SCHEME.match(path) or _DRIVE.match(path))


def _plain(text: str) -> str:
    """Return a path in parts with `/` between, without a scheme, a drive and a root before it."""
    path = unicodedata.normalize("NFC", text.strip()).replace("\\", "/")
    scheme = _SCHEME.match(path)
    if scheme:
        path = path[scheme.end() :]
        if scheme[1].lower() in ("http", "https"):
            path = re.split("[?#]", path, maxsplit=1)[0]
        path = unquote(path)
    path = _DRIVE.sub("", path, count=1)
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _tails(path: str) -> Iterator[str]:
    yield path
    at = path.find("/")
    while at >= 0:
        yield path[at + 1 :]
        at = path.find("/", at + 1)


def _end(path: str, parts: int) -> str:
    return "/".join(path.split("/")[-parts:])


def _name(path: str) -> str:
    return path[path.rfind("/") + 1 :]


class FileNames:
    """The names of files without folder and suffix, however they are spelled.

    The files are listed once, and not before a name is asked for.
    """

    def __init__(self, files: Iterable[str] = ()) -> None:
        self._files = files

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(_number(_loose(_name(file))) for file in self._files)

    def share(self, texts: Sequence[str]) -> float:
        """Return the share of paths, 0..1, that have the name of any file."""
        alike = sum(_number(_loose(_name(_plain(text)))) in self._names for text in texts)
        return alike / max(1, len(texts))
