"""A TCP proxy between a session and a device that loses, changes and repeats bytes, by a seed."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Cable:
    """`url` is the bad end.  Chances are per byte; set them to 0 to mend the cable."""

    url: str
    drop: float = 0.0
    flip: float = 0.0
    insert: float = 0.0
    cut_after: int | None = None  # bytes in both directions
    repeat_next: int = 0  # how many of the host's writes to send twice
    carried: int = 0
    damaged: int = 0
    random: random.Random = field(default_factory=lambda: random.Random(1))

    def spoil(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            chance = self.random.random()
            if chance < self.drop:
                self.damaged += 1
            elif chance < self.drop + self.flip:
                self.damaged += 1
                out.append(byte ^ (1 << self.random.randrange(8)))
            else:
                out.append(byte)
            if self.insert and self.random.random() < self.insert:
                self.damaged += 1
                out.append(self.random.randrange(256))
        return bytes(out)


@contextlib.contextmanager
def bad_cable(url: str, seed: int = 1) -> Iterator[Cable]:
    """One cable to the device at `url`; the device's program must listen there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        cable = Cable(f"socket://127.0.0.1:{server.getsockname()[1]}", random=random.Random(seed))
        stop = threading.Event()
        thread = threading.Thread(target=_carry, args=(server, url, cable, stop), daemon=True)
        thread.start()
        try:
            yield cable
        finally:
            stop.set()
            thread.join(5)


def _carry(server: socket.socket, url: str, cable: Cable, stop: threading.Event) -> None:
    server.settimeout(0.1)
    host, port = url.removeprefix("socket://").split(":")
    while not stop.is_set():
        try:
            near, _ = server.accept()
        except TimeoutError:
            continue
        with near, socket.create_connection((host, int(port))) as far:
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not stop.is_set():
                if cable.cut_after is not None and cable.carried >= cable.cut_after:
                    break
                readable, _, _ = select.select([near, far], [], [], 0.1)
                try:
                    if not all(_pass(s, far if s is near else near, s is near, cable) for s in readable):
                        break
                except OSError:
                    break


def _pass(source: socket.socket, sink: socket.socket, from_host: bool, cable: Cable) -> bool:
    data = source.recv(65_536)
    if not data:
        return False
    cable.carried += len(data)
    sink.sendall(cable.spoil(data))
    if from_host and cable.repeat_next:
        cable.repeat_next -= 1
        sink.sendall(data)
    return True
