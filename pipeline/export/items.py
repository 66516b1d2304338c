"""Which items an export is compared on: real ones where there are any.

What a user gives comes first, then test items whose raw files are here, then generated items.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.ground.errors import DataError, IntegrityError, ParamsError
from pipeline.ground.params import load_section, read_params
from pipeline.ground.tables import read_table
from pipeline.modality.shown.inputs import item_input
from pipeline.modality.types.items import Input
from pipeline.raw.folder import look_at
from pipeline.raw.labels.choice import LABEL_NAMES
from pipeline.raw.params import DataParams
from pipeline.raw.source import RawFault, read_raw
from pipeline.version.verify import choose_items, own_files

log = logging.getLogger(__name__)

PREDICTIONS = Path("artifacts/evaluate/predictions.parquet")
_PARAMS = Path("params.yaml")


@dataclass(frozen=True)
class Items:
    """Files to predict.

    Attributes:
        many: What people call them.
        kind: Where they come from.
        paths: Of the copies.
        names: Of the originals, for people.
    """

    many: str
    kind: str
    paths: tuple[Path, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """Items that are asked for.

    Attributes:
        modality: What they are.
        given: A folder of the user; the first files in it by name. None: others.
        most: At most so many.
    """

    modality: str
    given: Path | None
    most: int


def gather(folder: Path, wanted: Wanted, generated: Callable[[int], list[bytes]]) -> Items:
    """Put files into a folder.

    Args:
        folder: An empty one.
        wanted: Which.
        generated: Gives items where there are no others.

    Raises:
        ParamsError: The given folder is none.
        DataError: It holds no file, or one that nobody may read.
    """
    item = item_input(wanted.modality)
    if wanted.given is not None:
        return _copies(wanted.given, folder, wanted.most, item)
    try:
        return _test_items(folder, wanted, item)
    except (DataError, IntegrityError) as error:
        log.warning(
            "the export is compared on generated %s, for want of test items: %s; --%s gives others",
            item.many,
            error,
            item.many,
        )
    contents = generated(wanted.most)
    names = tuple(f"generated {item.one} {number}" for number in range(len(contents)))
    return Items(item.many, f"generated {item.many}", _written(folder, contents), names)


def _copies(given: Path, folder: Path, most: int, item: Input) -> Items:
    option = f"--{item.many}"
    if not given.is_dir():
        raise ParamsError(
            "rootstock export", "must be a folder", field=option, got=given.as_posix()
        )
    names = [name for name in look_at(given).files if name.lower() not in LABEL_NAMES][:most]
    if not names:
        raise DataError(given, f"must hold {item.many}, and has no file", field=option)
    contents = []
    for name in names:
        try:
            contents.append(read_raw(given, name, item.limits(item.most, item.seconds).bytes))
        except RawFault as fault:
            raise DataError(given / name, fault.detail, field=option) from fault
    paths = _written(folder, contents)
    return Items(item.many, f"given {item.many}", paths, tuple(f"{given / name}" for name in names))


def _test_items(folder: Path, wanted: Wanted, item: Input) -> Items:
    table = choose_items(read_table(PREDICTIONS), wanted.most)
    if table.empty:
        raise DataError(PREDICTIONS, "must have items of the test split")
    raw = Path(load_section(read_params(_PARAMS), "data", DataParams, path=_PARAMS).path)
    paths = tuple(map(Path, own_files(table, raw, folder, wanted.modality)))
    return Items(item.many, "test items", paths, tuple(f"{raw / path}" for path in table["path"]))


def _written(folder: Path, contents: list[bytes]) -> tuple[Path, ...]:
    paths = tuple(folder / str(number) for number in range(len(contents)))
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths
