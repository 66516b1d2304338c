"""Items of a raw folder whose folders name the classes, and perhaps the splits."""

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.ground.errors import DataError
from pipeline.raw.archive.archive import SUFFIXES
from pipeline.raw.folder import Folder
from pipeline.raw.item import ITEMS, Item, RawItems
from pipeline.raw.layout.doubts import folders_in_all, ignore_line, named
from pipeline.raw.layout.layout import AUTO, find_roots
from pipeline.raw.layout.names_with_classes import ClassNames, describe_class_names
from pipeline.raw.layout.split_words import (
    is_beside_items,
    is_filler,
    read_split_folders,
    split_of_folder,
)
from pipeline.raw.layout.tree import (
    CLASS,
    SPLIT,
    Node,
    Parts,
    Root,
    build_tree,
    class_names,
    folders_beside,
    only_way,
)
from pipeline.raw.sidecars import some_files
from pipeline.store.kept import Kept

_PLAIN = ("train", "val", "valid", "validation", "test")
"""Names of splits, in any case, that need no word about how they were read."""

_SHOWN = 5
"""Folders that a message names."""


class _Place(NamedTuple):
    """What the folders above a file say."""

    label: str | None
    split: str | None


def from_folders(raw: Path, folder: Folder, *, layout: str = AUTO) -> RawItems:
    """Return an item for every file, with its class and split by its folders.

    Left out and counted are files in folders beside the splits, and those of splits without labels.

    Args:
        raw: The raw folder.
        folder: What lies in it.
        layout: `auto`, or what the levels name from the top, joined by `/`.

    Raises:
        DataError: There are no folders, or what they mean is in doubt.
    """
    counts = Counter(path.rpartition("/")[0] for path in folder.files)
    parts = _parts(folder, counts)
    top = build_tree(_by_parts(counts, parts))
    _refuse_flat(raw, folder, top, layout)
    roots = find_roots(raw, top, layout)
    unlabeled = _unlabeled(top, roots)
    places = {holder: _place(each, roots, unlabeled) for holder, each in parts.items()}
    found = (
        Item(path, label=place.label, split=place.split, where=f"{raw}/{path}")
        for path in folder.files
        if (place := places[path.rpartition("/")[0]])
    )
    items = Kept.keep(found, ITEMS, folder.place)
    warnings = (
        *_read_as([root for root in roots if root not in unlabeled]),
        *_beside(top, roots),
        *_without_labels(raw, folder, parts, unlabeled),
        *_empty(folder, top, roots),
        *(_odd_classes(top) if layout == AUTO and roots == [Root(())] else ()),
    )
    has_splits = any(root.split or SPLIT in root.levels for root in roots)
    return RawItems(
        items,
        "split folders" if has_splits else "class folders",
        ignored=len(folder.files) - len(items),
        warnings=warnings,
    )


def _parts(folder: Folder, holders: Mapping[str, int]) -> dict[str, Parts]:
    """Return the folders that count of each folder: those of a member as if it were unpacked."""
    archives = {holder: folder.archive_of(f"{holder}/") for holder in holders}
    above: dict[str, Parts] = {each: tuple(each.split("/")[:-1]) for each in folder.archives}
    places = set(above.values())
    is_loose = any(holder and archive is None for holder, archive in archives.items())
    if len(places) == 1 and not is_loose and not any(map(split_of_folder, *places)):
        above = dict.fromkeys(above, ())
    above = _through_splits(above, archives)
    return {
        holder: tuple(holder.split("/"))
        if holder and archive is None
        else (*above[archive], *filter(None, holder[len(archive) + 1 :].split("/")))
        if archive
        else ()
        for holder, archive in archives.items()
    }


def _through_splits(
    above: Mapping[str, Parts], archives: Mapping[str, str | None]
) -> dict[str, Parts]:
    """Return the folders of each archive, with one of its own where its name is a split's.

    `train.zip` beside `test.zip`, or beside a folder `test`, is read as a folder `train`, but where
    the outermost folders in it say a split themselves. One split alone does not count.

    Args:
        above: The folders above each archive.
        archives: The archive of each folder with files, or None for a loose one.
    """
    inside: dict[str, set[str]] = {}
    beside: dict[Parts, set[str]] = {}
    for holder, archive in archives.items():
        if archive:
            inside.setdefault(archive, set()).add(holder[len(archive) + 1 :].partition("/")[0])
        else:
            beside.setdefault((), set()).add(holder.partition("/")[0])
    for archive, place in above.items():
        beside.setdefault(place, set()).add(_stem(archive))
    named_so = {place: _train_and_others(names) for place, names in beside.items()}
    return {
        archive: (*place, _stem(archive))
        if _stem(archive) in named_so[place] and not _say_splits(inside.get(archive, ()))
        else place
        for archive, place in above.items()
    }


def _stem(archive: str) -> str:
    return Path(archive).stem


def _train_and_others(names: Iterable[str]) -> set[str]:
    """Return the names that say train and another split, each with the same other words."""
    by_rest: dict[str, dict[str, str]] = {}
    for name, each in read_split_folders(names).items():
        by_rest.setdefault(each.rest, {})[name] = each.split
    return {
        name
        for splits in by_rest.values()
        if "train" in splits.values() and len(set(splits.values())) > 1
        for name in splits
    }


def _say_splits(names: Collection[str]) -> bool:
    return bool(names) and len(read_split_folders(names)) == len(names)


def _by_parts(counts: Mapping[str, int], parts: Mapping[str, Parts]) -> Counter[Parts]:
    merged: Counter[Parts] = Counter()
    for holder, n in counts.items():
        merged[parts[holder]] += n
    return merged


def _refuse_flat(raw: Path, folder: Folder, top: Node, layout: str) -> None:
    """Refuse items that lie in no class folder; say if their names begin with classes.

    Raises:
        DataError: There are no folders, splits without class folders, or one folder of files whose
            names begin with classes.
    """
    node = only_way(top)
    if top.folders and layout != AUTO:
        return
    words = read_split_folders(node.folders)
    plain = sorted(name for name, each in words.items() if not each.rest)
    trains = [name for name in plain if words[name].split == "train"]
    is_flat = not any(each.folders for each in node.folders.values())
    if node.folders and not (is_flat and trains and len(plain) == len(node.folders)):
        return
    place = raw.joinpath(*node.path, *trains[:1])
    hint = _class_names(raw, place, folder)
    remedy = "add labels.csv with the columns path and label"
    if not top.folders:
        fault = "has neither a label file nor folders that name the classes"
        nested = [path for path in folder.files if path.lower().endswith(SUFFIXES)]
        if nested:
            fault += f"; {nested[0]!r} is an archive in an archive, and is not looked into"
            remedy = f"unpack {raw / (folder.archive_of(nested[0]) or '')}"
        elif folder.archives:
            first = folder.archives[0]
            fault += f", nor do the names of archives, such as {first!r}"
            remedy = (
                f"unpack each into a folder of its class, or put it there as it is: "
                f"{raw / _stem(first) / Path(first).name}; or {remedy}"
            )
    elif node.folders:
        fault = f"the {folder.nouns} in {named(plain)}, named as splits, are in no class folder"
        remedy += ", or write data.layout: class if these folders are the classes"
    elif hint:
        fault = f"{'/'.join(node.path)!r} is the only folder, and would be the only class"
    else:
        return
    raise DataError(
        raw, f"{fault}; {hint.found}" if hint else fault, remedy=hint.remedy if hint else remedy
    )


def _class_names(raw: Path, place: Path, folder: Folder) -> ClassNames | None:
    if not place.is_dir():  # in an archive
        return None
    before = "" if place == raw else f"{place.relative_to(raw).as_posix()}/"
    names = [path[len(before) :] for path in folder.files if path.startswith(before)]
    return describe_class_names(raw, place, [name for name in names if "/" not in name])


def _unlabeled(top: Node, roots: Sequence[Root]) -> list[Root]:
    """Return the roots of splits but train whose items lie in no folder that names a class."""
    trains = [root for root in roots if root.split == "train"]
    known = {name for root in trains for name in class_names(top, root)}
    return [
        root
        for root in roots
        if root.split not in (None, "train")
        and all(is_filler(name) and name not in known for name in class_names(top, root))
    ]


def _place(parts: Parts, roots: Sequence[Root], unlabeled: Sequence[Root]) -> _Place | None:
    """Return what a folder's files are, or None where they are left out."""
    for root in roots:
        if parts[: len(root.path)] == root.path:
            return None if root in unlabeled else _read(parts[len(root.path) :], root)
    is_above = any(root.path[: len(parts)] == parts for root in roots)
    return _Place(None, None) if is_above else None


def _read(below: Parts, root: Root) -> _Place:
    said = dict(zip(root.levels, below, strict=False))
    label, split = said.get(CLASS, ""), root.split
    if SPLIT in said:
        split = split_of_folder(said[SPLIT])
    return _Place(label if label.strip() else None, split)


def _shown(parts: Parts) -> str:
    return repr("/".join(parts))


def _read_as(roots: Sequence[Root]) -> Iterator[str]:
    """Yield how folders were read as splits whose names or places are not the plain ones."""
    if any(SPLIT in root.levels for root in roots):
        yield "the folders in each class are read as splits"
    splits = [root for root in roots if root.split]
    if any(len(root.path) > 1 or root.path[0].lower() not in _PLAIN for root in splits):
        read = [f"{_shown(root.path)} as {root.split}" for root in splits]
        more = len(read) - 2 * _SHOWN
        yield f"read as splits: {', '.join(read[: 2 * _SHOWN])}" + (
            f" and {more} more" if more > 0 else ""
        )


def _beside(top: Node, roots: Sequence[Root]) -> Iterator[str]:
    nodes = folders_beside(top, roots)
    if nodes:
        counted = [f"{_shown(node.path)} ({some_files(node.total)})" for node in nodes[:_SHOWN]]
        more = len(nodes) - _SHOWN
        yield (
            f"{some_files(sum(node.total for node in nodes))} beside the splits, left out: "
            f"{', '.join(counted)}" + (f" and {more} more folders" if more > 0 else "")
        )


def _without_labels(
    raw: Path, folder: Folder, parts: Mapping[str, Parts], roots: Sequence[Root]
) -> Iterator[str]:
    for root in roots:
        holders = {each for each, its in parts.items() if its[: len(root.path)] == root.path}
        n = sum(path.rpartition("/")[0] in holders for path in folder.files)
        places = {folder.archive_of(f"{each}/") or "/".join(root.path) for each in holders}
        command = shlex.join(
            ["rootstock", "predict", *(f"{raw}/{each}" for each in sorted(places))]
        )
        yield (
            f"{some_files(n)} of {_shown(root.path)} in no class folder: without a label, left "
            f"out; score them with `{command}`"
        )


def _empty(folder: Folder, top: Node, roots: Sequence[Root]) -> Iterator[str]:
    """Warn of folders of classes and splits that have no item."""
    classes, splits = [], []
    depths = {(root.path, len(root.path) + root.levels.index(CLASS) + 1) for root in roots}
    above = {root.path[:-1] for root in roots if root.split}
    for path in folder.folders:
        parts = tuple(path.split("/"))
        if top.find(parts) is not None:
            continue
        if any(len(parts) == depth and parts[: len(root)] == root for root, depth in depths):
            classes.append(path)
        elif parts[:-1] in above and split_of_folder(parts[-1]):
            splits.append(path)
    for kind, paths in (("split", splits), ("class", classes)):
        if paths:
            verb = "has" if len(paths) == 1 else "have"
            which = f"the {kind} folder" if len(paths) == 1 else f"{len(paths)} {kind} folders"
            yield f"{which} {named(paths)} {verb} no {folder.noun}"


def _odd_classes(top: Node) -> Iterator[str]:
    """Warn of the first classes whose names look like splits, or like other things."""
    splits = [
        name for name, each in read_split_folders(sorted(top.folders)).items() if not each.rest
    ]
    others = [name for name in sorted(top.folders) if is_beside_items(name) or is_filler(name)]
    inner = folders_in_all(top)
    if inner:
        yield (
            f"all class folders hold the same folders: {named(inner)}; if these are the classes, "
            "write data.layout: any/class"
        )
    if splits:
        yield f"the folder {splits[0]!r} is named as a split, and is taken for a class"
    if others:
        yield (
            f"the folder {others[0]!r} is taken for a class; if it is none, leave it out with "
            f"{ignore_line(others[:1])}"
        )
