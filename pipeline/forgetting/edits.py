"""What has to change in the raw data so that items are gone: planned first, then done."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from pipeline.forgetting.archives import cut_members
from pipeline.forgetting.lines import cut_lines, cut_parquet, cut_text_rows
from pipeline.ground.errors import DataError, PipelineError
from pipeline.raw.bucket.pointer import linked_tar
from pipeline.raw.containers import is_table, open_container
from pipeline.raw.item import RawItems
from pipeline.raw.source import RawFault, read_raw, split_path
from pipeline.raw.texts.cell_paths import column_of, row_of


@dataclass(frozen=True)
class Edit:
    """A change of one file.

    Attributes:
        file: Which one.
        what: What goes, for people.
        make: Does it.
    """

    file: Path
    what: str
    make: Callable[[], None]


def check_ids(raw: Path, ids: Mapping[str, str]) -> list[str]:
    """Return the items that the raw data still hold, by their bytes.

    Args:
        raw: The data folder.
        ids: Path -> SHA-256 of what must stand there.

    Raises:
        DataError: Another item stands at one of the paths.
    """
    present = []
    for path, wanted in ids.items():
        try:
            content = read_raw(raw, path)
        except (OSError, RawFault, PipelineError):
            continue  # it is gone already
        if hashlib.sha256(content).hexdigest() != wanted:
            raise DataError(
                raw / path, "is another item than the manifest says", remedy="run `dvc repro clean`"
            )
        present.append(path)
    return present


def plan_edits(raw: Path, paths: Sequence[str], known: Collection[str]) -> list[Edit]:
    """Return the changes that take items out: files, members and rows.

    Args:
        raw: The data folder.
        paths: Of the items.
        known: Of all items: what is called as a forgotten one and is none of these goes with it.

    Raises:
        DataError: An item lies in a bucket.
    """
    held: dict[str, list[str]] = defaultdict(list)
    loose = []
    for path in paths:
        file, member = split_path(raw, path)
        if linked := linked_tar(raw, file):
            raise DataError(
                linked.url,
                f"holds {member!r}, and nothing is cut out of a bucket",
                remedy="put a tar without it there, delete the older versions, and run "
                "`rootstock data link`",
            )
        if member is None:
            loose.append(file)
        else:
            held[file].append(member)
    edits = [_remove(raw / each) for each in [*loose, *_beside(raw, loose, known)]]
    edits += [_cut(raw / file, file, members, known) for file, members in sorted(held.items())]
    return edits


def label_rows(found: RawItems, raw: Path, paths: Collection[str]) -> list[Edit]:
    """Return the changes that take the rows of items out of label files.

    Call it until it gives none: of rows that repeat each other it sees the first.

    Args:
        found: The items, as `find_items` sees them now.
        raw: The data folder.
        paths: Of those that are to be forgotten.
    """
    lines: dict[Path, set[int]] = defaultdict(set)
    for item in found.items:
        file, _, line = item.where.rpartition(":")
        is_own = file == str(raw / split_path(raw, item.path)[0])
        if item.path in paths and line.isdigit() and file and not is_own:
            lines[Path(file)].add(int(line))
    return [
        Edit(file, f"{len(each)} rows", partial(cut_lines, file, each))
        for file, each in sorted(lines.items())
    ]


def _remove(file: Path) -> Edit:
    return Edit(file, "the file", file.unlink)


def _cut(file: Path, name: str, members: Sequence[str], known: Collection[str]) -> Edit:
    column = column_of(name, members[0])
    if column is not None:
        rows = {row_of(each) for each in members}
        return Edit(file, f"{len(rows)} rows", partial(cut_text_rows, file, column, rows))
    if is_table(name):
        rows = {int(each) for each in members}
        return Edit(file, f"{len(rows)} rows", partial(cut_parquet, file, rows))
    every = [each.path for each in open_container(file, name).members()]
    inside = {path.removeprefix(f"{name}/") for path in known if path.startswith(f"{name}/")}
    gone = {*members, *_alike(members, every, inside)}
    return Edit(file, f"{len(gone)} members", partial(cut_members, file, gone))


def _beside(raw: Path, paths: Sequence[str], known: Collection[str]) -> list[str]:
    """Return loose files that are called as forgotten ones are but for the suffix."""
    found: set[str] = set()
    for folder in {PurePosixPath(path).parent for path in paths}:
        files = [
            each.relative_to(raw).as_posix() for each in (raw / folder).iterdir() if each.is_file()
        ]
        mine = [path for path in paths if PurePosixPath(path).parent == folder]
        found |= _alike(mine, files, known)
    return sorted(found)


def _alike(paths: Collection[str], files: Collection[str], known: Collection[str]) -> set[str]:
    """Return files of the same name but for the suffix, such as labels and notes on the items.

    Also those of the same name up to its first dot, unless another item is called so too.
    """
    stems = {path.rpartition(".")[0] for path in paths}
    keys = {_key(path) for path in paths} - {_key(path) for path in known if path not in paths}
    others = (each for each in files if each not in known and each not in paths)
    return {each for each in others if each.rpartition(".")[0] in stems or _key(each) in keys}


def _key(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{name.partition('.')[0]}"
