"""Scenario `source`: records from Kafka to bytes in one buffer, ours beside `Consumer.consume`, and the limit of copying the bytes.

Names: `source.fleetpulse` (librdkafka's C API), `source.confluent_poller` (the fallback), `source.consume` (messages as Python objects,
their values not looked at), `source.memcpy`; records/s on the wall, which broker and client share, and `.cpu` records per CPU second
of the client, its fetching threads included. One protobuf frame a record.
"""

import time
from collections.abc import Callable

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from fleetpulse.bench import measure, payloads, topic
from fleetpulse.bench.brokers import broker
from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report
from fleetpulse.bench.workload import Workload
from fleetpulse.config import kafka as kafka_settings
from fleetpulse.config.settings import Settings
from fleetpulse.flows.librdkafka import LibrdkafkaPoller
from fleetpulse.flows.poller import ConfluentPoller, Poller

VEHICLES = 10_000
FRAMES = 1_000_000
PARTITIONS = 4
TOPIC = "source"
SILENCE_S = 30.0


def run(options: Options, report: Report) -> None:
    """Each reader reads the whole topic several times."""
    each = options.scaled(FRAMES / VEHICLES)
    rows = payloads.frames(Workload(VEHICLES, VEHICLES * each, seed=options.seed), options.cache)
    given = payloads.single(rows, "protobuf", PARTITIONS)
    with broker(options.scratch / "kafka", report) as kafka:
        topic.create(kafka.address, TOPIC, PARTITIONS)
        options.say("filling the topic")
        topic.fill(kafka.address, TOPIC, given.records())
        config = kafka_settings.consumer(
            Settings.model_validate({"kafka": {"bootstrap_servers": kafka.address}}), group="bench", reset="earliest"
        )
        readers: dict[str, Callable[[], object]] = {
            "source.fleetpulse": lambda: _poll(LibrdkafkaPoller(config, TOPIC), given.frames),
            "source.confluent_poller": lambda: _poll(ConfluentPoller(config, TOPIC), given.frames),
            "source.consume": lambda: _consume(Consumer(dict(config)), given.frames),
        }
        for name, read in readers.items():
            options.say(name)
            rates = measure.rates(read, given.frames)
            report.add(name, "records/s", rates.wall)
            report.add(f"{name}.cpu", "records/CPU s", rates.cpu)
    target = np.empty_like(given.payload)
    copied = measure.rates(lambda: np.copyto(target, given.payload), given.frames, runs=9)
    report.add("source.memcpy", "records/s", copied.cpu)
    report.ratio("source.fleetpulse", "source.consume")
    report.ratio("source.fleetpulse.cpu", "source.consume.cpu")
    report.ratio("source.fleetpulse.cpu", "source.memcpy")


def _poll(poller: Poller, wanted: int) -> None:
    for partition in range(PARTITIONS):
        poller.assign(partition, 0)
    heard, seen = time.monotonic(), 0
    try:
        while seen < wanted:
            batches = poller.poll()
            if batches:
                seen, heard = seen + sum(len(batch.ends) for batch in batches), time.monotonic()
            else:
                _pause(heard)
    finally:
        poller.close()


def _consume(consumer: Consumer, wanted: int) -> None:
    consumer.assign([TopicPartition(TOPIC, partition, OFFSET_BEGINNING) for partition in range(PARTITIONS)])
    heard, seen = time.monotonic(), 0
    try:
        while seen < wanted:
            messages = consumer.consume(10_000, timeout=0)
            if messages:
                seen, heard = seen + sum(message.error() is None for message in messages), time.monotonic()
            else:
                _pause(heard)
    finally:
        consumer.close()


def _pause(heard: float) -> None:
    """As the flow's source does when nothing has come: 2 ms."""
    if time.monotonic() - heard > SILENCE_S:
        raise TimeoutError(f"Kafka must give the next record of {TOPIC} within {SILENCE_S:g} s")
    time.sleep(0.002)
