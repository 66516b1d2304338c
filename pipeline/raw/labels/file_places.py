"""Which file each of many written paths names: two long lists are joined by hashes of 128 bits.

A dictionary of twenty million paths takes some 5 GB, the hashes a tenth of it. That two different
paths have one hash is not to be expected in the life of the universe.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.raw.folder import Folder
from pipeline.store.kept import ROWS_AT_ONCE

Ints = npt.NDArray[np.int64]
NOWHERE, SEVERAL = -1, -2
_KEYS = ("0123456789abcdef", "fedcba9876543210")


def file_places(paths: Iterable[str | None], folder: Folder) -> Ints:
    """Return the place in `folder.files` of the file that each path names.

    A path names the file that has it; else the member of an archive that has it within, composed or
    not (NFC). `NOWHERE` where there is no such file, `SEVERAL` where several archives have it.

    Args:
        paths: Of rows; None for one that names no file.
        folder: What is there.
    """
    wanted = _hashes(paths)
    places = _join(wanted, _hashes(folder.files))
    if folder.archives and (places < 0).any():
        inner = _join(wanted, _hashes(_inner(folder)))
        places = np.where(places < 0, inner, places)
    return places


def named_exactly(paths: Iterable[str], folder: Folder) -> dict[str, int]:
    """Return the same for few paths, by the path; those without a file are left out.

    What is composed counts as well as what is not.
    """
    asked = {text for path in paths for text in (path, unicodedata.normalize("NFC", path))}
    inner: dict[str, int] = {}
    whole: dict[str, int] = {}
    composed: dict[str, int] = {}
    for names, found in ((_inner(folder) if folder.archives else (), inner), (folder.files, whole)):
        for place, name in enumerate(names):
            if name is None:
                continue
            if name in asked:
                found[name] = SEVERAL if found is inner and name in inner else place
            if not name.isascii() and (own := unicodedata.normalize("NFC", name)) in asked:
                composed[own] = place
    composed |= {name: place for name, place in inner.items() if place == SEVERAL}
    return composed | inner | whole


def _inner(folder: Folder) -> Iterator[str | None]:
    """Yield the path within its archive of each file; None for a loose one."""
    for path in folder.files:
        archive = folder.archive_of(path)
        yield None if archive is None else path[len(archive) + 1 :]


def _hashes(texts: Iterable[str | None]) -> npt.NDArray[np.uint64]:
    """Return two hashes of each text, uint64 [N, 2]; 0 for None."""
    source, parts = iter(texts), [np.zeros((0, 2), dtype=np.uint64)]
    while some := list(islice(source, ROWS_AT_ONCE)):
        cells = np.array(some, dtype=object)
        own = np.stack(
            [pd.util.hash_array(cells, hash_key=key, categorize=False) for key in _KEYS], axis=1
        )
        own[[each is None for each in some]] = 0
        parts.append(own)
    return np.concatenate(parts)


def _join(wanted: npt.NDArray[np.uint64], there: npt.NDArray[np.uint64]) -> Ints:
    """Return the place of each wanted hash; `NOWHERE` too where it stands twice."""
    order = np.argsort(there[:, 0], kind="stable")
    first, second = there[order, 0], there[order, 1]
    at = np.searchsorted(first, wanted[:, 0])
    is_there = at < len(first)
    at[~is_there] = 0
    if not len(first):
        return np.full(len(wanted), NOWHERE)
    is_there &= (first[at] == wanted[:, 0]) & (second[at] == wanted[:, 1])
    is_twice = np.zeros(len(first), dtype=bool)
    is_twice[:-1] = first[1:] == first[:-1]
    is_there &= ~is_twice[at] & (wanted[:, 0] != 0)
    return np.where(is_there, order[at], NOWHERE)
