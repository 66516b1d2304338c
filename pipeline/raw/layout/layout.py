"""Which folders name the classes, and which the splits: by their names and by what lies in them.

    <class>/**                    train|val|test/<class>/**            <class>/train|val|test/**

Splits may lie one or more folders down, be doubled as zips unpack (`x/train/train/<class>`), and
have other folders beside them. Names alone decide nothing where the folders contradict them. What
stays in doubt is refused, with a way on that moves no file.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

from pipeline.raw.layout.doubts import (
    refuse_classes_of_splits,
    refuse_doubt,
    refuse_half_split_classes,
    refuse_lost_items,
    refuse_missing_train,
    refuse_one_folder,
    refuse_several,
    refuse_strange_classes,
)
from pipeline.raw.layout.split_words import SplitFolder, is_filler, name_splits, read_split_folders
from pipeline.raw.layout.tree import CLASS, SPLIT, Node, Root, only_way

AUTO = "auto"

_DEEPEST = 3
"""Folders around the splits that are looked through."""


def find_roots(raw: Path, top: Node, layout: str) -> list[Root]:
    """Find out what the folders mean.

    Args:
        raw: The raw folder, for messages.
        top: Its tree, with one folder or more.
        layout: `auto`, or what the levels name from the top, joined by `/`.

    Raises:
        DataError: It is in doubt, there are splits without train, or one folder holds all.
    """
    if layout != AUTO:
        return _given_roots(raw, top, tuple(layout.split("/")))
    roots = _split_roots(top, is_top=True) or _deeper_roots(raw, top)
    if roots:
        refuse_lost_items(raw, top, roots)
        refuse_strange_classes(raw, top, roots)
        return roots
    refuse_classes_of_splits(raw, only_way(top))
    refuse_one_folder(raw, top)
    refuse_doubt(raw, top)
    return [Root(())]


def _given_roots(raw: Path, top: Node, levels: tuple[str, ...]) -> list[Root]:
    if SPLIT not in levels or levels.index(SPLIT) > levels.index(CLASS):
        return [Root((), None, levels)]
    depth = levels.index(SPLIT)
    roots = [
        Root((*node.path, name), each.split, levels[depth + 1 :])
        for node in top.walk()
        if len(node.path) == depth
        for name, each in read_split_folders(node.folders).items()
    ]
    if not any(root.split == "train" for root in roots):
        refuse_missing_train(raw, top, levels)
    return roots


def _deeper_roots(raw: Path, node: Node) -> list[Root] | None:
    """Return the splits in the one folder that holds splits, or those below the classes."""
    if len(node.path) > _DEEPEST:
        return None
    within = {
        name: roots
        for name, each in sorted(node.folders.items())
        if (roots := _split_roots(each, is_top=False) or _deeper_roots(raw, each))
    }
    if len(within) > 1:
        refuse_several(raw, node, within)
    return next(iter(within.values())) if within else _below_classes(raw, node)


def _below_classes(raw: Path, node: Node) -> list[Root] | None:
    """Return the root of classes that hold splits each: `cat/train`, `cat/test`."""
    holders = [name for name, each in node.folders.items() if _are_splits(each.folders)]
    is_sure = any(name_splits(node.folders[name].folders) for name in holders)
    if not is_sure or len(holders) < (2 if node.path else 1) or len(node.folders) < 2:
        return None
    refuse_half_split_classes(raw, node, holders)
    return [Root(node.path, None, (CLASS, SPLIT))]


def _are_splits(names: Collection[str]) -> bool:
    words = read_split_folders(names)
    return 0 < len(names) == sum(not each.rest for each in words.values())


def _split_roots(node: Node, *, is_top: bool) -> list[Root] | None:
    """Return the splits among the folders of one level, or None."""
    words = read_split_folders(node.folders)
    for rest in sorted({each.rest for each in words.values()}):
        named = {name: each for name, each in words.items() if each.rest == rest}
        train = [
            _root(node.folders[name], each, ())
            for name, each in named.items()
            if each.split == "train"
        ]
        classes = _labels(node, train)
        others = [
            _root(node.folders[name], each, classes)
            for name, each in named.items()
            if each.split != "train"
        ]
        is_sure = is_top and not rest and len(named) == len(node.folders)
        if (
            classes
            and not name_splits(classes)
            and (is_sure or _agree(node, others, classes, by_classes=bool(rest)))
        ):
            return [*train, *others]
    return None


def _root(node: Node, folder: SplitFolder, classes: Collection[str]) -> Root:
    """Return the root of a split, through folders in it that repeat its name or say nothing."""
    inner = node
    while not inner.files and len(inner.folders) == 1:
        name, only = next(iter(inner.folders.items()))
        own = read_split_folders([name]).get(name)
        is_own = own is not None and (own.split, own.rest) == (folder.split, folder.rest)
        if name in classes or not (is_own or name == inner.path[-1] or is_filler(name)):
            break
        inner = only
    return Root(inner.path, folder.split)


def _labels(node: Node, roots: Iterable[Root]) -> set[str]:
    found = [node.find(root.path[len(node.path) :]) for root in roots]
    return {name for each in found if each for name in each.folders}


def _agree(node: Node, others: Collection[Root], classes: set[str], *, by_classes: bool) -> bool:
    """Return whether a second split holds the classes of train, or items without a class.

    Args:
        node: The folder above the splits.
        others: The other splits' roots.
        classes: Of train.
        by_classes: Whether half of the classes must be the same.
    """
    if len(classes) < 2:
        return False
    for split in {root.split for root in others}:
        own = _labels(node, [root for root in others if root.split == split])
        shared = len(own & classes)
        if not own or (2 * shared >= len(own | classes) if by_classes else shared > 0):
            return True
    return False
