"""Parquet files of this project: written whole, equal tables in equal bytes, and read with care.

Not in `pipeline.ground.files`: a process that only decodes must not load pandas.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ground.errors import DataError, IntegrityError
from pipeline.ground.files import replacing

_GROUP_ROWS = 1 << 16
"""Rows that are written at once: more would be copied."""


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a parquet file without an index; equal tables give equal bytes."""
    whole = pa.Table.from_pandas(table, preserve_index=False)
    with (
        replacing(path) as scratch,
        pq.ParquetWriter(scratch, whole.schema, compression="zstd") as out,
    ):
        for start in range(0, max(1, len(whole)), _GROUP_ROWS):
            # Of a column in several chunks, pages would end where these do.
            out.write_table(whole.slice(start, _GROUP_ROWS).combine_chunks())


def read_table(path: Path) -> pd.DataFrame:
    """Read a parquet file that this project wrote.

    Raises:
        DataError: The file is missing.
        IntegrityError: It is not parquet.
    """
    with reading_parquet(path):
        return pd.read_parquet(path, engine="pyarrow")


@contextmanager
def reading_parquet(path: Path) -> Iterator[None]:
    """Translate the errors of reading a parquet file that this project wrote.

    Raises:
        DataError: The file is missing.
        IntegrityError: It is not parquet.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(path, "no such file", remedy="run `dvc repro`") from error
    except (OSError, ValueError) as error:
        raise IntegrityError(
            path, "not a readable parquet file", remedy="run `dvc repro` or `dvc checkout`"
        ) from error
