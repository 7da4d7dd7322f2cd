"""A paced load generator in a process of its own: a fleet's frames, packed as the bridge packs, written to Kafka at a fixed rate.

`python -m fleetpulse.bench.load --address A --rate N --vehicles V --seconds S --partitions P --seed I` prints one JSON line: frames sent
and how late it was itself. What is due goes out every TICK_MS, one record a partition, stamped when it is handed to the producer. Some
vehicles a second start or end a ride, so that events come at a known rate.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from confluent_kafka import Producer
from numpy.typing import NDArray

from fleetpulse.bench import payloads, workload
from fleetpulse.bench.workload import Workload
from fleetpulse.codecs import encode
from fleetpulse.codecs.schema import Status
from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows.topics import TELEMETRY

TICK_MS = 10
TURNS_PER_S = 100.0
"""Vehicles that start or end a ride each second."""
LINGER_MS = 0.0


@dataclass(frozen=True)
class Load:
    """rate: frames a second of all vehicles together; each vehicle sends in turn."""

    rate: int
    vehicles: int
    seconds: float
    seed: int = 1


class Fleet:
    """All vehicles' frames, brought up to date when they are due. No Kafka here."""

    def __init__(self, load: Load, partitions: int) -> None:
        self._rng = np.random.default_rng(load.seed)
        rows = workload.make(Workload(load.vehicles, load.vehicles, seed=load.seed))
        self._rows = rows[self._rng.permutation(len(rows))]
        self._rows["trip_hi"] = 0
        self._partition = payloads.partitions_of(self._rows, partitions)
        self._turn = TURNS_PER_S / load.rate
        self._next = 0

    def due(self, n: int, now_ms: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The next n vehicles' frames, grouped by partition, and their partitions."""
        which = (self._next + np.arange(n)) % len(self._rows)
        self._next = int(which[-1] + 1) % len(self._rows)
        which = which[np.argsort(self._partition[which], kind="stable")]
        rows = self._rows[which]
        rows["time_ms"] = now_ms
        turns = self._rng.random(n) < self._turn
        rows["status"] ^= np.where(turns, np.uint32(Status.IN_USE | Status.MOVING | Status.LOCKED), np.uint32(0))
        self._rows["status"][which] = rows["status"]
        self._rows["seq"][which] += np.uint32(1)
        return rows, self._partition[which]


def pace(load: Load, fleet: Fleet, producer: Producer) -> dict[str, float]:
    """Send for as long as asked; frames, and lateness in ms. Never slows down: what is late goes out at once."""
    each = load.rate * TICK_MS / 1000
    ticks, late_ms, sent = round(load.seconds * 1000 / TICK_MS), [], 0
    began = time.time()
    for tick in range(ticks):
        due = began + tick * TICK_MS / 1000
        wait = due - time.time()
        if wait > 0:
            time.sleep(wait)
        n = int((tick + 1) * each) - int(tick * each)
        if n == 0:
            continue
        rows, partition = fleet.due(min(n, load.vehicles), int(time.time() * 1000))
        ends = np.append(np.flatnonzero(np.diff(partition)) + 1, len(partition))
        payload, value_ends = encode.encode_many(rows, ends)
        data, begin, now_ms = payload.tobytes(), 0, int(time.time() * 1000)
        for p, end in zip(partition[ends - 1].tolist(), value_ends.tolist(), strict=True):
            producer.produce(TELEMETRY, data[begin:end], partition=p, timestamp=now_ms)
            begin = end
        producer.poll(0)
        sent += len(rows)
        late_ms.append((time.time() - due) * 1000)
    took_s = time.time() - began
    producer.flush(30)
    lateness = np.array(late_ms)
    return {
        "sent": sent,
        "began_ms": began * 1000,
        "rate": sent / took_s,
        "late_p50_ms": float(np.percentile(lateness, 50)),
        "late_p99_ms": float(np.percentile(lateness, 99)),
        "late_max_ms": float(lateness.max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="fleetpulse.bench.load")
    parser.add_argument("--address", required=True)
    parser.add_argument("--rate", type=int, required=True)
    parser.add_argument("--vehicles", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    load = Load(arguments.rate, arguments.vehicles, arguments.seconds, arguments.seed)
    fleet = Fleet(load, arguments.partitions)
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": arguments.address}})
    producer = Producer(kafka.producer(settings, linger_ms=LINGER_MS))
    producer.list_topics(TELEMETRY, timeout=10)  # connections and metadata before the clock starts
    print(orjson.dumps(pace(load, fleet, producer)).decode(), file=sys.stdout, flush=True)


if __name__ == "__main__":
    main()
