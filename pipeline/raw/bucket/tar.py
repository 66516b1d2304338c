"""A tar in a bucket: its headers, and members that are read by ranges, neighbors together."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from pipeline.raw.archive.archive import Archive, RawFault
from pipeline.raw.archive.io import Member, Source
from pipeline.raw.bucket.members import kept_members
from pipeline.raw.bucket.pointer import Linked

_NEAR_BYTES = 1 << 16
"""What lies so near is read by the same request: it costs less than another one."""

_SPAN_BYTES = 4 << 20
"""Most that is read at once, but for a larger member."""

_HEAD_BYTES = 2048
"""Read for a header: a long name stands in two further blocks before it."""

_WINDOW_BYTES = 1 << 20


class LinkedTar(Archive):
    """An open tar in a bucket.

    Args:
        file: It.
        source: Its bytes.
    """

    def __init__(self, file: Linked, source: Source) -> None:
        self._file = file
        self._spans = Spans(source)
        super().__init__(self._spans, file.url)

    def members(self) -> Iterator[Member]:
        """List the files in the archive's order; from its headers, by whoever is the first.

        Raises:
            DataError: The archive is compressed, cut or corrupt; the byte is named.
            IntegrityError: The object is gone, or another one.
            MachineError: It cannot be read.
        """
        heads = Archive(Heads(self._spans), self._file.url)
        return iter(kept_members(self._file, heads.members))

    def expect(self, paths: Iterable[str]) -> None:
        """Say which members will be read soon, so that neighbors are read by one request."""
        places = []
        for path in paths:
            with suppress(RawFault):  # what `read` tells of
                offset, stored, *_ = self._look_up(path)
                places.append((offset, stored))
        self._spans.expect(places)


class Spans(Source):
    """Bytes that are read in spans which were announced, or as they are asked for."""

    def __init__(self, source: Source) -> None:
        self.where, self.size_bytes = source.where, source.size_bytes
        self._source = source
        self._planned: list[tuple[int, int]] = []
        self._held = (0, b"")

    def expect(self, places: Iterable[tuple[int, int]]) -> None:
        """Plan to read these places, offsets and lengths, instead of those planned before."""
        spans: list[tuple[int, int]] = []
        for offset, length in sorted(places):
            start, end = spans[-1] if spans else (-1, -1)
            together = max(end, offset + length) - start <= _SPAN_BYTES
            if spans and offset - end <= _NEAR_BYTES and together:
                spans[-1] = (start, max(end, offset + length))
            else:
                spans.append((offset, offset + length))
        self._planned = spans

    def read(self, offset: int, length: int) -> bytes:
        """Read, and hold the rest of the span."""
        start, content = self._held
        if not start <= offset <= offset + length <= start + len(content):
            planned = (each for each in self._planned if each[0] <= offset < each[1])
            start, end = next(planned, (offset, offset + length))
            content = self._source.read(start, max(end, offset + length) - start)
            self._held = (start, content)
        return content[offset - start : offset - start + length]


class Heads(Source):
    """Headers that are read one after the other: those of small members together."""

    def __init__(self, source: Source) -> None:
        self.where, self.size_bytes = source.where, source.size_bytes
        self._source = source
        self._start, self._window, self._end = 0, b"", -1

    def read(self, offset: int, length: int) -> bytes:
        """Read, and on where the headers lie near each other."""
        length = max(0, min(length, self.size_bytes - offset))
        if not self._start <= offset <= offset + length <= self._start + len(self._window):
            is_near = self._end >= 0 and 0 <= offset - self._end <= _NEAR_BYTES
            ahead = _WINDOW_BYTES if is_near else _HEAD_BYTES
            self._start = offset
            self._window = self._source.read(offset, max(length, ahead))
        self._end = offset + length
        return self._window[offset - self._start : offset - self._start + length]
