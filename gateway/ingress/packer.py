"""Joins protobuf payloads of one Kafka partition into one record: serialised batches concatenate into a valid batch.

Only what framing.check has passed may come here. No I/O, no clock: the time is an argument, seconds of a monotonic clock.
"""

from collections.abc import Callable
from math import inf

from fleetpulse.gateway.ingress.record import Kind, Record


class Packer:
    """One open record a partition, handed over when it would grow beyond pack_bytes or its first payload has waited hold_s.

    send  takes over a finished record
    """

    def __init__(self, *, pack_bytes: int, hold_s: float, send: Callable[[Record], None]) -> None:
        self.bytes = 0
        self._pack_bytes = pack_bytes
        self._hold_s = hold_s
        self._send = send
        self._open: dict[int, Record] = {}  # in the order of opening, so the first is due first

    def add(self, partition: int, payload: bytes, now_s: float) -> Record:
        """The record that will hold the payload. A payload of pack_bytes and more is a record of its own."""
        record = self._open.get(partition)
        if record is not None and record.size + len(payload) > self._pack_bytes:
            self.flush(partition)
            record = None
        if record is None:
            record = self._open[partition] = Record(Kind.PACKED, partition, opened_s=now_s)
        record.parts.append(payload)
        record.size += len(payload)
        record.messages += 1
        self.bytes += len(payload)
        if record.size >= self._pack_bytes:
            self.flush(partition)
        return record

    def holds(self, partition: int) -> bool:
        return partition in self._open

    def flush(self, partition: int) -> None:
        """Hand over what is held for a partition, if anything is."""
        record = self._open.pop(partition, None)
        if record is not None:
            self.bytes -= record.size
            self._send(record)

    def flush_due(self, now_s: float) -> None:
        while self._open:
            partition, record = next(iter(self._open.items()))
            if record.opened_s + self._hold_s > now_s:
                return
            self.flush(partition)

    def flush_all(self) -> None:
        for partition in list(self._open):
            self.flush(partition)

    def due_s(self) -> float:
        """When the next record must be handed over; infinite when nothing is held."""
        for record in self._open.values():
            return record.opened_s + self._hold_s
        return inf
