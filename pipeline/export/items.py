"""Which pictures an export is compared on: real ones where there are any.

What a user gives comes first, then test items whose raw files are here, then generated pictures.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.ground.errors import DataError, IntegrityError, ParamsError
from pipeline.ground.params import load_section, read_params
from pipeline.ground.seeds import numpy_generator
from pipeline.ground.tables import read_table
from pipeline.picture.read.limits import item_limits
from pipeline.picture.show.preview import encode_jpeg
from pipeline.raw.folder import look_at
from pipeline.raw.labels.choice import LABEL_NAMES
from pipeline.raw.params import DataParams
from pipeline.raw.source import RawFault, read_raw
from pipeline.version.verify import choose_items, own_files

log = logging.getLogger(__name__)

Kind = Literal["given pictures", "test items", "generated pictures"]

PREDICTIONS = Path("artifacts/evaluate/predictions.parquet")
_PARAMS = Path("params.yaml")
_SEED = 1
_CELLS, _SIDE_PX, _MAX_BYTES = 6, 300, 1 << 20
"""Of generated pictures: random colors in so many cells a side, blown up to so many pixels."""


@dataclass(frozen=True)
class Pictures:
    """Files to predict.

    Attributes:
        kind: Where they come from.
        paths: Of the copies.
        names: Of the originals, for people.
    """

    kind: Kind
    paths: tuple[Path, ...]
    names: tuple[str, ...]


def gather(folder: Path, *, given: Path | None, items: int) -> Pictures:
    """Put files into a folder.

    Args:
        folder: An empty one.
        given: Of the user; the first `items` files in it by name.
        items: At most so many.

    Raises:
        ParamsError: The given folder is none.
        DataError: It holds no file, or one that nobody may read.
    """
    if given is not None:
        return _copies(given, folder, items)
    try:
        return _test_items(folder, items)
    except (DataError, IntegrityError) as error:
        log.warning(
            "the export is compared on generated pictures, for want of test items: %s; "
            "--pictures gives others",
            error,
        )
    return _generated(folder, items)


def _copies(given: Path, folder: Path, items: int) -> Pictures:
    if not given.is_dir():
        raise ParamsError(
            "rootstock export", "must be a folder", field="--pictures", got=given.as_posix()
        )
    names = [name for name in look_at(given).files if name.lower() not in LABEL_NAMES][:items]
    if not names:
        raise DataError(given, "must hold pictures, and has no file", field="--pictures")
    paths = []
    for number, name in enumerate(names):
        try:
            content = read_raw(given, name, item_limits().bytes)
        except RawFault as fault:
            raise DataError(given / name, fault.detail, field="--pictures") from fault
        paths.append(folder / str(number))
        paths[-1].write_bytes(content)
    return Pictures("given pictures", tuple(paths), tuple(f"{given / name}" for name in names))


def _test_items(folder: Path, items: int) -> Pictures:
    table = choose_items(read_table(PREDICTIONS), items)
    if table.empty:
        raise DataError(PREDICTIONS, "must have items of the test split")
    raw = Path(load_section(read_params(_PARAMS), "data", DataParams, path=_PARAMS).path)
    paths = tuple(map(Path, own_files(table, raw, folder, "picture")))
    return Pictures("test items", paths, tuple(f"{raw / path}" for path in table["path"]))


def _generated(folder: Path, items: int) -> Pictures:
    generator = numpy_generator(_SEED, "export", "pictures")
    paths = []
    for number in range(items):
        cells = generator.integers(0, 256, (_CELLS, _CELLS, 3), dtype=np.uint8)
        pixels = np.kron(cells, np.ones((_SIDE_PX // _CELLS, _SIDE_PX // _CELLS, 1), np.uint8))
        paths.append(folder / str(number))
        paths[-1].write_bytes(encode_jpeg(pixels, _MAX_BYTES))
    names = tuple(f"generated picture {number}" for number in range(items))
    return Pictures("generated pictures", tuple(paths), names)
