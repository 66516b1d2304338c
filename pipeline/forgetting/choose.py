"""Which items are meant: by id, path or group; and all that are the same item under other names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.ground.errors import ParamsError
from pipeline.reviewing.sources import Sources

_COMMAND = "rootstock forget"
_SHORTEST = 8
"""Characters of an id."""


@dataclass(frozen=True)
class Chosen:
    """One raw item that is to be forgotten.

    Attributes:
        path: Of the manifest.
        id: SHA-256 of its bytes.
        content: Hash of what they decode to; None where it was not decoded.
        place: Its split, or why it has none.
        is_copy: Nobody named it: it is the same item as one that was named.
    """

    path: str
    id: str
    content: str | None
    place: str
    is_copy: bool


@dataclass(frozen=True)
class Choice:
    """The items, and those that nearly are the same, which a person should think of."""

    items: tuple[Chosen, ...]
    alike: tuple[str, ...]
    """Paths of near-duplicates that stay."""


def choose(sources: Sources, raw: Path, names: Sequence[str], groups: Sequence[str]) -> Choice:
    """Return the items that are meant, with all copies.

    Args:
        sources: What `clean` and later stages left.
        raw: The data folder.
        names: Ids or their beginnings; paths in the data folder, or with it.
        groups: Of the manifest: all their items.

    Raises:
        ParamsError: A name means no item, or an item was not read and so has no id.
    """
    table = sources.manifest
    rows: list[int] = []
    for name in names:
        rows += _named(table, raw, name)
    for group in groups:
        found = list(table.index[table["group"] == group])
        if not found:
            raise ParamsError(_COMMAND, "no item has this group", field="--group", got=group)
        rows += found
    named = set(rows)
    ids = table["id"].loc[sorted(named)]
    if ids.isna().any():
        path = table["path"].loc[ids.index[ids.isna()][0]]
        raise ParamsError(
            path, "was never read, and so has no id", remedy="delete it yourself: nothing used it"
        )
    contents = sources.seen["content_hash"].to_dict()
    content = table["id"].map(lambda each: contents.get(each) or None)
    wanted = set(content.loc[ids.index].dropna())
    same = table["id"].isin(ids) | content.isin(wanted)
    items = tuple(
        Chosen(
            path=str(table["path"].loc[row]),
            id=str(table["id"].loc[row]),
            content=content.loc[row],
            place=str(
                table["split"].loc[row]
                if pd.notna(table["split"].loc[row])
                else table["reason"].loc[row]
            ),
            is_copy=row not in named,
        )
        for row in table.index[same]
    )
    return Choice(items, _alike(sources.near, {each.path for each in items}))


def _named(table: pd.DataFrame, raw: Path, name: str) -> list[int]:
    paths = {name, name.removeprefix(f"{raw.as_posix()}/")}
    found = list(table.index[table["path"].isin(paths)])
    if not found and len(name) >= _SHORTEST:
        found = list(table.index[table["id"].str.startswith(name.lower(), na=False)])
        if len(set(table["id"].loc[found])) > 1:
            raise ParamsError(_COMMAND, "more than one id begins so", got=name)
    if not found:
        raise ParamsError(
            _COMMAND,
            "no item of the manifest has this path or id",
            got=name,
            remedy=f"a path of `artifacts/clean/manifest.parquet`, with or without {raw}; an id "
            f"with {_SHORTEST} hex digits or more",
        )
    return found


def _alike(near: pd.DataFrame | None, paths: set[str]) -> tuple[str, ...]:
    if near is None or near.empty:
        return ()
    pairs = list(zip(near["path_a"], near["path_b"], strict=True))
    both = {a for a, b in pairs if b in paths} | {b for a, b in pairs if a in paths}
    return tuple(sorted(both - paths))
