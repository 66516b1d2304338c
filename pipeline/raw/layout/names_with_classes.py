"""Files whose names begin with their class (`cat.0.jpg`): recognized, to say how to label them."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_FORMS = (
    r"(.*[A-Za-z][^._ -]*)[._ -]+[0-9]+\.[A-Za-z]+",  # cat.0.jpg, n02085620_10.jpg
    r"(.*[^0-9])[0-9]+\.[A-Za-z]+",  # cat0.jpg
)
"""A class and a number, in regular expressions that Python and `sed -E` read alike."""

_SHARE = 0.9
"""Of the files that a form must fit."""

_FEWEST = 2
"""Files of a class, on average."""


class ClassNames(NamedTuple):
    """What the names of files say, and a way to make a label file of them."""

    found: str
    remedy: str


def describe_class_names(raw: Path, place: Path, names: Sequence[str]) -> ClassNames | None:
    """Return what to tell of files whose names begin with classes, or None where they do not.

    Args:
        raw: The raw folder.
        place: The folder with the files.
        names: Their names, without folders.
    """
    for form in _FORMS:
        fitting = [found[1] for name in names if (found := re.fullmatch(form, name))]
        classes = Counter(fitting)
        if (
            len(fitting) >= _SHARE * max(1, len(names))
            and len(classes) > 1
            and len(fitting) >= _FEWEST * len(classes)
        ):
            return _describe(raw, place, form, classes)
    return None


def _describe(raw: Path, place: Path, form: str, classes: Counter[str]) -> ClassNames:
    labels = raw.parent / "labels.csv"
    shown = ", ".join(f"{name!r} ({n})" for name, n in classes.most_common(3))
    command = (
        f"(cd {place} && echo path,label && find . -maxdepth 1 -type f | "
        rf"sed -En 's|^\./({form})$|\1,\2|p' | sort) > {labels}"
    )
    changed = f"data.path: {place} and " if place != raw else ""
    return ClassNames(
        f"the names of files in {place} seem to begin with classes, {shown}",
        f"run `{command}` and write {changed}data.labels: {labels}",
    )
