"""What leads to a person in a text is found by form and check digits, counted and masked."""

import time

import pytest

from pipeline.text.read.personal import CARRIED, count_personal, find_personal, mask_personal

FOUND = [
    ("write to ada.mark@example.org, please", "email", "write to [e-mail], please"),
    ("(me@münchen.de)", "email", "([e-mail])"),
    ("first.last+tag@a-b.co.uk.", "email", "[e-mail]."),
    ("call +49 (30) 1234567.", "phone", "call [phone]."),
    ("call +1-212-555-0142", "phone", "call [phone]"),
    ("call 212-555-0142 now", "phone", "call [phone] now"),
    ("Tel. (030) 123 45 67", "phone", "Tel. [phone]"),
    ("Tel. 030/1234567", "phone", "Tel. [phone]"),
    ("card 4111 1111 1111 1111", "card", "card [card]"),
    ("card 378282246310005", "card", "card [card]"),
    ("to DE89 3704 0044 0532 0130 00!", "iban", "to [IBAN]!"),
    ("to GB82WEST12345698765432", "iban", "to [IBAN]"),
    ("from 192.168.10.4", "ip", "from [IP]"),
    ("from fe80::1ff:fe23:4567:890a", "ip", "from [IP]"),
]


@pytest.mark.parametrize(("text", "kind", "masked"), FOUND)
def test_what_is_found_and_what_is_written_in_its_place(text, kind, masked):
    assert count_personal(text) == {kind: 1}
    assert mask_personal(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no digits, @ nobody",
        "a@b and @handle and x @ y.de",
        "card 4111 1111 1111 1112",
        "DE88 3704 0044 0532 0130 00",
        "version 1.2.3.4.5, 256.1.1.1, 1.2.3",
        "1995-1996, 2024-01-05 10:30:00, 2001-2002-2003",
        "ISBN 978-3-16-148410-0, 3.14159265358979, 1,234,567.89",
        "order 20231105123456, room 12-34, 9:30-10:30",
        "5 stars 10/10 100% 3-2 2.5",
    ],
)
def test_what_only_looks_so_is_left(text):
    assert find_personal(text) == []
    assert mask_personal(text) == text


def test_every_kind_has_a_meaning_and_a_mask():
    every = " ; ".join(text for text, _, _ in FOUND)
    assert count_personal(every).keys() == CARRIED.keys()
    assert count_personal(every)["phone"] == 5
    masked = mask_personal(every)
    assert find_personal(masked) == []
    assert "ada" not in masked


def test_a_mask_that_uncovers_another_place_masks_that_too():
    text = "1.1.1.1.a@example.org 192.168.10.4x@example.org+49 30 1234567"
    assert find_personal(mask_personal(text)) == []


@pytest.mark.parametrize(
    "piece",
    ["1", "1 ", "a", "@", "a.@", "+1 ", "0:", "AB12 ", "1.1.", "(1", "4111 1111 1111 1111 "],
)
def test_the_time_grows_with_the_length_alone(piece):
    start = time.process_time()
    mask_personal(piece * (200_000 // len(piece)))
    assert time.process_time() - start < 3.0
