"""The Input of lists of numbers: text of comma separated numbers."""

from collections.abc import Mapping
from typing import Any

from pipeline.numbers.shelf.encoder import ENCODER
from pipeline.numbers.shelf.params import NumberSpec

from pipeline.ground.limits import ItemLimits
from pipeline.modality.types.items import Encoded, Explanation


class NumberInput:
    """Lists of numbers behind the protocol `Input`."""

    one, many = "list", "lists"
    column, key, media = "numbers", "lists", "text"
    is_text = True
    written = "Numbers, with commas between them."
    inline = '"1,2,3"'
    fields = frozenset({"numbers", "lists"})
    holders = ("numbers",)
    examples = ("one.vec", "other.vec")
    page: str | None = None
    size, most, seconds = "max_numbers", 1_000, 10.0
    facts: Mapping[str, Any] = {"length": {"type": "integer", "description": "Of a list."}}
    explanation = Explanation("Nothing.", "Nothing.", {})

    def limits(self, most: int, seconds: float) -> ItemLimits:
        """Return what a list may take that has at most so many numbers."""
        return ItemLimits(bytes=32 * most, seconds=seconds, memory=1 << 30)

    def from_text(self, text: str) -> bytes:
        """Return the text as bytes."""
        return text.encode()

    def from_bytes(self, content: bytes) -> bytes:
        """Return bytes as they are."""
        return content

    def encode(self, content: Any, spec: NumberSpec, *, most: int = 1_000) -> Encoded | str:
        """Return the row of a list, or say why there is none."""
        if not isinstance(content, bytes):
            return f"not_bytes: the cell holds {type(content).__name__}"
        if content.count(b",") >= most:
            return f"too_long: more than {most} numbers"
        rows = ENCODER.encode(content, [spec])
        return f"not_numbers: {rows}" if isinstance(rows, str) else Encoded(rows[0], ())

    def row_facts(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Return the length of a row."""
        return {"length": spec["length"]}

    def samples(self, count: int) -> list[bytes]:
        """Return lists, the same ones every time."""
        return [f"{number},1,2,3,4,5".encode() for number in range(count)]


INPUT = NumberInput()
