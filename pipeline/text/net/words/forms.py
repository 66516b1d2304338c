"""Files of word vectors as people have them, none of which can run code.

    .txt .vec   a word and its numbers in each line: GloVe; word2vec and fastText, with a first line
                that says how many there are
    .bin        word2vec's binary form
    .npy        an array [words, D]; its words, one a line, in <name>.vocab.txt beside it

Axes: V = words, D = numbers of each.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from pipeline.ground.errors import DataError, IntegrityError
from pipeline.text.net.words.vocabulary import FIRST, usable, vocabulary_file
from pipeline.text.shelf.tokens import TENSOR

TABLE, RARE = "table.weight", "table.rare"
"""Among the tensors of weights: vectors that can be trained, after two rows of zeros, and those of
the words after these."""

COMMON = 1 << 15
"""Rows of the first; files are in the order of frequency."""

Vectors = tuple[list[str], npt.NDArray[np.float32]]

_HEADER = re.compile(rb"(\d+) (\d+)\s*\n?")
_HEADER_BYTES = 64
_AGAIN = "download the file again"
_INDEXES = {"glove_6B_50d_emb.npy": ("glove_6B_index.parquet", "index")}
"""Words in a file and a column of it, beside an array of this name: of a package."""


def form_of(path: Path) -> Callable[[Path, int], dict[str, Tensor]] | None:
    """Return what reads a file of word vectors, or None where it is none by its name.

    What is returned takes the file and D; it raises DataError or IntegrityError.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None or (read is _read_binary and _header(path) is None):
        return None
    return lambda path, width: _tensors(path, *read(path, width))


def _tensors(
    path: Path, words: list[str], vectors_VD: npt.NDArray[np.float32]
) -> dict[str, Tensor]:
    if not words:
        _refuse(path, "holds no words", remedy=_AGAIN)
    broken = np.flatnonzero(~np.isfinite(vectors_VD).all(axis=1))
    if len(broken):
        _refuse(
            path,
            f"must be finite, but {len(broken)} of {len(words)} vectors are not",
            field=f"word {broken[0] + 1}, {words[broken[0]]!r}",
            remedy="take vectors from before the training failed",
        )
    first: dict[str, int] = {}
    for place, word in enumerate(words):
        if first.setdefault(word, place) != place:
            _refuse(
                path,
                f"must hold each word once, and {word!r} is word {first[word] + 1} too",
                field=f"word {place + 1}",
                remedy="leave the later one out",
            )
    kept = usable(words)
    table = np.zeros((FIRST + len(kept), vectors_VD.shape[1]), dtype=np.float32)
    table[FIRST:] = vectors_VD[kept] if len(kept) < len(words) else vectors_VD
    return {
        TABLE: torch.from_numpy(table[:COMMON]),
        RARE: torch.from_numpy(table[COMMON:]),
        TENSOR: vocabulary_file([words[place] for place in kept]),
    }


def _read_text(path: Path, width: int) -> Vectors:
    """Read a word and its numbers of each line; a word may hold blanks, as some of GloVe do."""
    words: list[str] = []
    vectors: list[npt.NDArray[np.float32]] = []
    header = _header(path)
    if header is not None:
        _check_width(path, header[1], width)
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if number == 1 and header is not None:
                continue
            word, *values = line.rstrip(b" \r\n").rsplit(b" ", width)
            numbers = _numbers(values)
            is_wider = number == 1 and _numbers(word.split(b" ")[1:] or [b""]) is not None
            if len(values) != width or numbers is None or is_wider:
                _refuse_line(path, number, line, width)
            words.append(_decode(path, word, f"line {number}"))
            vectors.append(numbers)
    if header is not None and len(words) != header[0]:
        _refuse_count(path, len(words), header[0])
    return words, np.stack(vectors) if vectors else np.zeros((0, width), np.float32)


def _refuse_line(path: Path, number: int, line: bytes, width: int) -> NoReturn:
    values = line.split()
    found = next(
        (at for at, each in enumerate(values) if at and _numbers(values[at:]) is not None), 0
    )
    theirs = len(values) - found if found else 0
    is_other = number == 1 and theirs > 1
    _refuse(
        path,
        f"must be a word and {width} numbers with a blank before each",
        field=f"line {number}",
        got=f"{theirs} numbers",
        remedy=f"set text.weights.architecture for {theirs} numbers, as vectors_{theirs}d"
        if is_other
        else _AGAIN,
    )


def _numbers(values: list[bytes]) -> npt.NDArray[np.float32] | None:
    try:
        return np.array([float(each) for each in values], dtype=np.float32)
    except ValueError:
        return None


def _read_binary(path: Path, width: int) -> Vectors:
    """Read word2vec's binary form: a word, a blank, and little-endian float32."""
    header = _header(path)
    if header is None:
        _refuse(path, "must begin with the numbers of words and of dimensions", remedy=_AGAIN)
    count, theirs = header
    _check_width(path, theirs, width)
    content = path.read_bytes()
    at = content.index(b"\n") + 1
    if len(content) - at < count * (2 + 4 * width):
        size = at + count * (2 + 4 * width)
        raise IntegrityError(
            path, f"truncated: {len(content)} of at least {size} bytes", remedy=_AGAIN
        )
    words, vectors = [], np.empty((count, width), dtype=np.float32)
    for place in range(count):
        end = content.find(b" ", at)
        if end < 0 or end + 1 + 4 * width > len(content):
            _refuse_count(path, place, count)
        words.append(_decode(path, content[at:end].lstrip(b"\n"), f"word {place + 1}"))
        vectors[place] = np.frombuffer(content, "<f4", width, end + 1)
        at = end + 1 + 4 * width
    return words, vectors


def _read_array(path: Path, width: int) -> Vectors:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise IntegrityError(
            path, f"truncated, or no array of numbers ({error})", remedy=_AGAIN
        ) from error
    if array.ndim != 2 or array.dtype.kind != "f":
        got = f"{array.dtype} {list(array.shape)}"
        _refuse(path, "must be floating-point numbers [words, D]", got=got)
    _check_width(path, array.shape[1], width)
    words = _words_beside(path)
    if len(words) != len(array):
        _refuse(path, f"must have a row for each of its {len(words)} words", got=len(array))
    return words, array.astype(np.float32, copy=False)


def _words_beside(path: Path) -> list[str]:
    name, column = _INDEXES.get(path.name, ("", ""))
    if name and path.with_name(name).is_file():
        try:
            found = pq.read_table(path.with_name(name), columns=[column])
        except (OSError, pa.ArrowException) as error:
            raise IntegrityError(path.with_name(name), f"is damaged ({error})") from error
        return [str(each) for each in found.column(column).to_pylist()]
    file = path.with_suffix(".vocab.txt")
    if not file.is_file():
        raise DataError(
            file, "no such file: an array needs its words, one a line", remedy="put it there"
        )
    lines = file.read_bytes().removesuffix(b"\n").split(b"\n")
    return [
        _decode(file, line.removesuffix(b"\r"), f"line {number}")
        for number, line in enumerate(lines, 1)
    ]


_READERS: Mapping[str, Callable[[Path, int], Vectors]] = {
    ".txt": _read_text,
    ".vec": _read_text,
    ".bin": _read_binary,
    ".npy": _read_array,
}


def _header(path: Path) -> tuple[int, int] | None:
    """Return V and D, where the first line says so."""
    with path.open("rb") as stream:
        found = _HEADER.fullmatch(stream.readline(_HEADER_BYTES))
    return (int(found[1]), int(found[2])) if found else None


def _check_width(path: Path, found: int, width: int) -> None:
    if found != width:
        _refuse(
            path,
            f"must be vectors of {width} numbers",
            got=found,
            remedy=f"set text.weights.architecture for {found} numbers, as vectors_{found}d",
        )


def _decode(path: Path, word: bytes, place: str) -> str:
    try:
        return word.decode()
    except UnicodeDecodeError:
        _refuse(path, "words must be UTF-8", field=place, got=repr(word), remedy="leave it out")


def _refuse_count(path: Path, found: int, wanted: int) -> NoReturn:
    raise IntegrityError(path, f"truncated: {found} of {wanted} words", remedy=_AGAIN)


def _refuse(path: Path, rule: str, **more: object) -> NoReturn:
    raise DataError(path, rule, **more)  # type: ignore[arg-type]
