"""A poison record, or a poison frame in a good record, at the head of a partition delays nothing: what stands behind it comes out, and the
dead-letter topic has it with its reason and origin."""

from pathlib import Path

from fleetpulse.codecs import partition
from fleetpulse.codecs.batch import MAX_PAYLOAD_BYTES
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from tests.gateway.egress.support import gateway, wait_for, wall_ms
from tests.naive import wire
from tests.support.ingress import batch, dead_letters, vehicle
from tests.support.processes import part, workers
from tests.support.topics import write

PARTITIONS = 4
HOME = 2
DEVICES = [device for device in map(vehicle, range(200)) if partition.of(device.bytes, PARTITIONS) == HOME][:3]
FOREIGN = next(device for device in map(vehicle, range(200)) if partition.of(device.bytes, PARTITIONS) != HOME)
BAD_FRAME = wire.batch(wire.delimited(1, DEVICES[0].bytes) + b"\xff\xff")
GOOD = 20
"""Frames of each vehicle, behind every poison."""
POISON = {
    "oversize": b"\x0a" + bytes(MAX_PAYLOAD_BYTES),
    "huge": b"\xff" * (4 << 20),
    "a truncated batch": batch(DEVICES[0], 900)[:-3],
    "a length that lies": b"\x0a\xff\xff\xff\xff\x0f" + bytes(100),
    "groups without end": b"\x93\x03" * 300_000,
    "lists without end": b"[" * 1_000_000,
    "objects without end": b'{"a":' * 200_000,
    "numbers beyond all": b'{"device_id": 1e99999}',
    "frames of nothing": b"\x0a\x00" * 400_000,
    "no text": b'{"device_id": "\xff\xfe"}',
    "an operation that is none": b'{"operation": {"operation": []}}',
    "another's frame": batch(FOREIGN, 0),
    "garbage": bytes(range(256)) * 200,
}
"""What it is -> a record's value of which nothing can be taken."""
REASONS = {
    "oversize": b"oversize",
    "huge": b"oversize",
    "a truncated batch": b"framing",
    "a length that lies": b"framing",
    "groups without end": b"framing",
    "lists without end": b"json",
    "objects without end": b"json",
    "numbers beyond all": b"json",
    "frames of nothing": b"device_id",
    "no text": b"json",
    "an operation that is none": b"operation",
    "another's frame": b"misrouted",
    "garbage": b"framing",
}


def test_poison_at_the_head_of_a_partition_delays_nothing(settings: Settings, tmp_path: Path) -> None:
    """All of it is in the log before the flow begins, so that the first polls meet it."""
    topics.ensure(settings, limit_s=10)
    good = [batch(device, *range(first, first + 5)) for first in range(0, GOOD, 5) for device in DEVICES]
    mixed = batch(DEVICES[0], GOOD) + BAD_FRAME + batch(DEVICES[0], GOOD + 1)
    values = [*POISON.values(), mixed, *good]
    write(settings, topics.TELEMETRY, values, partition=HOME, timestamps_ms=[wall_ms()] * len(values))
    with part(settings, tmp_path, "flow", "telemetry") as flow, gateway(settings) as served:

        def received() -> list[int]:
            write(settings, topics.TELEMETRY, [b""], partition=HOME, timestamps_ms=[wall_ms()])
            answers = [served.client.get(f"/v1/vehicles/{device}") for device in DEVICES]
            return [answer.json()["received"] if answer.status_code == 200 else 0 for answer in answers]

        wait_for(lambda: received() == [GOOD + 2, GOOD, GOOD], "the frames behind the poison", limit_s=60)
        (worker,) = workers(flow)
        wait_for(lambda: len(dead_letters(settings)) == len(POISON) + 1, "the dead letters")
        assert served.get("/v1/audit")["frames"]["dead_lettered"] == len(POISON) + 1
        assert [process.pid for process in workers(flow)] == [worker.pid], "nothing of it ends the flow"
    letters = {int(headers["source-offset"]): (headers, value) for headers, value in dead_letters(settings)}
    for offset, (what, value) in enumerate(POISON.items()):
        headers, kept = letters[offset]
        assert (headers["reason"], headers["source-partition"]) == (REASONS[what], b"2"), what
        assert (int(headers["length"]), kept) == (len(value), value[: 64 << 10]), what
    headers, kept = letters[len(POISON)]
    assert (headers["reason"], headers["position"], kept) == (b"malformed", b"1", BAD_FRAME)
