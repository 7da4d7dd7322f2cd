"""Frames on their way: nothing lost, in order a vehicle, held while silent, no record while the bridge is down, ticks else."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.bench.payloads import Payloads
from fleetpulse.bench.quality.uplink import Span, Uplink
from fleetpulse.codecs import records
from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.codecs.schema import Kind, Status, empty
from fleetpulse.vehicle_agent.faults import Fault, Planned, table

START_MS = 1_762_754_400_000
IDS = [bytes([v + 1]) * 16 for v in range(6)]
SECONDS = 900
PARTITIONS = 2


def frames() -> NDArray[Any]:
    """One every 5 s of each vehicle."""
    rows = empty(len(IDS) * SECONDS // 5)
    number = np.arange(len(rows))
    rows["offset"], rows["seq"] = number % len(IDS), number // len(IDS)
    rows["time_ms"] = rows["append_ms"] = START_MS + number // len(IDS) * 5000
    halves = np.array([[int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big")] for key in IDS], dtype=np.uint64)
    rows["device_hi"], rows["device_lo"] = halves[rows["offset"]].T
    return rows


def log(uplink: Uplink) -> tuple[NDArray[Any], list[tuple[int, int]]]:
    """What arrives, in order of the log a partition, and (partition, time) of the ticks."""
    rows, parts, ticks = frames(), [], []
    pieces = [(rows[rows["append_ms"] < START_MS + 400_000], START_MS + 400_000)]
    pieces += [(rows[rows["append_ms"] >= START_MS + 400_000], START_MS + SECONDS * 1000), (empty(0), START_MS + SECONDS * 2000)]
    for piece, until_ms in pieces:
        sent: Payloads = uplink.send(piece, until_ms)
        begins = np.concatenate(([0], sent.ends[:-1]))
        for begin, end, partition, at_ms in zip(begins, sent.ends, sent.partition, sent.append_ms, strict=True):
            if begin == end:
                ticks.append((int(partition), int(at_ms)))
                continue
            one = np.zeros(1, np.int64)
            batch = RecordBatch(int(partition), sent.payload[begin:end], one + (end - begin), one, one + at_ms)
            decoded = records.decode(batch, source_topic="", partitions=PARTITIONS)
            assert not decoded.dead_letters
            parts.append(decoded.frames)
    return np.concatenate(parts), ticks


def uplink(faults: NDArray[Any] | None = None) -> Uplink:
    return Uplink(IDS, table(()) if faults is None else faults, partitions=PARTITIONS, seed=1, start_ms=START_MS)


def test_every_frame_arrives_in_order_a_vehicle_and_soon() -> None:
    rows, ticks = log(uplink())
    assert (rows["kind"] == Kind.FRAME).all()
    assert len(np.unique(rows[["device_lo", "seq"]])) == len(frames())
    delay = rows["append_ms"] - rows["time_ms"]
    assert delay.min() >= 0
    assert np.quantile(delay, 0.99) < 5000
    for device in np.unique(rows["device_lo"]):
        own = rows[rows["device_lo"] == device]
        _, first = np.unique(own["seq"], return_index=True)
        assert (np.diff(first) > 0).all()
    assert ticks


def test_every_second_of_a_partition_has_a_record() -> None:
    rows, ticks = log(uplink())
    for partition in range(PARTITIONS):
        seconds = {int(at) // 1000 for at in rows["append_ms"][rows["partition"] == partition]}
        seconds |= {at // 1000 for p, at in ticks if p == partition}
        assert seconds >= set(range(START_MS // 1000, START_MS // 1000 + SECONDS))


def test_a_silent_vehicle_sends_its_frames_afterwards_as_backlog() -> None:
    span = Span(START_MS + 100_000, START_MS + 500_000)
    rows, _ = log(uplink(table([Planned(2, Fault.OFFLINE, span.start_ms, span.end_ms)])))
    own = rows[rows["device_lo"] == int.from_bytes(IDS[2][8:], "big")]
    held = own[(own["time_ms"] >= span.start_ms) & (own["time_ms"] < span.end_ms)]
    assert len(held) >= 80
    assert held["append_ms"].min() > span.end_ms
    assert (held["status"] & Status.BACKLOG != 0).all()


def test_nothing_is_written_while_the_bridge_is_down() -> None:
    way = uplink()
    span = Span(START_MS + 100_000, START_MS + 500_000)
    way.stop_bridge(span)
    rows, ticks = log(way)
    times = np.concatenate((rows["append_ms"], [at for _, at in ticks]))
    assert not ((times >= span.start_ms) & (times < span.end_ms)).any()
    assert len(np.unique(rows[["device_lo", "seq"]])) == len(frames())
