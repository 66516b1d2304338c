"""Items made ahead are the same items; an error comes at its place; nothing goes on unheard."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from pipeline.compute.prefetch import ahead
from tests.support.servers import until


@pytest.fixture
def thread():
    with ThreadPoolExecutor(1) as pool:
        yield pool


class Items:
    """Count up, and keep what was made, by whom, and whether it was closed."""

    def __init__(self, end, *, fail=False):
        self.made = []
        self.threads = set()
        self.is_closed = False
        self._end, self._fail = end, fail

    def give(self):
        try:
            for number in range(self._end):
                self.threads.add(threading.get_ident())
                self.made.append(number)
                yield number
            if self._fail:
                raise OSError("the disk went away")
        finally:
            self.is_closed = True


def test_all_items_come_in_their_order_from_the_other_thread(thread):
    items = Items(500)
    assert list(ahead(items.give(), 3, thread)) == list(range(500))
    assert threading.get_ident() not in items.threads
    assert items.is_closed


def test_no_items(thread):
    assert list(ahead(Items(0).give(), 1, thread)) == []


def test_some_are_made_before_they_are_asked_for_and_no_more(thread):
    items = Items(100)
    with closing(ahead(items.give(), 4, thread)) as given:
        assert next(given) == 0
        until(lambda: len(items.made) == 6)  # the one that was given, four that wait, one in hand
        with pytest.raises(AssertionError):
            until(lambda: len(items.made) > 6, seconds=0.5)
    assert items.is_closed
    assert len(items.made) == 6


def test_an_error_comes_after_the_items_before_it(thread):
    items, given = Items(5, fail=True), []
    with pytest.raises(OSError, match="the disk went away"):
        given.extend(ahead(items.give(), 2, thread))
    assert items.is_closed
    assert thread.submit(lambda: "free").result(10) == "free"


def test_who_fails_over_an_item_is_not_held_up(thread):
    items = Items(100)
    with pytest.raises(ZeroDivisionError), closing(ahead(items.give(), 2, thread)) as given:
        for number in given:
            1 / number
    assert items.is_closed
    assert thread.submit(lambda: "free").result(10) == "free"
