"""One look at a text: every text gets an answer, and copies get one key."""

import pytest

from pipeline.text.read.limits import LIMITS
from pipeline.text.read.plain import copy_key, plain
from pipeline.text.read.probe import TextLook
from pipeline.text.read.reader import READER
from pipeline.text.read.shingles import NONE, SIZE
from tests.support.texts import text_params

LOOK = TextLook(mask_digits=False)


def probe(text, look=LOOK):
    return look.probe(text if isinstance(text, bytes) else text.encode(), "a.txt")


def key(text, **masked):
    return copy_key(text, mask_digits=masked.get("mask_digits", False))


def test_a_text_is_described():
    found = probe("The food was good, and it is cheap.\n")
    assert found.reason is None
    assert found.facts == (35, 8, "en")
    assert found.notes == ()
    assert len(found.content_hash) == 64
    assert len(found.sketch) == 4 * SIZE
    assert probe("\ufeffThe food was good, and it is cheap.") == found, "a byte order mark is none"
    assert LOOK.named(found, "other.txt") == found


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        ("\ufeff".encode(), "empty"),
        (b" \t\r\n \n", "empty"),
        ("\x85\u2028\u2029\u3000\xa0".encode(), "empty"),
        (b"&nbsp; &#160;", "empty"),
        (b"\0\0\0", "unprintable"),
        ("\u200b\u200d\u2060".encode(), "unprintable"),
        ("\u202e\u200f".encode(), "unprintable"),
        ("\u2800 \u3164".encode(), "unprintable"),
        (b"caf\xe9 au lait", "not_utf8"),
        (b"half \xed\xa0\xbd of it", "not_utf8"),
        ("cut \u00e9".encode()[:-1], "not_utf8"),
        ("wide".encode("utf-16"), "not_utf8"),
        (b"\xc0\xaf overlong", "not_utf8"),
    ],
)
def test_what_is_no_text_has_its_reason(content, reason):
    found = probe(content)
    assert found.reason == reason
    assert found.detail
    assert found.content_hash is None


@pytest.mark.parametrize(
    ("content", "where", "guess"),
    [
        (b"caf\xe9 au lait", "byte 3 of 12 is 0xe9", "Windows-1252"),
        (b"half \xed\xa0\xbd of it", "byte 5 of 14 is 0xed", "surrogate"),
        ("wide and so on".encode("utf-16"), "byte 0 of 30 is 0xff", "UTF-16"),
        ("\u4e0d\u9519 \u5f88\u597d".encode("gb18030"), "byte 0 of 9 is 0xb2", "older code"),
        ("cut \u20ac".encode()[:-1], "byte 4 of 6 is 0xe2", "cut within a character"),
        (b"\xef\xbb\xbfall of it\xff", "byte 12 of 13 is 0xff", "Windows-1252"),
    ],
)
def test_the_place_is_sure_and_the_guess_stands_in_the_remedy(content, where, guess):
    detail = probe(content).detail
    assert detail.startswith(where)
    assert guess in detail
    assert "\n" not in detail


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("the caf\u00c3\u00a9 is good", "mojibake"),
        ("it\u00e2\u20ac\u2122s good", "mojibake"),
        ("20 \u00c2\u00b0C outside", "mojibake"),
        ("\u00d0\u00bf\u00d1\u20ac\u00d0\u00b8\u00d0\u00b2\u00d0\u00b5\u00d1\u201a", "mojibake"),
        ("so good \u00f0\u0178\u02dc\u20ac", "mojibake"),
        ("\u00e4\u00bd\u00a0\u00e5\u00a5\u00bd", "mojibake"),
        ("a lost \ufffd here", "replaced"),
        ("one <br /> two", "html"),
        ("salt &amp; pepper", "html"),
        ("what&#39;s up", "html"),
        ("a bell \x07 rings", "control"),
        ("a NUL \0 within", "control"),
        ("a dash \x96 of Latin-1", "control"),
        ("zero\u200bwidth", "zero_width"),
        ("turned \u202eback", "zero_width"),
        ("10/10", "no_letters"),
        ("!!! ???", "no_letters"),
        ("\U0001f600\U0001f44d\U0001f3fd", "no_letters"),
    ],
)
def test_what_is_odd_is_noted_and_kept(text, note):
    found = probe(text)
    assert found.reason is None
    assert note in found.notes
    assert set(found.notes) <= set(READER.notes)


@pytest.mark.parametrize(
    "text",
    [
        "\u00abLE CAF\u00c9\u00bb est ouvert",
        "S\u00c3O PAULO e A MA\u00c7\u00c3\u201d",
        "na\u00efve fa\u00e7ade, \u00c2ge, \u00e2me",
        "a < b and b > c, AT&T; R&D",
        "tabs\tand\r\nlines\n",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f469\u200d\U0001f4bb codes",
        "\u5473\u9053\u4e0d\u9519\uff0c\u5f88\u5feb\u3002",
        "x\u00b2 + y\u00b2 = 5 \u00b0C \u00b1 1",
    ],
)
def test_no_false_alarm(text):
    assert set(probe(text).notes) <= {"no_letters"}


def test_line_ends_of_every_kind_are_white_space():
    found = {probe(f"one{end}two").content_hash for end in " \t\n\r\x85\u2028\u2029\x0b\x0c"}
    assert len(found) == 1
    assert plain(" one \r\n two\u2028") == "one two"


def test_copies_have_one_key():
    same = ("Salt & pepper", "salt &amp;  PEPPER\n", "\uff33alt & pepp\u200ber", "Salt\xa0& pepper")
    assert {key(each) for each in same} == {"salt & pepper"}
    assert key("STRASSE") == key("Stra\u00dfe")
    assert key("e\u0301") == key("\u00e9")
    assert key("not bad") != key("bad")
    assert key("good!") != key("good")


def test_digits_are_masked_if_asked():
    masked = TextLook(mask_digits=True)
    one, two = "Order 123 is here", "Order 987 is here"
    assert probe(one).content_hash != probe(two).content_hash
    assert probe(one, masked).content_hash == probe(two, masked).content_hash
    assert probe("Order 12 is here", masked).content_hash != probe(one, masked).content_hash
    assert LOOK.to_dict() != masked.to_dict(), "the next build must look anew"


def test_words_that_tables_take_for_nothing_are_texts():
    for text in ("NA", "null", "nan", "None", "0", "-"):
        assert probe(text).reason is None


def test_a_megabyte_in_one_cell():
    found = probe("a long story of " * 65_536)
    assert found.facts[0] == 16 * 65_536 - 1
    assert found.reason is None
    assert len(found.content_hash) == 64
    assert found.facts[0] < LIMITS.bytes


def test_facts_refuse():
    facts = dict(zip(("chars", "words", "language"), (5, 1, "zh"), strict=True))
    assert READER.fault(facts, text_params()) is None
    assert READER.fault(facts, text_params(min_chars=6))[0] == "too_short"
    assert READER.fault(facts, text_params(max_chars=4))[0] == "too_long"
    assert READER.fault(facts, text_params(language=["en"]))[0] == "other_language"
    assert READER.fault(facts, text_params(language=["en", "zh"])) is None
    unsure = facts | {"language": "und"}
    assert READER.fault(unsure, text_params(language=["en"])) is None


def test_params_are_checked():
    for wrong in ({"language": []}, {"language": ["xx"]}, {"near_correlation": 0.4}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            text_params(**wrong)


def test_what_was_not_opened_is_like_none():
    assert READER.unread(None).sketch == NONE
    assert READER.unread(probe("some text")).facts == probe("some text").facts
