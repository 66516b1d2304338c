"""What in a text leads to a person: e-mail addresses, phone numbers, and numbers with check digits.

Places are found, counted and masked; no value is handed on. The time grows with the length alone.
What a model would find, such as names of people, is not looked for.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import NamedTuple

CARRIED: Mapping[str, str] = {
    "email": "an e-mail address",
    "phone": "a phone number, as it is written with a +, or with parts in between",
    "card": "the number of a payment card; its check digit is right (Luhn)",
    "iban": "the number of a bank account, an IBAN; its check digits are right",
    "ip": "the address of a machine, IPv4 or IPv6",
}
"""Kinds of what a text carries, and what each means."""

_MASKS = {"email": "[e-mail]", "phone": "[phone]", "card": "[card]", "iban": "[IBAN]", "ip": "[IP]"}

_BEFORE_AT = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+")
"""Read backward."""

_AFTER_AT = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?!\w)")
_MOST_LOCAL = 64
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)")
_CARD = re.compile(r"(?<![\w.+-])[3-6]\d{3}(?:[ -]?\d){9,15}(?![\w-])")
_IP4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)")
_IP6 = re.compile(r"(?<![\w:.])[\da-fA-F]{0,4}(?::[\da-fA-F]{0,4}){4,7}(?![\w:])")
_PHONE = re.compile(
    r"(?<![\w.:+/-])(?:"
    r"\+[1-9]\d{0,2}(?:[ .\-/]{0,2}\(?\d{1,5}\)?){2,7}"  # +49 (30) 1234567
    r"|(?<!\d )(?:00[1-9]\d{0,2}(?:[ .\-/]{0,2}\(?\d{1,5}\)?){2,7}"  # 0049 30 1234567
    r"|\(\d{2,5}\)[ .\-/]?\d{2,5}(?:[ .\-]?\d{2,5}){1,3}"  # (030) 123 45 67
    r"|\d{3}[ .\-]\d{3}[ .\-]\d{4}"  # 212-555-0142
    r"|0\d{1,4}[ .\-/]\d{2,5}(?:[ .\-]?\d{2,5}){1,3})"  # 030 1234567
    r")(?![\w-]|\.\d)"
)
_FEWEST_DIGITS, _MOST_DIGITS = 8, 15
"""Of a phone number; the most by ITU-T E.164."""


class Place(NamedTuple):
    """Where a text has something."""

    start: int
    end: int
    kind: str
    """A key of `CARRIED`."""


def find_personal(text: str) -> list[Place]:
    """Return the places, in their order; none overlaps another one."""
    found = [*_emails(text), *_numbers(text)]
    order = list(CARRIED)
    found.sort(key=lambda each: (each.start, order.index(each.kind)))
    kept: list[Place] = []
    for each in found:
        if not kept or each.start >= kept[-1].end:
            kept.append(each)
    return kept


def count_personal(text: str) -> dict[str, int]:
    """Return how often a text has something of each kind; kinds that it has not are left out."""
    return dict(sorted(Counter(each.kind for each in find_personal(text)).items()))


def mask_personal(text: str) -> str:
    """Return a text with a word such as `[e-mail]` in every place; nothing is found in it then."""
    while places := find_personal(text):  # each round takes digits or an @ away
        parts, at = [], 0
        for each in places:
            parts += [text[at : each.start], _MASKS[each.kind]]
            at = each.end
        text = "".join([*parts, text[at:]])
    return text


def _emails(text: str) -> Iterator[Place]:
    at, last = text.find("@"), 0
    while at >= 0:
        before = _BEFORE_AT.match(text[max(last, at - _MOST_LOCAL) : at][::-1])
        after = _AFTER_AT.match(text, at + 1) if before else None
        if before and after:
            last = after.end()
            yield Place(at - len(before[0]), last, "email")
        at = text.find("@", at + 1)


def _numbers(text: str) -> Iterator[Place]:
    if not any(map(text.__contains__, "0123456789")):
        return
    for kind, pattern, is_right in _PATTERNS:
        for found in pattern.finditer(text):
            if is_right(found[0]):
                yield Place(found.start(), found.end(), kind)


def _is_iban(text: str) -> bool:
    """ISO 13616: moved by four signs, letters as numbers, it leaves 1 of 97."""
    plain = text.replace(" ", "")
    moved = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1


def _is_card(text: str) -> bool:
    digits = [int(sign) for sign in text if sign.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) < 2:
        return False
    doubled = (sum(divmod(2 * each, 10)) for each in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_phone(text: str) -> bool:
    return _FEWEST_DIGITS <= sum(map(str.isdigit, text)) <= _MOST_DIGITS


_PATTERNS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("iban", _IBAN, _is_iban),
    ("card", _CARD, _is_card),
    ("ip", _IP4, _is_ip),
    ("ip", _IP6, _is_ip),
    ("phone", _PHONE, _is_phone),
)
