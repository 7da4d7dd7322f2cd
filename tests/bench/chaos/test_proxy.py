"""The proxy passes bytes on, late, not at all, or cuts the line; and says nothing of its own."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from fleetpulse.bench.chaos.proxy import SLOW_S, Proxy, Way
from fleetpulse.flows.embedded import HOST
from fleetpulse.flows.supervisor import free_ports

LIMIT_S = 10.0


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(LIMIT_S)


@pytest.fixture
def proxy(echo: int) -> Iterator[tuple[Proxy, int]]:
    (port,) = free_ports(1)
    with Proxy({"way": (port, lambda: echo)}) as proxy:
        yield proxy, port


def connect(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), timeout=LIMIT_S)


def exchange(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    got = b""
    while len(got) < len(data):
        chunk = connection.recv(65536)
        if not chunk:
            break
        got += chunk
    return got


def test_bytes_pass_both_ways(proxy: tuple[Proxy, int]) -> None:
    data = bytes(range(256)) * 1000
    with connect(proxy[1]) as one, connect(proxy[1]) as two:
        assert exchange(one, data) == data
        assert exchange(two, data[:10]) == data[:10]


def test_a_cut_resets_connections_and_takes_none_until_it_is_over(proxy: tuple[Proxy, int]) -> None:
    way, port = proxy
    with connect(port) as before:
        assert exchange(before, b"a") == b"a"
        way.set("way", Way.CUT)
        with pytest.raises(OSError, match="reset"):
            before.recv(1)
        with pytest.raises(OSError, match="reset"), connect(port) as during:
            during.recv(1)
    way.set("way", Way.OPEN)
    with connect(port) as after:
        assert exchange(after, b"c") == b"c"


def test_a_slow_way_is_late_in_each_direction(proxy: tuple[Proxy, int]) -> None:
    way, port = proxy
    way.set("way", Way.SLOW)
    with connect(port) as connection:
        began = time.monotonic()
        assert exchange(connection, b"a") == b"a"
        assert time.monotonic() - began >= 2 * SLOW_S


def test_a_hole_swallows_until_it_is_over_and_loses_nothing(proxy: tuple[Proxy, int]) -> None:
    way, port = proxy
    with connect(port) as connection:
        assert exchange(connection, b"a") == b"a"
        way.set("way", Way.HOLE)
        connection.sendall(b"b")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        way.set("way", Way.OPEN)
        connection.settimeout(LIMIT_S)
        assert connection.recv(1) == b"b"


def test_nobody_behind_means_nobody(proxy: tuple[Proxy, int]) -> None:
    (port, nobody) = free_ports(2)
    with Proxy({"way": (port, lambda: nobody)}), pytest.raises(OSError, match="reset"), connect(port) as connection:
        connection.recv(1)
