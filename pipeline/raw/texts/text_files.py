"""Text files that are items each, where the params say so."""

from pathlib import Path

from pipeline.ground.errors import DataError
from pipeline.raw.folder import Folder
from pipeline.raw.sidecars import is_read_me
from pipeline.raw.texts.cell_paths import is_text_table

TEXT_FILES = ".txt"
"""What `data.text` is then, and the end of their names in any case."""


def find_text_files(raw: Path, folder: Folder) -> frozenset[str]:
    """Return the text files that are items: no read-me, and none above the folders of others.

    Raises:
        DataError: There are none.
    """
    found = [path for path in folder.files if path.lower().endswith(TEXT_FILES)]
    texts = [path for path in found if not is_read_me(path)]
    if not texts:
        table = next(filter(is_text_table, folder.files), None)
        remedy = "put text files there, such as pos/1.txt"
        if table:
            remedy = f"for the rows of {table!r}, write the column of its texts as data.text"
        raise DataError(raw, f"has no {TEXT_FILES} file", field="data.text", remedy=remedy)
    return frozenset(path for path in texts if "/" in path) or frozenset(texts)
