"""The folders of a raw folder as a tree, and those from which on folders mean something."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Parts = tuple[str, ...]
"""A folder's place: the names from the top of the raw folder."""

CLASS, SPLIT, ANY = "class", "split", "any"
"""What the folders of one level name."""


@dataclass
class Node:
    """A folder that holds files, itself or further down."""

    path: Parts
    files: int = 0
    """Directly in it."""
    total: int = 0
    """In it and further down."""
    folders: dict[str, "Node"] = field(default_factory=dict)

    def walk(self) -> Iterator["Node"]:
        """Return the folder and all below it, the outer ones first."""
        yield self
        for name in sorted(self.folders):
            yield from self.folders[name].walk()

    def find(self, path: Parts) -> "Node | None":
        """Return the folder at a place below this one, or None."""
        node: Node | None = self
        for name in path:
            node = node.folders.get(name) if node else None
        return node


@dataclass(frozen=True)
class Root:
    """A folder from which on folders mean something.

    Attributes:
        path: Its place.
        split: Of all in it, or None where folders in it say so, or nothing does.
        levels: What the folders below it name, from the outer ones on.
    """

    path: Parts
    split: str | None = None
    levels: tuple[str, ...] = (CLASS,)


def build_tree(files: Mapping[Parts, int]) -> Node:
    """Build the tree from the number of files in each folder."""
    top = Node(())
    for parts, count in files.items():
        node = top
        node.total += count
        for depth, name in enumerate(parts, start=1):
            node = node.folders.setdefault(name, Node(parts[:depth]))
            node.total += count
        node.files += count
    return top


def only_way(top: Node) -> Node:
    """Return the first folder that holds files, or not one folder; the top's files do not count."""
    node = top
    while len(node.folders) == 1 and (node is top or not node.files):
        node = next(iter(node.folders.values()))
    return node


def class_names(top: Node, root: Root) -> set[str]:
    """Return the names of the classes in a root."""
    nodes = [node] if (node := top.find(root.path)) else []
    for _ in range(root.levels.index(CLASS)):
        nodes = [inner for each in nodes for inner in each.folders.values()]
    return {name for each in nodes for name in each.folders}


def folders_beside(top: Node, roots: Sequence[Root]) -> list[Node]:
    """Return the outermost folders that lie in no root, in the order of their paths."""
    ways = {root.path[:depth] for root in roots for depth in range(len(root.path) + 1)}
    inner = ways - {root.path for root in roots}
    found = [
        node
        for way in inner
        if (above := top.find(way))
        for node in above.folders.values()
        if node.path not in ways
    ]
    return sorted(found, key=lambda node: node.path)
