"""The headers of a tar archive: ustar, GNU and pax, read by their places and never by its contents.

Python's own `tarfile` is not used: it keeps every header that it has seen, passes over a damaged
one, and takes a file that was cut between two members for a whole one.
"""

from collections.abc import Iterator

from pipeline.ground.errors import DataError
from pipeline.raw.archive.io import Member, Source, named, shown

_BLOCK = 512
_WINDOW_BYTES = 1 << 20
_MAX_NAME_BYTES = 1 << 16
_FILES, _FOLDER, _SPARSE = (b"0", b"\0", b"7"), b"5", b"S"
_EXTENSIONS = (b"L", b"K", b"x", b"X", b"g")
_KINDS = {b"1": "a hard link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a FIFO"}


def tar_members(source: Source) -> Iterator[Member]:
    """List the files of a tar in its order; memory does not grow with their number.

    Raises:
        DataError: The archive is cut or corrupt, or goes on after its end; the byte is named.
    """
    at = 0
    extra: dict[bytes, bytes] = {}
    common: dict[bytes, bytes] = {}
    while header := _header(source, at):
        kind = header[156:157]
        if kind in _EXTENSIONS:
            found = _extension(source, at, header, kind)
            (common if kind == b"g" else extra).update(found)
            at += _BLOCK + _padded(_size(source, at, header, {}))
            continue
        known, extra = common | extra, {}
        name = known.get(b"path") or _name(header)
        size = _size(source, at, header, known)
        data = _data(source, at, header, kind)
        has_data = kind not in (*_KINDS, _FOLDER)
        if has_data and data + size > source.size_bytes:
            source.refuse(source.size_bytes, f"it ends within {shown(name)!r}")
        if kind != _FOLDER and not (kind == b"\0" and name.endswith(b"/")):
            is_sparse = any(key.startswith(b"GNU.sparse") for key in known)
            fault = _fault(kind, is_sparse=is_sparse)
            yield named(name, Member("", data, size, size, fault=fault))
        at = data + (_padded(size) if has_data else 0)
    _refuse_rest(source, at)


def _extension(source: Source, at: int, header: bytes, kind: bytes) -> dict[bytes, bytes]:
    """Read what a header of a further kind says of the next member, or of all."""
    size = _size(source, at, header, {})
    if size > _MAX_NAME_BYTES:
        source.refuse(at, f"a name of {size} bytes")
    text = source.read(at + _BLOCK, size)
    if kind in (b"L", b"K"):
        return {b"path" if kind == b"L" else b"linkpath": text.rstrip(b"\0")}
    return _pax(source, at, text)


def _data(source: Source, at: int, header: bytes, kind: bytes) -> int:
    """Return the place of a member's bytes, behind its header."""
    more = kind == _SPARSE and header[482]
    while more:  # the map of a sparse file goes on
        at += _BLOCK
        more = (source.read(at, _BLOCK) + bytes(_BLOCK))[504]
    return at + _BLOCK


def _header(source: Source, at: int) -> bytes | None:
    """Read and check a header; None at the mark of the archive's end."""
    header = source.read(at, _BLOCK)
    if len(header) < _BLOCK:
        source.refuse(source.size_bytes, "it has no mark of its end")
    if not any(header):
        return None
    try:
        expected = _number(header[148:156])
    except ValueError:
        expected = -1
    if expected != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        source.refuse(at, "a header with a wrong checksum")
    return header


def _size(source: Source, at: int, header: bytes, known: dict[bytes, bytes]) -> int:
    try:
        size = int(known[b"size"]) if b"size" in known else _number(header[124:136])
    except ValueError:
        size = -1
    if size < 0:
        source.refuse(at, "a header without a size")
    return size


def _pax(source: Source, at: int, text: bytes) -> dict[bytes, bytes]:
    """Read the records `<length> <key>=<value>` of an extended header."""
    records: dict[bytes, bytes] = {}
    while text.strip(b"\0"):
        length, _, _ = text.partition(b" ")
        count = int(length) if length.isdigit() and len(length) < 9 else 0
        key, has_value, value = text[len(length) + 1 : count].partition(b"=")
        if not has_value or not value.endswith(b"\n") or count > len(text):
            source.refuse(at, "an extended header that is none")
        records[key] = value[:-1]
        text = text[count:]
    return records


def _refuse_rest(source: Source, at: int) -> None:
    """Refuse what follows the end of a tar: readers pass over it, and its files are lost."""
    while block := source.read(at, _WINDOW_BYTES):
        if any(block):
            place = at + len(block) - len(block.lstrip(b"\0"))
            raise DataError(
                source.where,
                f"goes on after its end, at byte {place}",
                remedy="were archives joined by `cat`? join them by `tar --concatenate`",
            )
        at += len(block)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _number(text: bytes) -> int:
    if text[:1] in (b"\x80", b"\xff"):  # GNU: beyond what octal digits hold
        return int.from_bytes(text[1:], "big") if text[:1] == b"\x80" else -1
    digits = text.strip(b" \0")
    return int(digits, 8) if digits else 0


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _fault(kind: bytes, *, is_sparse: bool) -> tuple[str, str] | None:
    if kind in _KINDS:
        return "unsafe_path", _KINDS[kind]
    if is_sparse or kind == _SPARSE:
        return "unreadable", "stored as a sparse file"
    return None if kind in _FILES else ("unsafe_path", f"of an unknown kind {shown(kind)!r}")
