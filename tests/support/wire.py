"""A wire to a server: it counts requests and bytes, and can be cut."""

import re
import socket
import threading
import time
from contextlib import contextmanager, suppress

_REQUEST = re.compile(rb"^((?:GET|HEAD) \S+) HTTP/1\.1\r$", re.MULTILINE)


class Wire:
    """What went over it since `clear`, and how it behaves."""

    def __init__(self, port):
        self._to = port
        self.port = None
        self.latency_s = 0.0
        self.clear()

    def clear(self):
        """Count from zero, and behave."""
        self.requests, self.bytes = [], 0
        self.drop, self.cut_after = 0, None

    def serve(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self.drop or self._is_cut():
                self.drop = max(0, self.drop - 1)
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._to))
            for source, target, count in (
                (client, server, self._asked),
                (server, client, self._answered),
            ):
                threading.Thread(
                    target=self._carry, args=(source, target, count), daemon=True
                ).start()

    def _is_cut(self):
        return self.cut_after is not None and self.bytes > self.cut_after

    def _asked(self, content):
        self.requests += [each.decode() for each in _REQUEST.findall(content)]

    def _answered(self, content):
        self.bytes += len(content)

    def _carry(self, source, target, count):
        with suppress(OSError):
            while (content := source.recv(1 << 16)) and not self._is_cut():
                count(content)
                if count == self._asked and self.latency_s:
                    time.sleep(self.latency_s)
                target.sendall(content)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def wire_to(port):
    """Give a wire to a server on this machine; clients take `wire.port`."""
    wire = Wire(port)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire.port = listener.getsockname()[1]
        threading.Thread(target=wire.serve, args=(listener,), daemon=True).start()
        yield wire
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
