"""The Input of texts: each is itself, and nothing in it is decoded."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pipeline.ground.limits import ItemLimits
from pipeline.modality.types.items import Encoded, Explanation
from pipeline.text.files import FILES
from pipeline.text.read.limits import LIMITS, MAX_CHARS
from pipeline.text.shelf.params import TextSpec
from pipeline.text.shelf.rows import text_row
from pipeline.text.show.usable import UnusableText, usable_text

_MOST_BYTES_OF_CHAR = 4
_SAMPLES = (
    "The parcel came on time and everything works as described.",
    "It broke after two days, and nobody answers the phone.",
    "Read the first chapter; the rest can wait until next week.",
)
_NUMBERS = {"type": "array", "items": {"type": "number"}}


class TextInput:
    """Texts behind the protocol `Input`."""

    one, many = FILES.NOUN
    column, key, media = "text", "texts", "text"
    is_text = True
    written = "A text as it is: base64, addresses and escapes in it are not decoded."
    inline = '"It works well."'
    fields = frozenset({"text", "texts", "texts[]", "sentence", "review", "message", "comment"})
    holders = (
        "text",
        "sentence",
        "review",
        "message",
        "comment",
        "content",
        "body",
        "input",
        "data",
        "value",
        "b64",
    )
    examples = ("review.txt", "other.txt")
    page: str | None = "text/show/page.html"
    size, most, seconds = "max_chars", MAX_CHARS, LIMITS.seconds
    facts: Mapping[str, Any] = MappingProxyType(
        {
            "max_tokens": {
                "type": "integer",
                "description": "Of a text, marks of begin and end too; what is beyond is not read.",
            }
        }
    )
    explanation = Explanation(
        "Show which words of a text its answer rests on.",
        "The prediction with a weight for each word.",
        {
            "seen": {"type": "string", "description": "The text that the model reads."},
            "spans": {
                "type": "array",
                "items": {"type": "array", "items": {"type": "integer"}},
                "description": "Where in `seen` each word begins and ends, in code points.",
            },
            "weights": {
                **_NUMBERS,
                "description": "How far the answer falls without each word; below 0: it rises.",
            },
            "method": {"type": "string", "description": "How it was found."},
        },
    )

    def limits(self, most: int, seconds: float) -> ItemLimits:
        """Return what a text may take that has at most so many characters."""
        return ItemLimits(_MOST_BYTES_OF_CHAR * most, seconds, LIMITS.memory)

    def from_text(self, text: str) -> bytes:
        """Return a text's UTF-8; half a surrogate pair becomes what `encode` refuses."""
        return text.encode("utf-8", "surrogatepass")

    def from_bytes(self, content: bytes) -> bytes:
        """Return bytes as they are."""
        return content

    def encode(self, content: Any, spec: TextSpec, *, most: int = MAX_CHARS) -> Encoded | str:
        """Return the row of a text, uint8 [8 * max_tokens], or say `<reason>: <detail>`."""
        if not isinstance(content, bytes):
            return f"not_text: the cell holds {type(content).__name__}"
        try:
            cleaned = usable_text(content, most)
        except UnusableText as error:
            return str(error)
        size = len(cleaned.encode())
        is_cut = size > spec.row_bytes
        note = f"cut_off: only the first {spec.row_bytes} of {size} bytes are read"
        return Encoded(text_row(cleaned, spec.row_bytes), (note,) if is_cut else ())

    def row_facts(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Return the most tokens of a text that are read."""
        return {"max_tokens": spec["max_tokens"]}

    def samples(self, count: int) -> list[bytes]:
        """Return sentences, the same ones every time."""
        return [_SAMPLES[number % len(_SAMPLES)].encode() for number in range(count)]


INPUT = TextInput()
