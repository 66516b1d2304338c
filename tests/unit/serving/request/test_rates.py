"""Each client has a bucket of its own, and memory does not grow with their number."""

import pytest
from starlette.requests import Request

from pipeline.serving.replicas.http_errors import Refusal
from pipeline.serving.request import rates
from pipeline.serving.request.rates import Rates


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def request(host="10.0.0.1", token=""):
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    return Request({"type": "http", "headers": headers, "client": (host, 1)})


def test_a_minute_worth_goes_at_once_then_as_it_fills():
    clock = Clock()
    counted = Rates(6, clock, by_token=False)
    counted.take(request(), 6)
    with pytest.raises(Refusal) as refused:
        counted.take(request(), 1)
    assert (refused.value.status, refused.value.headers["retry-after"]) == (429, "10")
    counted.take(request("10.0.0.2"), 6)
    clock.now = 10.0
    counted.take(request(), 1)
    with pytest.raises(Refusal):
        counted.take(request(), 1)


def test_a_client_is_its_token_or_its_network():
    by_token = Rates(1, Clock(), by_token=True)
    by_token.take(request("10.0.0.1", "a" * 16), 1)
    by_token.take(request("10.0.0.1", "b" * 16), 1)
    with pytest.raises(Refusal):
        by_token.take(request("10.0.0.9", "a" * 16), 1)
    by_address = Rates(1, Clock(), by_token=False)
    by_address.take(request("2001:db8::1", "a" * 16), 1)
    with pytest.raises(Refusal):
        by_address.take(request("2001:db8::2", "b" * 16), 1)


def test_clients_beyond_the_bound_are_forgotten(monkeypatch):
    monkeypatch.setattr(rates, "_MOST_CLIENTS", 3)
    counted = Rates(1, Clock(), by_token=False)
    for number in range(9):
        counted.take(request(f"10.0.0.{number}"), 1)
    assert len(counted._left) == 3
