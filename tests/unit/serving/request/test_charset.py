"""A text in the charset that its Content-Type names: known answers, and what is refused."""

import pytest

from pipeline.serving.replicas.http_errors import Refusal
from pipeline.serving.request.charset import as_utf8

TEXT = "größe: 5 €"


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("windows-1252", "cp1252"),
        ('"ISO-8859-15"', "iso8859-15"),
        ("UTF-16", "utf-16"),
        ("gb18030", "gb18030"),
        ("utf8", "utf-8"),
    ],
)
def test_it_becomes_utf8(name, codec):
    assert as_utf8(TEXT.encode(codec), f"text/plain; charset={name}") == TEXT.encode()


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "text/plain; charset=", "a;;=", "text/plain; a=b"]
)
def test_without_a_charset_bytes_stay(kind):
    assert as_utf8(b"caf\xe9", kind) == b"caf\xe9"


@pytest.mark.parametrize(
    "name", ["nope", "idna", "punycode", "utf-7", "base64", "utf-8\0x", "." * 999]
)
def test_a_charset_that_is_not_read_is_refused(name):
    with pytest.raises(Refusal, match="media_type: the charset must be utf-8 or another") as error:
        as_utf8(b"x", f"text/plain; charset={name}")
    assert error.value.status == 415


def test_a_text_of_another_charset_is_refused():
    with pytest.raises(
        Refusal, match=r"charset: the text must be gbk, .* and byte 3 is not"
    ) as error:
        as_utf8(b"caf\xe9", "text/plain; charset=gbk")
    assert error.value.status == 422
