"""Parquet files with pictures in their cells, as hubs and data frames write them."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def picture(seed, *, size=(12, 10), kind="PNG"):
    """Give the bytes of a picture of noise, the same for the same seed."""
    width, height = size
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, kind)
    return stream.getvalue()


def cells(contents, paths=None):
    """Give a column as the library `datasets` writes it."""
    paths = paths or [None] * len(contents)
    rows = [{"bytes": each, "path": path} for each, path in zip(contents, paths, strict=True)]
    return pa.array(rows, CELL)


def write_table(path, columns, *, names=None, **options):
    """Write a table; `names` are those of the classes of the column `label`."""
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
        info = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": info})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def hub_table(path, n, *, first=0, names=("cat", "dog"), **options):
    """Write a table of n pictures with the classes 0, 1, 0, 1, ... by turns."""
    contents = [picture(first + number) for number in range(n)]
    labels = [number % len(names) for number in range(n)]
    return write_table(path, {"image": cells(contents), "label": labels}, names=names, **options)
