"""A TCP proxy whose routes can be cut, slowed down and stopped up. It looks at no byte.

Its event loop runs in a thread of its own; `set` may be called from any thread.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from enum import Enum
from types import TracebackType
from typing import Self

from fleetpulse.flows.embedded import HOST

SLOW_S = 0.2
"""Delay of each chunk on a slow route; a chunk holds what came meanwhile, at most CHUNK bytes, so that the route has a bandwidth, too."""
CHUNK = 64 << 10
_NO_LINGER = struct.pack("ii", 1, 0)
"""Close with a reset."""


class Way(Enum):
    """What a route does with bytes."""

    OPEN = "open"
    CUT = "cut"
    SLOW = "slow"
    HOLE = "hole"


class _Route:
    def __init__(self, target: Callable[[], int]) -> None:
        self.target = target
        self.way = Way.OPEN
        self.passing = asyncio.Event()
        self.passing.set()
        self.writers: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, both directions, until either side ends it or the route is cut."""
        ends, pipes = [writer], list[asyncio.Task[None]]()
        try:
            if self.way is not Way.CUT:
                there_reader, there_writer = await asyncio.open_connection(HOST, self.target())
                ends.append(there_writer)
                self.writers.update(ends)
                pipes = [asyncio.create_task(self._pipe(*ways)) for ways in ((reader, there_writer), (there_reader, writer))]
                await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        except OSError:  # nobody listens behind us: neither do we
            return
        finally:
            for pipe in pipes:
                pipe.cancel()
            self.writers.difference_update(ends)
            for end in ends:
                _reset(end)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(CHUNK):
                if self.way is Way.SLOW:
                    await asyncio.sleep(SLOW_S)
                await self.passing.wait()
                writer.write(chunk)
                await writer.drain()
        except OSError:  # reset by one of them: the other shall see it
            return

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self.serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def set(self, way: Way) -> None:
        self.way = way
        if way is Way.HOLE:
            self.passing.clear()
        else:
            self.passing.set()
        if way is Way.CUT:
            for writer in list(self.writers):
                _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection at once; what it still held is lost, as on a line that is cut."""
    if not writer.transport.is_closing():
        line: socket.socket = writer.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        writer.transport.abort()


class Proxy:
    """Listens on ports of 127.0.0.1; use as a context manager.

    routes  name -> (port to listen on, function that gives the port behind it when a connection comes)
    """

    def __init__(self, routes: Mapping[str, tuple[int, Callable[[], int]]]) -> None:
        self._ports = {name: port for name, (port, _) in routes.items()}
        self._routes = {name: _Route(target) for name, (_, target) in routes.items()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def set(self, name: str, way: Way) -> None:
        """Returns when the route does so."""
        asyncio.run_coroutine_threadsafe(self._set(name, way), self._loop).result()

    async def _set(self, name: str, way: Way) -> None:
        self._routes[name].set(way)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    async def _listen(self) -> None:
        self._servers = [
            await asyncio.start_server(self._routes[name].connected, HOST, port, limit=CHUNK) for name, port in self._ports.items()
        ]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        tasks = [task for route in self._routes.values() for task in route.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
