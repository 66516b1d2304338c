"""Texts in the charset that their Content-Type names, as UTF-8.

Charsets are taken that read each byte at most a few times; Python knows some that take the square
of a body's length.
"""

import codecs
import re
from email.message import Message
from http import HTTPStatus

from pipeline.serving.replicas.http_errors import Refusal, unprocessable

_READ = re.compile(
    r"ascii|utf-(8|16|32)(-[bl]e)?|iso8859-\d+|cp(125\d|93\d|949|950)|koi8-\w|gb\w+|hz|big5\w*|"
    r"shift_jis\w*|euc_\w+|mac-roman"
)
"""As Python calls them."""


def as_utf8(content: bytes, content_type: str) -> bytes:
    """Return a text in UTF-8; as it is where no charset is named, or that is UTF-8.

    Args:
        content: The text.
        content_type: The header's value, of the body or of a part of a form.

    Raises:
        Refusal: The charset is not read here, or the text is not of it.
    """
    message = Message()
    message["content-type"] = content_type
    charset = message.get_content_charset() or "utf-8"
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        name = ""
    if not _READ.fullmatch(name):
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "media_type",
            f"the charset must be utf-8 or another one of texts, got {charset[:80]!r}",
        )
    if name in ("ascii", "utf-8"):  # what is no UTF-8 is told where it is read, byte by byte
        return content
    try:
        return content.decode(name).encode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise unprocessable(
            "charset",
            f"the text must be {charset[:80]}, as Content-Type says, and byte {error.start} is not",
        ) from None
