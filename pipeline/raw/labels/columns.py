"""Which column of a label file holds what: by its name, as people spell it."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.ground.errors import DataError
from pipeline.raw.item_names import is_named_item, item_words
from pipeline.raw.labels.path_matching import FileNames
from pipeline.raw.labels.text_table import TextTable
from pipeline.raw.layout.split_words import split_in_column
from pipeline.store.kept import TEXTS, Kept

OWN_COLUMNS = ("path", "split", "group", "weight")
"""Columns with a meaning of their own; the rest, but for the target, passes through as text."""

_PATH_NAMES: tuple[frozenset[str], ...] = (
    frozenset("filename filepath file fname relpath relativepath paths filenames".split()),
    frozenset(),
    frozenset("id idcode name key uid uuid fileid ids".split()),
)
"""Names that other tools use for `path`, the surest first, as `_folded` writes them; `_ITEM_NAMES`
adds to each."""

_ITEM_NAMES = ("path file name filename filepath", "- s", "id ids index")
"""What follows a word for an item in such a name: `image_path`, `images`, `photo id`."""

_TARGET_NAMES = frozenset(
    (
        "label labels class classes category target labelname classname categoryname labelid "
        "classid categoryid y species breed diagnosis dx tag annotation groundtruth gt output "
        "score value"
    ).split()
)
"""Names that other tools use for the labels."""

_FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
_IS_SPLIT = re.compile(r"(?:^|[_ -])(?:is|in)[_ -]?(?:train|test|val)", re.IGNORECASE)
"""In the name of a column of 0 and 1 that says whether an item is of a split."""

_GROUP_NAMES = frozenset(
    (
        "groups groupid patient patientid patients subject subjectid participant participantid "
        "person personid case caseid lesionid studyid individual individualid animalid sessionid "
        "sequenceid videoid"
    ).split()
)
"""Names of columns that say which items show one thing, as `_folded` writes them."""

_LOOKED_AT = 100
"""Cells that tell whether a column names files."""

_ALIKE = 0.5
"""Share of them that name files, from which the column does."""

_DISTINCT = 0.9
"""Share of them that differ, from which numbers and words may be ids of files."""

_SHOWN = 6


@dataclass(frozen=True)
class LabelColumns:
    """Where a label file has what.

    Attributes:
        own: The name in the file of each of `OWN_COLUMNS` that it has.
        labels: The label of each row, empty where there is none.
        meta: Columns that pass through.
        notes: Readings that are not plain.
    """

    own: Mapping[str, str]
    labels: Kept[str]
    meta: tuple[str, ...]
    notes: tuple[str, ...]


def find_columns(table: TextTable, target: str, names: FileNames) -> LabelColumns:
    """Find out which column holds what.

    The path may stand under a usual name of other tools; so may the labels, in a column of 0 and 1
    for each class.

    Args:
        table: The label file.
        target: The column with the labels, by the params.
        names: Of the files that the rows may name.

    Raises:
        DataError: A column is missing, or a row belongs to several classes.
    """
    path, notes = find_path_column(table, names, but=target)
    own = {"path": path}
    for name in OWN_COLUMNS[1:]:
        found = _same_name(table, name)
        if found is not None and found not in (path, target):
            own[name] = found
            if found != name:
                notes.append(f"the column {found!r} of {table.path.name} is taken for {name!r}")
    column = _same_name(table, target)
    if column is not None or target in table.nested:
        labels, used = table.column(column or target), {column}
    else:
        flags = _one_hot(table, but={*own.values()})
        labels, used = _read_one_hot(table, flags, target), set(flags)
        notes.append(
            f"{table.path.name} has no column {target!r}, and one of 0 and 1 for each class: "
            f"{_some(flags)}; the name of the column with the 1 is the label"
        )
        notes += _rows_of_zeros(table, labels)
    meta = tuple(name for name in table.columns if name not in {*own.values(), *used})
    if table.nested:
        notes.append(
            f"{len(table.nested)} columns of {table.path.name} hold neither text nor "
            f"numbers, and are left out: {_some(tuple(table.nested))}"
        )
    notes += [] if "split" in own else _looks_like_split(table, meta)
    notes += [] if "group" in own else _looks_like_group(table, meta)
    return LabelColumns(own, labels, meta, tuple(notes))


def find_path_column(table: TextTable, names: FileNames, *, but: str = "") -> tuple[str, list[str]]:
    """Find the column that names the files, and tell where it is not `path`.

    A usual name counts, and cells that name files; where both do not agree, the cells win.

    Args:
        table: A label file, or any list of files.
        names: Of the files that it may name.
        but: A column that is another.

    Raises:
        DataError: There is none, or there are several.
    """
    exact = _same_name(table, "path")
    if exact is not None:
        return exact, []
    if "path" in table.nested:
        table.column("path")
    if table.is_headless:
        raise DataError(
            table.path,
            "the column 'path' is missing",
            remedy="the first line must be a header, and looks like an item",
        )
    others = [name for name in table.columns if name != but]
    tiers = [[name for name in others if _folded(name) in tier] for tier in _path_names()]
    likely = [name for name in others if _names_files(table, name, names)]
    both = [[name for name in tier if name in likely] for tier in tiers]
    found: list[str] = next(filter(None, [*both, likely, *tiers]), [])
    if len(found) == 1:
        return found[0], [f"the column {found[0]!r} of {table.path.name} is taken for 'path'"]
    if found:
        raise DataError(
            table.path,
            f"the column 'path' is missing, and several may be it: {_some(found)}",
            remedy="rename the right one to path",
        )
    raise DataError(table.path, "the column 'path' is missing", remedy=table.shown_columns())


def _path_names() -> tuple[frozenset[str], ...]:
    """Return the names of a column of paths, the surest first."""
    return tuple(
        known | {word + end.strip("-") for word in item_words() for end in ends.split()}
        for known, ends in zip(_PATH_NAMES, _ITEM_NAMES, strict=True)
    )


def _names_files(table: TextTable, name: str, names: FileNames) -> bool:
    cells = [cell for cell in table.column(name)[:_LOOKED_AT] if cell]
    if cells and all(map(is_named_item, cells)):
        return True
    is_key = len(cells) > 1 and len(set(cells)) >= _DISTINCT * len(cells)
    return is_key and names.share(cells) >= _ALIKE


def _same_name(table: TextTable, name: str) -> str | None:
    """Return the column of a name; failing that, the one that differs in case or blanks alone.

    Raises:
        DataError: Several differ so.
    """
    if name in table.columns:
        return name
    alike = [each for each in table.columns if each.strip().casefold() == name.strip().casefold()]
    if len(alike) > 1:
        raise DataError(
            table.path,
            f"the column {name!r} is missing, and several may be it: {_some(alike)}",
            remedy=f"rename the right one to {name}",
        )
    return alike[0] if alike else None


def _one_hot(table: TextTable, *, but: set[str]) -> tuple[str, ...]:
    """Return the columns that hold 0 and 1 alone, if two or more hold a 1."""
    flags = []
    used = 0
    for name in table.columns:
        if name and name not in but:
            cells = _different(table.column(name), {"", *_FLAGS}.__contains__) - {""}
            if cells and cells <= _FLAGS.keys():
                flags.append(name)
                used += any(_FLAGS[cell] for cell in cells)
    return tuple(flags) if used > 1 else ()


def _different(cells: Iterable[str], is_usual: Callable[[str], bool]) -> set[str]:
    """Return the different cells in lower case; after one that is not usual, no more."""
    found: set[str] = set()
    for cell in map(str.lower, cells):
        if cell not in found:
            found.add(cell)
            if not is_usual(cell):
                break
    return found


def _read_one_hot(table: TextTable, flags: Sequence[str], target: str) -> Kept[str]:
    """Return the name of the column with the 1, by row.

    Raises:
        DataError: There are no such columns, or a row has several.
    """
    named = [name for name in table.columns if _folded(name) in _TARGET_NAMES]
    close = get_close_matches(target.lower(), [name.lower() for name in table.columns], 1)
    named = named or [name for name in table.columns if name.lower() in close]
    if named or not flags:
        raise _without_target(table, target, named)
    return Kept.keep(_ones(table, flags, target), TEXTS, table.rows.place)


def _ones(table: TextTable, flags: Sequence[str], target: str) -> Iterator[str]:
    columns = [table.column(name) for name in flags]
    for row, cells in enumerate(zip(*columns, strict=True)):
        ones = [name for name, cell in zip(flags, cells, strict=True) if _FLAGS.get(cell.lower())]
        if len(ones) > 1:
            raise DataError(
                table.where(row),
                f"an item must have one label, and {len(ones)} of the columns "
                f"{_some(flags)} hold a 1: {_some(ones)}",
                remedy=f"choose one; or, if these are no classes, add a column {target!r}",
            )
        yield ones[0] if ones else ""


def _rows_of_zeros(table: TextTable, labels: Sequence[str]) -> list[str]:
    if "" not in labels:
        return []
    return [
        f"{labels.count('')} rows of {table.path.name} have no 1 in these columns, so no label; "
        f"first: {table.where(labels.index(''))} (if that is a class of its own, add a column for "
        "it, with a 1 in these rows)"
    ]


def _without_target(table: TextTable, target: str, named: Sequence[str]) -> DataError:
    rule = f"the column {target!r} is missing"
    if table.is_headless:
        remedy = "the first line must be a header, and looks like an item"
    elif len(named) == 1:
        remedy = f"write `data.target: {named[0]}`, if that column holds the labels"
    elif named:
        remedy = f"write one of these as `data.target`: {_some(named)}"
    else:
        remedy = f"{table.shown_columns()}; name the one with the labels in `data.target`"
    return DataError(table.path, rule, remedy=remedy)


def _looks_like_split(table: TextTable, meta: Sequence[str]) -> list[str]:
    for name in meta:
        cells = _different(table.column(name), lambda cell: cell in _FLAGS or _is_split(cell))
        is_flag = _IS_SPLIT.search(name) is not None
        if _say_splits(cells) or (
            is_flag and {_FLAGS.get(cell) for cell in cells} == {False, True}
        ):
            return [
                f"the column {name!r} of {table.path.name} names splits, and is not read as "
                "such: a column 'split' is"
            ]
    return []


def _is_split(cell: str) -> bool:
    return split_in_column(cell) is not None


def _say_splits(cells: Collection[str]) -> bool:
    words = set()
    for cell in cells:
        word = split_in_column(cell)
        if word is None:
            return False
        words.add(word)
    return "train" in words and len(words) > 1


def _looks_like_group(table: TextTable, meta: Sequence[str]) -> list[str]:
    for name in meta:
        if _folded(name) in _GROUP_NAMES and _repeats(filter(None, table.column(name))):
            return [
                f"the column {name!r} of {table.path.name} is not read as groups: call it "
                "'group' if items of one of them must not be in two splits"
            ]
    return []


def _repeats(cells: Iterable[str]) -> bool:
    seen: set[str] = set()
    for cell in cells:
        if cell in seen:
            return True
        seen.add(cell)
    return False


def _folded(name: str) -> str:
    return re.sub(r"[\s_.-]+", "", name).casefold()


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {more} more" if more > 0 else "")
