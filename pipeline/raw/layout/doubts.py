"""Folders whose meaning is in doubt: refused, with the names and a way on that moves no file."""

import re
from collections.abc import Collection, Mapping, Sequence
from glob import escape
from pathlib import Path
from typing import NoReturn

from pipeline.ground.errors import DataError
from pipeline.raw.layout.split_words import is_beside_items, is_filler, read_split_folders
from pipeline.raw.layout.tree import ANY, CLASS, Node, Root, class_names, folders_beside, only_way

_SHOWN = 5
"""Folders that a message names."""

_LABELS = "name each item's class and split in a labels.csv"


def named(names: Collection[str]) -> str:
    """Return names in quotes, the first in their order, and how many more there are."""
    more = len(names) - _SHOWN
    shown = ", ".join(map(repr, sorted(names)[:_SHOWN]))
    return shown + (f" and {more} more" if more > 0 else "")


def ignore_line(names: Collection[str]) -> str:
    """Return the line of params.yaml that leaves out folders, by their places from the top."""
    return f"clean.ignore: [{', '.join(repr('/' + escape(name)) for name in sorted(names))}]"


def _verb(names: Collection[str], one: str, several: str) -> str:
    return one if len(names) == 1 else several


def refuse_missing_train(raw: Path, top: Node, levels: Sequence[str]) -> NoReturn:
    """Refuse a layout of the user whose splits have no train."""
    depth = levels.index("split") + 1
    found = {node.path[-1] for node in top.walk() if len(node.path) == depth}
    raise DataError(
        raw,
        f"no folder is named as train where data.layout: {'/'.join(levels)} puts the splits; "
        f"there are {named(found) or 'none'}",
        remedy=f"write data.layout: auto, or {_LABELS}",
    )


def refuse_several(raw: Path, node: Node, within: Mapping[str, Sequence[Root]]) -> NoReturn:
    """Refuse folders side by side that hold splits with classes each."""
    first = sorted(within)[0]
    place = raw.joinpath(*node.path, first)
    levels = "/".join([ANY] * (len(node.path) + 1))
    raise DataError(
        raw,
        f"{named(within)} hold splits with class folders each",
        remedy=f"take one with data.path: {place} and data.labels: {place}, or all with "
        f"data.layout: {levels}/split/class, or {_LABELS}",
    )


def refuse_half_split_classes(raw: Path, node: Node, holders: Sequence[str]) -> None:
    """Refuse classes of which some hold splits and some do not.

    Raises:
        DataError: It is so.
    """
    without = sorted(set(node.folders) - set(holders))
    loose = [name for name in sorted(holders) if node.folders[name].files]
    if not (without or loose):
        return
    levels = "/".join([*[ANY] * len(node.path), CLASS])
    places = ["/".join([*node.path, name]) for name in without or loose]
    raise DataError(
        raw,
        f"{named(holders)} {_verb(holders, 'holds', 'hold')} folders that are named as splits, and "
        f"{named(without or loose)} {'none' if without else 'files beside them'}",
        remedy=f"leave out what is no class with {ignore_line(places)}, or write "
        f"data.layout: {levels}, which deals all items by `split`",
    )


def refuse_lost_items(raw: Path, top: Node, roots: Sequence[Root]) -> None:
    """Refuse to leave out folders beside the splits that seem to belong to them.

    Raises:
        DataError: In one, a folder is named as a class; or they hold more than the splits.
    """
    known = {name.casefold() for root in roots for name in class_names(top, root)}
    splits = named({"/".join(root.path) or "." for root in roots})
    beside = folders_beside(top, roots)
    for node in beside:
        same = {each.path[-1] for each in node.walk() if each.path[-1].casefold() in known}
        if same:
            place = "/".join(node.path)
            raise DataError(
                raw,
                f"{place!r} is beside the splits {splits}, and folders in it or itself are named "
                f"as their classes: {named(same)}",
                remedy=f"leave it out with {ignore_line([place])}, or {_LABELS}",
            )
    inside = sum(found.total for root in roots if (found := top.find(root.path)))
    outside = sum(node.total for node in beside)
    if outside > inside:
        places = ["/".join(node.path) for node in beside]
        raise DataError(
            raw,
            f"{splits} look like splits with class folders, and {named(places)} beside them hold "
            f"more files: {outside} to {inside}",
            remedy=f"leave these out with {ignore_line(places)}, or write data.layout: class if "
            "all are classes",
        )


def refuse_classes_of_splits(raw: Path, node: Node) -> None:
    """Refuse folders that name a class and a split each: `cat_train`, `cat_test`, `trainA`.

    Raises:
        DataError: Of one other word there are train and another split.
    """
    by_class: dict[str, dict[str, str]] = {}
    for name, each in read_split_folders(node.folders).items():
        if each.rest:
            by_class.setdefault(each.rest, {})[name] = each.split
    found = {
        name
        for splits in by_class.values()
        if "train" in splits.values() and len(set(splits.values())) > 1
        for name in splits
    }
    if found:
        above = [ANY] * len(node.path)
        ways = [f"write data.layout: {'/'.join([*above, CLASS])} if each is a class", _LABELS]
        if all(node.folders[name].folders for name in found):
            levels = "/".join([*above, "split", CLASS])
            ways.insert(0, f"write data.layout: {levels} if the folders in them are the classes")
        raise DataError(
            raw,
            f"{named(found)} seem to name a split each, and something else",
            remedy=", or ".join(ways),
        )


def refuse_one_folder(raw: Path, top: Node) -> None:
    """Refuse one folder around all others: it would be the only class.

    Raises:
        DataError: It is so.
    """
    node = only_way(top)
    if len(top.folders) != 1 or len(node.folders) < 2:
        return
    place = raw.joinpath(*node.path)
    ways = [f"write data.layout: {'/'.join([*[ANY] * len(node.path), CLASS])}"]
    if place.is_dir():  # else it lies in an archive
        ways.insert(0, f"write data.path: {place} and data.labels: {place}")
    raise DataError(
        raw,
        f"{node.path[0]!r} is the only folder, and would be the only class; in "
        f"{'/'.join(node.path)!r} are {named(node.folders)}",
        remedy=", or ".join(ways),
    )


def refuse_doubt(raw: Path, top: Node) -> None:
    """Refuse folders side by side of which splits and classes cannot be told apart.

    Raises:
        DataError: Some are named as splits, or all hold the same folders.
    """
    words = read_split_folders(top.folders)
    for name in sorted(words):
        alike = [
            other for other in top.folders if _are_alike(top.folders[name], top.folders[other])
        ]
        if len(alike) > 1:
            _refuse_alike(raw, top, alike)
    if not _are_numbered(folders_in_all(top)):
        _refuse_alike(raw, top, list(top.folders))
    plain = [name for name, each in words.items() if not each.rest]
    for name in plain:
        if words[name].split == "train":
            _refuse_train_beside(raw, top, name, plain)
    _refuse_siblings_inside(raw, top)
    _refuse_names_without_classes(raw, top)


def _refuse_siblings_inside(raw: Path, top: Node) -> None:
    """Refuse a folder that holds folders named as those beside it: a copy, or a split."""
    for name, node in sorted(top.folders.items()):
        same = set(node.folders) & (set(top.folders) - {name})
        if len(same) > 1:
            raise DataError(
                raw,
                f"{name!r} holds folders that are named as those beside it: {named(same)}",
                remedy=f"leave it out with {ignore_line([name])}, or write data.layout: class if "
                f"{name!r} is a class too, or {_LABELS}",
            )


def _refuse_names_without_classes(raw: Path, top: Node) -> None:
    """Refuse folders whose names say nothing of classes, or all but one that holds the classes."""
    beside = [name for name in top.folders if is_beside_items(name)]
    others = [name for name in top.folders if name not in beside]
    holds_all = [
        name
        for name in others
        if len(top.folders[name].folders) > 1 and not top.folders[name].files
    ]
    say_nothing = all(map(is_filler, others))
    if len(top.folders) > 1 and (say_nothing or (beside and others == holds_all[:1])):
        leave_out = f"leave out what is no class with {ignore_line(beside)}, or "
        raise DataError(
            raw,
            f"{named(top.folders)} say nothing of classes",
            remedy=(leave_out if beside and others else "")
            + f"write data.layout: class if they are the classes, or {_LABELS}",
        )


def _are_alike(one: Node, other: Node) -> bool:
    """Return whether two folders hold mostly the same folders, two or more."""
    mine, its = set(one.folders), set(other.folders)
    shared = len(mine & its)
    return shared > 1 and 2 * shared >= len(mine | its)


def folders_in_all(top: Node) -> set[str]:
    """Return the names of the folders that all folders hold, where they hold little else."""
    first, *more = top.folders.values()
    if not more or not all(_are_alike(first, each) and not each.files for each in (first, *more)):
        return set()
    return set(first.folders).intersection(*(each.folders for each in more))


def _are_numbered(names: Collection[str]) -> bool:
    """Return whether names differ in numbers alone, as of shots or years: `1`, `2`."""
    return len({re.sub(r"\d+", "", name) for name in names}) < 2


def _refuse_alike(raw: Path, top: Node, alike: Sequence[str]) -> NoReturn:
    words = read_split_folders(alike)
    inner = set.intersection(*(set(top.folders[name].folders) for name in alike))
    fault = f"{named(alike)} hold the same folders: {named(inner)}"
    ways = [
        f"data.layout: class if {named(alike)} are the classes",
        f"data.layout: any/class if {named(inner)} are",
    ]
    if any(each.split == "train" for each in words.values()) and len(words) > 1:
        ways.insert(0, f"data.layout: split/class if {named(words)} are splits")
    elif words:
        unnamed = sorted(set(alike) - set(words))
        lacks = f"{named(unnamed)} not" if unnamed else "none as train"
        are_named = _verb(words, "is named as a split", "are named as splits")
        fault += f"; {named(words)} {are_named}, {lacks}"
    raise DataError(raw, fault, remedy=f"write {', or '.join(ways)}; or {_LABELS}")


def _refuse_train_beside(raw: Path, top: Node, train: str, plain: Sequence[str]) -> None:
    """Refuse a folder that is named as train and holds folders, where the others do not match.

    Raises:
        DataError: Others hold no folders, or are named as splits.
    """
    held, others = top.folders[train].folders, sorted(set(top.folders) - {train})
    if top.folders[train].files or len(held) < 2 or not others:
        return
    if len(plain) > 1 or not any(len(top.folders[name].folders) > 1 for name in others):
        rest = sorted(set(others) - set(plain)) or others
        raise DataError(
            raw,
            f"{train!r} is named as a split and holds {named(held)}; beside it are "
            f"{named(others)}, which do not hold these",
            remedy=f"leave out what does not belong with {ignore_line(rest)}, or write "
            f"data.layout: class if {named(top.folders)} are the classes, or {_LABELS}",
        )


def refuse_strange_classes(raw: Path, top: Node, roots: Sequence[Root]) -> None:
    """Refuse a split that holds classes, and none of those in train.

    Raises:
        DataError: It is so.
    """
    by_split: dict[str | None, list[Root]] = {}
    for root in roots:
        by_split.setdefault(root.split, []).append(root)
    train = {name for root in by_split.pop("train", ()) for name in class_names(top, root)}
    known = {name.casefold() for name in train}
    for split, own in by_split.items():
        classes = {name for root in own for name in class_names(top, root)}
        strange = {name for name in classes if not is_filler(name)}
        if split and len(strange) > 1 and not known & {name.casefold() for name in classes}:
            places = ["/".join(root.path) for root in own]
            raise DataError(
                raw,
                f"{named(places)} holds {named(classes)}, and none of the classes of train: "
                f"{named(train)}",
                remedy=f"if it has no labels, leave it out with {ignore_line(places)} and score it "
                f"with `rootstock predict`, else {_LABELS}",
            )
