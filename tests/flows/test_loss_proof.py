"""Loss as users see it, through the real flow and the real gateway: what never came is missing, per vehicle and in all, until it comes."""

from pathlib import Path
from uuid import UUID

from fleetpulse.codecs import encode, partition, schema
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from tests.gateway.egress.support import Running, gateway, wait_for, wall_ms
from tests.support.ingress import vehicle
from tests.support.processes import part
from tests.support.topics import write

PARTITIONS = 4
STEADY, GAPPY, REBOOTED, CROWDED = (vehicle(n) for n in range(4))
ALL = 1200
"""Frames of the steady vehicle."""
Frame = tuple[UUID, int, int, int]
"""device, boot, seq, previous_last_seq"""


def payload(*found: Frame, now_ms: int) -> bytes:
    """One record with these frames of one vehicle, all of them of this minute."""
    frames = schema.empty(len(found))
    for row, (device, boot, seq, previous) in zip(frames, found, strict=True):
        row["device_hi"], row["device_lo"] = device.int >> 64, device.int & 2**64 - 1
        row["boot_id"], row["seq"], row["previous_last_seq"], row["time_ms"] = boot, seq, previous, now_ms
    return encode.encode(frames)


def put(settings: Settings, *found: Frame) -> None:
    now_ms = wall_ms()
    home = partition.of(found[0][0].bytes, PARTITIONS)
    write(settings, topics.TELEMETRY, [payload(*found, now_ms=now_ms)], partition=home, timestamps_ms=[now_ms])


def tick(settings: Settings) -> None:
    """Stream time goes on everywhere, so that what changed is written."""
    for p in range(PARTITIONS):
        write(settings, topics.TELEMETRY, [b""], partition=p, timestamps_ms=[wall_ms()])


def missing(running: Running, device: UUID) -> int:
    answer = running.client.get(f"/v1/vehicles/{device}/audit")
    return int(answer.json()["missing"]) if answer.status_code == 200 else -1


def told(settings: Settings, running: Running, device: UUID, expected: int) -> None:
    def comes() -> bool:
        tick(settings)
        return missing(running, device) == expected

    wait_for(comes, f"{expected} missing frames of {device}")


def test_what_never_came_is_missing_until_it_comes_late(settings: Settings, tmp_path: Path) -> None:
    topics.ensure(settings, limit_s=10)
    with part(settings, tmp_path, "flow", "telemetry"), gateway(settings) as running:
        put(settings, *((STEADY, 1, seq, -1) for seq in range(ALL)))
        put(settings, *((GAPPY, 1, seq, -1) for seq in (0, 1, 4, 5, 5)))
        put(settings, (REBOOTED, 1, 0, -1), (REBOOTED, 1, 1, -1))
        put(settings, (REBOOTED, 2, 0, 6), (REBOOTED, 2, 1, -1))
        put(settings, *((CROWDED, 1, seq, -1) for seq in range(0, 22, 2)))
        told(settings, running, STEADY, 0)
        told(settings, running, GAPPY, 2)
        told(settings, running, REBOOTED, 5)
        told(settings, running, CROWDED, 10)
        answer = running.get("/v1/audit")
        sent = ALL + 6 + 9 + 21
        assert answer["frames"] | {"received": 0, "processed": 0} == {
            "received": 0,
            "processed": 0,
            "duplicate": 1,
            "late": 0,
            "quarantined": 0,
            "dead_lettered": 0,
            "missing": 17,
        }
        assert answer["frames"]["received"] - answer["frames"]["duplicate"] + answer["frames"]["missing"] == sent
        assert answer["objective"] == {"missing_share": 17 / sent, "limit": 0.0001, "met": False}
        assert answer["gaps_overflow"] == 2, "ten gaps, of which a vehicle may have eight"
        assert [(UUID(v["device_id"]), v["missing"]) for v in answer["worst"]] == [(CROWDED, 10), (REBOOTED, 5), (GAPPY, 2)]

        put(settings, (GAPPY, 1, 3, -1), (GAPPY, 1, 2, -1))
        put(settings, *((REBOOTED, 1, seq, -1) for seq in (4, 6, 2, 3, 5)))
        put(settings, *((CROWDED, 1, seq, -1) for seq in range(5, 20, 2)))
        told(settings, running, GAPPY, 0)
        told(settings, running, REBOOTED, 0)
        told(settings, running, CROWDED, 2)
        answer = running.get("/v1/audit")
        assert answer["frames"]["missing"] == 2, "the frames of the two gaps that were dropped"
        assert f"fleet_frames_missing_ratio {2 / sent!r}" in running.client.get("/metrics").text
