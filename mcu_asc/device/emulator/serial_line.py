"""The far end of the emulated UART: a TCP socket or a pseudo-terminal, one client at a time."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from typing import Protocol

SEND_LIMIT_S = 10.0  # a client that reads nothing for so long is taken as gone


class Line(Protocol):
    """What the UART needs of its far end."""

    url: str  # where a client finds it

    def read(self, limit: int) -> bytes:
        """At most `limit` bytes that have come; b"" when none has.  Never blocks."""

    def wait(self, seconds: float) -> bool:
        """Blocks until something happens on the line or the time is over; True when something did."""

    def write(self, data: bytes) -> None:
        """Sends all of it, or drops it when nobody is there."""


class TcpLine:
    """Listens on 127.0.0.1; a client may go and another may come at any time."""

    def __init__(self, port: int = 0) -> None:
        """`port` 0 takes a free one.  Raises OSError when the port is taken."""
        self._server = socket.create_server(("127.0.0.1", port), backlog=1)
        self._server.setblocking(False)
        self._client: socket.socket | None = None
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"

    def _accept(self) -> socket.socket | None:
        if self._client is None:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self._client, _ = self._server.accept()
                self._client.setblocking(False)
                self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._client

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def read(self, limit: int) -> bytes:
        client = self._accept()
        if client is None:
            return b""
        try:
            data = client.recv(limit)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._hang_up()
        return data

    def wait(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._client or self._server], [], [], seconds)
        return bool(ready)

    def write(self, data: bytes) -> None:
        client = self._accept()
        deadline = time.monotonic() + SEND_LIMIT_S
        while client is not None and data:
            try:
                data = data[client.send(data) :]
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._hang_up()
                    return
                select.select([], [client], [], 0.1)
            except OSError:
                self._hang_up()
                return


class PtyLine:
    """A pseudo-terminal in raw mode; `url` is the path that a serial program opens."""

    def __init__(self) -> None:
        import tty

        self._master, self._slave = os.openpty()  # the slave stays open: else reads fail without a client
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.url = os.ttyname(self._slave)

    def read(self, limit: int) -> bytes:
        try:
            return os.read(self._master, limit)
        except BlockingIOError:
            return b""

    def wait(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], seconds)
        return bool(ready)

    def write(self, data: bytes) -> None:
        deadline = time.monotonic() + SEND_LIMIT_S
        while data and time.monotonic() < deadline:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                select.select([], [self._master], [], 0.1)
