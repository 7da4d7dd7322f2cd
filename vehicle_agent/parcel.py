"""One MQTT payload on its way from a vehicle to Kafka, and what must be known of it. Data only."""

from dataclasses import dataclass, field
from enum import IntEnum


class Kind(IntEnum):
    """What a parcel holds; the numbers stand in the store's files."""

    BATCH = 1  # a TelemetryBatch
    JSON = 2  # one frame of old firmware
    ALERT = 3  # a batch of one, for the topic alert/{id}
    GARBAGE = 4  # bad input of a scenario: no frames, not stored, not answered, never sent twice


class State(IntEnum):
    """Where a parcel is; `DONE` also when it was dropped."""

    WAITING = 0  # to be sent, now or when its vehicle or the broker is back
    SENDING = 1  # the broker has not acknowledged
    SENT = 2  # the broker has; the bridge has not answered
    DONE = 3


@dataclass(slots=True, eq=False)
class Parcel:
    """A payload.

    vehicle    number of the vehicle, -1 when no vehicle of this process has its device id
    boot_id, first_seq, last_seq
               which frames it holds, all of one boot
    oldest_ms, newest_ms
               when they were made (deployment's clock)
    payload    None while only the store has it
    id         of the store, unique over restarts; the correlation data of its publish
    segment, offset, size
               where the payload lies in the store; segment -1: nowhere
    """

    kind: Kind
    vehicle: int
    frames: int
    boot_id: int
    first_seq: int
    last_seq: int
    oldest_ms: int
    newest_ms: int
    payload: bytes | None
    device_id: bytes
    id: int = 0
    segment: int = -1
    offset: int = 0
    size: int = 0
    state: State = State.WAITING
    sends: int = 0
    sent_at_s: float = field(default=0.0)
