"""Followers of the event log: each is a cursor into the ring, not a queue, so a slow one costs no memory. Server's event loop only.

Bounds. A follower that has caught up and then falls more than `queue` matching events behind loses the oldest of them and is told how
many; one that resumes from an old cursor may be as far behind as the ring is long. A peer that takes nothing at all for SILENT_S is cut
by the kernel (main.py). More than MAX_FOLLOWERS are refused.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from weakref import WeakSet

from fleetpulse.gateway.egress.event_log import EventLog, Filter, Kept

MAX_FOLLOWERS = 1_000
BATCH = 100
"""Events sent at once; the next batch is chosen when this one has been taken."""


class FullError(Exception):
    """There are as many followers as there may be."""


@dataclass(frozen=True)
class Batch:
    """What comes next: `dropped` matching events were skipped before `events`; `cursor` is the place after them."""

    dropped: int
    events: list[Kept]
    cursor: str


@dataclass(eq=False)
class Follower:
    """One client. `position`: number of the last event that it was given or that did not match. `patient`: loses only what left the
    ring, however far it is behind.
    """

    wanted: Filter
    position: int
    transport: str
    client: str = ""
    live: bool = False
    patient: bool = False


class Streams:
    """All followers of one log. `queue`: the bound of a follower that has caught up."""

    def __init__(self, events: EventLog, *, queue: int) -> None:
        self._events = events
        self._queue = queue
        self._changed = asyncio.Event()
        self._closed = False
        self._followers: WeakSet[Follower] = WeakSet()  # a request that ends before it streams leaves nothing behind
        self.dropped = 0

    def announce(self) -> None:
        """The log has grown: wake all."""
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """End all followers; new ones end at once."""
        self._closed = True
        self.announce()

    def open(self, wanted: Filter, *, cursor: str | None, transport: str, client: str = "", patient: bool = False) -> Follower:
        """A follower from `cursor` on, None: from now on. `client`: whose it is. Raises CursorError, FullError."""
        if len(self._followers) >= MAX_FOLLOWERS:
            raise FullError(f"at most {MAX_FOLLOWERS} streams may be open; close one or ask another gateway")
        position = self._events.newest if cursor is None else self._events.position(cursor)
        follower = Follower(wanted, position, transport, client, patient=patient)
        self._followers.add(follower)
        return follower

    def release(self, follower: Follower) -> None:
        self._followers.discard(follower)

    async def follow(self, follower: Follower) -> AsyncIterator[Batch]:
        """Batches as they come, until close(). The caller takes its time between two; what that costs stands above."""
        while not self._closed:
            changed = self._changed
            batch = self._take(follower)
            if batch.events or batch.dropped:
                yield batch
            else:
                await changed.wait()

    def _take(self, follower: Follower) -> Batch:
        lost = max(0, self._events.oldest - 1 - follower.position)  # fell out of the ring; whether they matched is unknown
        numbers = self._events.select(follower.wanted, after=follower.position)
        dropped = lost
        if follower.live and not follower.patient and len(numbers) > self._queue:
            dropped += len(numbers) - self._queue
            numbers = numbers[-self._queue :]
        chosen = numbers[:BATCH].tolist()
        if len(numbers) <= BATCH:
            follower.live = True
            follower.position = self._events.newest
        else:
            follower.position = chosen[-1]
        self.dropped += dropped
        return Batch(dropped, [self._events.kept(n) for n in chosen], self._events.cursor(follower.position))

    def count(self, transport: str) -> int:
        return sum(follower.transport == transport for follower in self._followers)

    def count_of(self, client: str) -> int:
        return sum(follower.client == client for follower in self._followers)

    def furthest_behind(self) -> int:
        """Events (of any kind) that the slowest follower has not looked at."""
        return max((self._events.newest - follower.position for follower in self._followers), default=0)
