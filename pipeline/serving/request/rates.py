"""How many items each client may ask for in a minute."""

import hashlib
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from starlette.requests import Request

from pipeline.serving.replicas.http_errors import Refusal
from pipeline.serving.request.tokens import sent_token

_MINUTE_S = 60.0
_MOST_CLIENTS = 65_536
"""That are told apart; of more, those that asked longest ago begin anew."""

_NETWORK_BITS = 64
"""Of an IPv6 address: what one customer of a network is given, and can change within at will."""


class Rates:
    """Counts items by client: a bucket that holds a minute's worth, and fills evenly.

    A client is its token where tokens are asked for, else its address. Behind a proxy the address
    is what the proxy says, if uvicorn trusts it (`FORWARDED_ALLOW_IPS`; 127.0.0.1 by itself).

    Args:
        per_minute: Items; None: any number.
        clock: Seconds, that only grow.
        by_token: Whether tokens are asked for.
    """

    def __init__(
        self, per_minute: int | None, clock: Callable[[], float], *, by_token: bool
    ) -> None:
        self._most = per_minute
        self._clock = clock
        self._by_token = by_token
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, request: Request, items: int) -> None:
        """Count items of a request.

        Raises:
            Refusal: The client has asked for too many; it is told when there will be enough.
        """
        if self._most is None:
            return
        client, now = self._client(request), self._clock()
        left, since = self._left.pop(client, (float(self._most), now))
        left = min(float(self._most), left + (now - since) * self._most / _MINUTE_S)
        is_enough = left >= items
        self._left[client] = (left - items if is_enough else left, now)
        if len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
        if not is_enough:
            wait_s = math.ceil((items - left) * _MINUTE_S / self._most)
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                "rate",
                f"a client may ask for {self._most} items in a minute",
                retry_after_s=max(1, wait_s),
            )

    def _client(self, request: Request) -> str:
        if self._by_token:
            return hashlib.sha256(sent_token(request).encode()).hexdigest()
        host = request.client.host if request.client else ""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host[:64]
        if isinstance(address, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
        return str(address)
