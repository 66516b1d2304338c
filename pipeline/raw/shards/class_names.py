"""Files beside shards whose lines name numbered classes."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pipeline.raw.folder import Folder
from pipeline.raw.source import RawFault, read_raw

CLASS_FILES = ("classnames.txt", "class_names.txt", "classes.txt", "labels.txt")
_MOST_BYTES = 1 << 20


def names_of_classes(
    raw: Path, folder: Folder, labels: Iterable[str]
) -> tuple[Mapping[str, str], Collection[str], list[str]]:
    """Return the name of each label that is a number, the files they come from, and warnings.

    A file counts if it is the only one, its lines differ, and every label is the number of a line
    from 0. Else labels stay as they are.

    Args:
        raw: The data folder.
        folder: What is in it.
        labels: All labels.
    """
    loose = [path for path in folder.files if folder.archive_of(path) is None]
    files = [path for path in loose if path.rpartition("/")[2].lower() in CLASS_FILES]
    if not files:
        return {}, (), []
    if len(files) > 1:
        named = " and ".join(map(repr, files[:2]))
        return {}, (), [f"{named} may both name the classes: neither is read"]
    try:
        lines = read_raw(raw, files[0], _MOST_BYTES).decode("utf-8-sig").splitlines()
    except (RawFault, UnicodeDecodeError):
        lines = []
    names = [line.strip() for line in lines if line.strip()]
    numbered = {str(number): name for number, name in enumerate(names)}
    if len(set(names)) < len(names) or not set(labels) <= set(numbered):
        return (
            {},
            (),
            [
                f"{files[0]!r} does not name the classes: a label is no number of its "
                f"{len(names)} lines, or a line is there twice"
            ],
        )
    return numbered, files, [f"classes are called as {files[0]!r} names them: 0 is {names[0]!r}"]
