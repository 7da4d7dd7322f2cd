"""Store and forward: every payload is on disk from before it is sent until the bridge has answered. Append-only segment files.

What is promised: a killed process loses nothing that was appended (the operating system has it); a power cut loses at most what was
appended since the last sync(), which the agent calls every second. An answer that was not written yet means a double, never a loss.
Bounds: bytes on disk and age. What does not fit is dropped, oldest first, and counted in `dropped`.
Beside payloads the files hold which boot each vehicle is in and its last seq, so a boot id is never used twice.
"""

import fcntl
import os
import struct
import time
from pathlib import Path

from fleetpulse.vehicle_agent.parcel import Kind, Parcel, State
from fleetpulse.vehicle_agent.segment import Segment

_META = struct.Struct("<Q16sIIIIqq")
"""id, device id, boot, first seq, last seq, frames, oldest_ms, newest_ms; before a payload's bytes."""
_BOOT = struct.Struct("<16sIq")
"""device id, boot, last seq (-1: none yet)."""
_ID = struct.Struct("<Q")
_ANSWERED, _BOOTS = 100, 101
_CLEAN_BELOW = 0.5
"""A segment whose payloads are mostly answered is cleaned: the rest moves to the newest one."""
_SEGMENTS_PER_AGE = 24
"""A segment also ends by time, so that age is kept this finely."""

Boots = dict[bytes, tuple[int, int]]
"""device id -> (boot, last seq in it or -1)."""


class StoreInUseError(OSError):
    """Another process has the store open."""


class Store:
    """The payloads of all vehicles of one process.

    max_bytes      on disk; at least four segments
    max_age_ms     in the deployment's time
    memory_bytes   of payloads that are also kept in memory; beyond it they are read from disk when sent
    """

    def __init__(
        self, folder: Path, *, max_bytes: int, max_age_ms: int, segment_bytes: int = 8 << 20, memory_bytes: int = 64 << 20
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise StoreInUseError(f"the store must belong to one process; another has it open ({folder})") from None
        self._folder = folder
        self._max_bytes = max(max_bytes, 4 * segment_bytes)
        self._max_age_ms = max_age_ms
        self._segment_bytes = segment_bytes
        self._memory_bytes = memory_bytes
        self._in_memory = 0
        self._segments: dict[int, Segment] = {}
        self._live: dict[int, dict[int, Parcel]] = {}
        self._answers: list[int] = []
        self._next_id = time.time_ns()
        self.boots: Boots = {}
        self.dropped = 0
        self.pending = 0
        self._scan()
        self._head = self._new_segment()
        self._head_since_ms = 0

    def parcels(self) -> list[Parcel]:
        """All that is not done, oldest first; after opening: what an earlier process left. Their `vehicle` is -1."""
        return [parcel for number in sorted(self._live) for parcel in self._live[number].values()]

    @property
    def size_bytes(self) -> int:
        """On disk."""
        return sum(segment.size for segment in self._segments.values())

    def begin_boots(self, boots: Boots) -> None:
        """Record new boots before anything of them is sent; on the disk when this returns."""
        self.boots.update(boots)
        self._head.append([(_BOOTS, _pack_boots(self.boots))])
        self._head.sync()

    def append(self, parcels: list[Parcel]) -> None:
        """Keep new payloads; the operating system has them when this returns."""
        for parcel in parcels:
            self._next_id += 1
            parcel.id = self._next_id
            self.boots[parcel.device_id] = (parcel.boot_id, parcel.last_seq)
            self.pending += parcel.frames
        self._write(parcels)

    def answered(self, parcel: Parcel) -> None:
        """The payload has arrived. Harmless when it is done already."""
        if parcel.state is State.DONE:
            return
        self._forget(parcel)
        self._answers.append(parcel.id)

    def payload(self, parcel: Parcel) -> bytes:
        """The bytes, from memory or disk."""
        if parcel.payload is not None:
            return parcel.payload
        return self._segments[parcel.segment].read(parcel.offset, parcel.size)

    def maintain(self, now_ms: int) -> None:
        """Write down answers, clean and delete files, keep the bounds. Call it about every second."""
        self._write_answers()
        if now_ms - self._head_since_ms > self._max_age_ms / _SEGMENTS_PER_AGE:
            self._head.sync()
            self._head = self._new_segment()
            self._head_since_ms = now_ms
        while len(self._segments) > 1:
            number = min(self._segments)
            live = list(self._live[number].values())
            segment = self._segments[number]
            if live and (self.size_bytes > self._max_bytes or live[-1].newest_ms < now_ms - self._max_age_ms):
                for parcel in live:
                    self.dropped += parcel.frames
                    self._forget(parcel)
            elif live and sum(parcel.size for parcel in live) >= _CLEAN_BELOW * segment.size:
                return
            elif live:
                for parcel in live:
                    payload = self.payload(parcel)
                    self._unload(parcel)
                    parcel.payload = payload
                    del self._live[number][parcel.id]
                self._write(live)
            del self._segments[number], self._live[number]
            segment.remove()

    def sync(self) -> None:
        """What was appended is on the disk when this returns. May run in another thread."""
        self._head.sync()

    def close(self) -> None:
        self._write_answers()
        self._head.sync()
        for segment in self._segments.values():
            segment.close()
        self._lock.close()

    def _forget(self, parcel: Parcel) -> None:
        parcel.state = State.DONE
        self.pending -= parcel.frames
        del self._live[parcel.segment][parcel.id]
        self._unload(parcel)

    def _unload(self, parcel: Parcel) -> None:
        if parcel.payload is not None:
            self._in_memory -= parcel.size
            parcel.payload = None

    def _write_answers(self) -> None:
        if self._answers:
            self._head.append([(_ANSWERED, b"".join(map(_ID.pack, self._answers)))])
            self._answers = []

    def _write(self, parcels: list[Parcel]) -> None:
        """Append to the newest segment, and begin another when it is full."""
        records = []
        for p in parcels:
            assert p.payload is not None, "a parcel is written with its payload"
            meta = _META.pack(p.id, p.device_id, p.boot_id, p.first_seq, p.last_seq, p.frames, p.oldest_ms, p.newest_ms)
            records.append((int(p.kind), meta + p.payload))
        live = self._live[self._head.number]
        for p, offset in zip(parcels, self._head.append(records), strict=True):
            assert p.payload is not None, "still"
            p.segment, p.offset, p.size = self._head.number, offset + _META.size, len(p.payload)
            live[p.id] = p
            if self._in_memory + p.size > self._memory_bytes:
                p.payload = None
            else:
                self._in_memory += p.size
        if self._head.size >= self._segment_bytes:
            self._head.sync()
            self._head = self._new_segment()

    def _new_segment(self) -> Segment:
        number = max(self._segments, default=0) + 1
        segment = Segment(self._folder / f"{number:010d}.log", number)
        self._segments[number] = segment
        self._live[number] = {}
        segment.append([(_BOOTS, _pack_boots(self.boots))])
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return segment

    def _scan(self) -> None:
        """Read what an earlier process left. A payload that was moved stands twice; the later place counts."""
        found: dict[int, Parcel] = {}
        for file in sorted(self._folder.glob("*.log")):
            segment = Segment(file, int(file.stem))
            self._segments[segment.number] = segment
            self._live[segment.number] = {}
            for kind, body, offset in segment.records():
                if kind == _ANSWERED:
                    for (answered,) in _ID.iter_unpack(body):
                        found.pop(answered, None)
                elif kind == _BOOTS:
                    self.boots.update({device: (boot, last) for device, boot, last in _BOOT.iter_unpack(body)})
                else:
                    parcel = _read_parcel(kind, body, segment.number, offset)
                    found[parcel.id] = parcel
                    newest = self.boots.get(parcel.device_id, (0, -1))
                    self.boots[parcel.device_id] = max(newest, (parcel.boot_id, parcel.last_seq))
        for parcel in found.values():
            self._live[parcel.segment][parcel.id] = parcel
            self.pending += parcel.frames


def _pack_boots(boots: Boots) -> bytes:
    return b"".join(_BOOT.pack(device, boot, last) for device, (boot, last) in boots.items())


def _read_parcel(kind: int, body: bytes, segment: int, offset: int) -> Parcel:
    number, device, boot, first, last, frames, oldest_ms, newest_ms = _META.unpack_from(body)
    return Parcel(
        kind=Kind(kind),
        vehicle=-1,
        frames=frames,
        boot_id=boot,
        first_seq=first,
        last_seq=last,
        oldest_ms=oldest_ms,
        newest_ms=newest_ms,
        payload=None,
        device_id=device,
        id=number,
        segment=segment,
        offset=offset + _META.size,
        size=len(body) - _META.size,
    )
