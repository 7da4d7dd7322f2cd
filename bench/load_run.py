"""The real flow (`fleetpulse flow telemetry`) under a paced load: latency of events, memory second by second, accounting at the end."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import psutil
from confluent_kafka import Consumer, TopicPartition
from numpy.typing import NDArray

from fleetpulse.alerts.event import EVENT_TOPICS
from fleetpulse.bench import deployment, topic
from fleetpulse.bench.load import Load
from fleetpulse.codecs import tables
from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows import offsets
from fleetpulse.flows.child import Part, end, spawn
from fleetpulse.flows.topics import TELEMETRY

GROUP = "fleetpulse.telemetry"
DRAIN_S = 60.0
STOP_S = 20.0


class LoadError(Exception):
    """The load could not be sent or the flow did not take it; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """What a run gave.

    generator     what load.py printed: sent, rate, how late it was
    latencies_ms  (E,) from the causing record's timestamp to the event's append, of events caused after the warm-up
    rss           (seconds since the start, bytes of the flow's process)
    cores         CPU seconds of the flow's processes a second, after the warm-up
    counters      of the shards at the end
    """

    generator: dict[str, float]
    latencies_ms: NDArray[np.float64]
    rss: list[tuple[float, float]]
    cores: float
    counters: dict[str, int]


def run(address: str, folder: Path, load: Load, *, warm_s: float) -> Outcome:
    """Start the flow, send the load, wait until it is through, end the flow, read what it wrote. Raises LoadError.

    warm_s  seconds of the load that the latencies leave out: start-up, first frames of every vehicle
    """
    settings = deployment.settings(address, folder)
    flow = Part(["flow", "telemetry"], folder, deployment.environment(address, folder))
    try:
        log = folder / "load.log"
        command = [sys.executable, "-m", "fleetpulse.bench.load", "--address", address]
        for name, value in (("rate", load.rate), ("vehicles", load.vehicles), ("seconds", load.seconds), ("seed", load.seed)):
            command += [f"--{name}", str(value)]
        generator = spawn([*command, "--partitions", str(deployment.PARTITIONS)], log)
        try:
            samples = _watch(flow, generator.poll)
            code = generator.wait(DRAIN_S)
        finally:
            end(generator, limit_s=1)
        if code != 0:
            raise LoadError(f"the load generator must end by itself; it ended with {code}: {log.read_text(errors='replace')[-500:]}")
        _drain(settings, flow)
    finally:
        flow.end(limit_s=STOP_S)
    told: dict[str, float] = orjson.loads(log.read_bytes().splitlines()[-1])
    latencies_ms = _latencies(address, told["began_ms"] + 1000 * warm_s)
    return Outcome(told, latencies_ms, [(s.at_s, s.rss_bytes) for s in samples], _cores(samples, warm_s), _counters(settings))


def _processes(flow: Part) -> list[psutil.Process]:
    try:
        return psutil.Process(flow.process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@dataclass(frozen=True)
class _Sample:
    """rss_bytes: of the largest process; cpu_s: of all."""

    at_s: float
    rss_bytes: float
    cpu_s: float


def _cores(samples: list[_Sample], warm_s: float) -> float:
    warm = [sample for sample in samples if sample.at_s >= warm_s]
    if len(warm) < 2:
        raise LoadError(f"the load must last some seconds longer than its warm-up of {warm_s:g} s")
    return (warm[-1].cpu_s - warm[0].cpu_s) / (warm[-1].at_s - warm[0].at_s)


def _watch(flow: Part, ended: Callable[[], int | None]) -> list[_Sample]:
    """The flow once a second, until the load ended."""
    began, samples = time.monotonic(), []
    while ended() is None:
        if not flow.running:
            raise LoadError(f"the flow must run; it ended with {flow.process.returncode}: {flow.last_line()}")
        found = [(process.memory_info().rss, sum(process.cpu_times()[:2])) for process in _processes(flow)]
        if found:
            samples.append(_Sample(time.monotonic() - began, max(rss for rss, _ in found), sum(cpu for _, cpu in found)))
        time.sleep(1.0)
    return samples


def _drain(settings: Settings, flow: Part) -> None:
    until = time.monotonic() + DRAIN_S
    while (left := offsets.lag(settings, group=GROUP, topic=TELEMETRY, partitions=settings.kafka.partitions)) > 0:
        if time.monotonic() > until or not flow.running:
            raise LoadError(f"the flow must be through within {DRAIN_S:g} s after the load; {left} records are left ({flow.last_line()})")
        time.sleep(0.5)


def _latencies(address: str, since_ms: float) -> NDArray[np.float64]:
    found = []
    for name in EVENT_TOPICS:
        for message in topic.read(address, name):
            recorded_ms = orjson.loads(message.value() or b"{}").get("evidence", {}).get("recorded_ms")
            if recorded_ms is not None and recorded_ms >= since_ms:
                found.append(message.timestamp()[1] - recorded_ms)
    return np.array(found, dtype=np.float64)


def _counters(settings: Settings) -> dict[str, int]:
    """Summed over the shards, from the last record that each wrote to fleet.state. Reading all of them would take minutes."""
    ends = offsets.ends(settings, "fleet.state", settings.kafka.partitions)
    consumer = Consumer(kafka.consumer(settings, group="bench.counters"))
    wanted = [TopicPartition("fleet.state", p, last - 1) for p, last in ends.items() if last > 0]
    consumer.assign(wanted)
    sums: dict[str, int] = {}
    open_, until = {position.partition for position in wanted}, time.monotonic() + DRAIN_S
    try:
        while open_:
            for message in consumer.consume(100, timeout=1.0):
                if message.error() is None and message.partition() in open_:
                    open_.discard(message.partition())
                    for name, value in orjson.loads(tables.read(message.value() or b"").schema.metadata[b"counters"]).items():
                        sums[name] = sums.get(name, 0) + value
            if time.monotonic() > until:
                raise LoadError(f"fleet.state must hold a record of each shard; {sorted(open_)} are missing")
    finally:
        consumer.close()
    return sums
