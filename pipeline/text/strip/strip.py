"""Texts behind the protocol `Strip`."""

from pipeline.modality.types.stripping import CannotStrip, Stripped
from pipeline.text.read.limits import LIMITS
from pipeline.text.read.personal import count_personal, mask_personal


class TextStrip:
    """Texts behind the protocol `Strip`."""

    limits = LIMITS

    def is_item(self, path: str, head: bytes) -> bool:
        """Return False: what holds texts is told by the params."""
        del path, head
        return False

    def strip(self, content: bytes) -> Stripped:
        """Return a text with a word such as `[e-mail]` in each place that leads to a person.

        Raises:
            CannotStrip: It is no UTF-8.
        """
        try:
            text = content.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise CannotStrip(f"its byte {error.start} is no UTF-8") from error
        kinds = count_personal(text)
        plain = mask_personal(text).encode("utf-8", "surrogatepass") if kinds else content
        return Stripped(plain, kinds)


STRIP = TextStrip()
