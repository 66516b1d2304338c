"""Messages between two processes: JSON and raw bytes, each with its length before it; no pickle.

A message is a mapping and any number of byte strings: 8 bytes with the length of a JSON text, that
text, `{"message": mapping, "sizes": [...]}`, and the byte strings one after another.

A resident loads this file by its path, so it imports nothing of `pipeline`.
"""

import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

_LENGTH = struct.Struct(">Q")


def send(stream: BinaryIO, message: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Send a message; whole when it returns.

    Raises:
        OSError: The other end is gone.
    """
    head = json.dumps({"message": message, "sizes": [len(part) for part in parts]}).encode()
    stream.write(_LENGTH.pack(len(head)) + head)
    for part in parts:
        stream.write(part)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]]:
    """Wait for a message and its byte strings.

    Raises:
        EOFError: The other end is gone.
        OSError: Likewise.
    """
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    head = json.loads(_read(stream, length))
    return head["message"], [_read(stream, size) for size in head["sizes"]]


def _read(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) != size:
        raise EOFError("the other end is gone")
    return content
