"""Ports for servers that are killed and must come back on the same: below those that the kernel gives to outgoing connections.

From the kernel's own range, a client that tries again and again while its server is away may at last be given that very port for its end
of the connection, connect to itself, and keep the server out.
"""

import random
import socket
from pathlib import Path

from fleetpulse.flows.embedded import HOST

_LOWEST = 10_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 1000


def pick(count: int) -> list[int]:
    """Ports in a row that nobody uses now. Raises OSError when there are none."""
    highest = int(_RANGE.read_text(encoding="ascii").split()[0]) - count
    for _ in range(_TRIES):
        first = random.randint(_LOWEST, highest)  # noqa: S311 - so that two harnesses do not meet
        ports = list(range(first, first + count))
        if all(map(_free, ports)):
            return ports
    raise OSError(f"{count} ports in a row below {highest} must be free; they are not")


def _free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((HOST, port))
        except OSError:
            return False
        return True
