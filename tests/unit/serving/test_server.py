"""The listening socket, without a model behind it."""

import asyncio
import socket

from pipeline.serving.server import Address, listen


def test_answers_do_not_wait_for_the_client_to_confirm_their_first_half():
    """Else each answer on a kept connection takes 40 ms more (Nagle and a delayed ACK)."""

    async def accepted_without_delay():
        found = asyncio.get_running_loop().create_future()

        def connected(_, writer):
            option = writer.get_extra_info("socket").getsockopt
            found.set_result(option(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        taken = listen(Address("127.0.0.1", 0))
        async with await asyncio.start_server(connected, sock=taken):
            _, writer = await asyncio.open_connection(*taken.getsockname())
            try:
                return await asyncio.wait_for(found, 30)
            finally:
                writer.close()
                await writer.wait_closed()

    assert asyncio.run(accepted_without_delay())
