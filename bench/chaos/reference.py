"""One undisturbed run of fresh flows over a finished log: the log is copied to a broker of its own, record by record."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from fleetpulse.bench import deployment, topic
from fleetpulse.bench.apache_kafka import ApacheKafka
from fleetpulse.bench.chaos.plan import FLOWS
from fleetpulse.bench.chaos.system import DRAIN_S, HEAP, PARTITIONS, AttackError, environment, settings
from fleetpulse.bench.chaos.watch import INPUTS
from fleetpulse.config import kafka
from fleetpulse.config.settings import Settings
from fleetpulse.flows import offsets
from fleetpulse.flows.child import Part
from fleetpulse.flows.topics import TELEMETRY

THROUGH_S = 300.0
"""How long the flows may take over the whole log."""


@contextmanager
def run(source: str, folder: Path, *, wall_ms: int) -> Iterator[Settings]:
    """Settings of a deployment on a broker that holds the log of `source` and all that the flows make of it.

    wall_ms  of the deployment's clock, as in the other run. Raises AttackError when the flows are not through in time.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(ApacheKafka(folder / "kafka", heap=HEAP))
        variables = environment(broker.address, folder / "data", wall_ms=wall_ms)
        ours = settings(variables)
        deployment.create_topics(ours, append_time=False)
        copy(source, ours)
        parts = {flow: Part(["flow", flow], folder / "logs", variables) for flow in FLOWS}
        for part in parts.values():
            stack.callback(part.end, limit_s=2.0)
        finish(parts, lambda flow: _left(ours, flow))
        yield ours


def copy(source: str, into: Settings) -> None:
    """The raw topic with partitions, order, timestamps, keys and headers. Raises AttackError when offsets would differ."""
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed.append(error)

    producer = Producer(kafka.producer(into))
    following = dict.fromkeys(range(PARTITIONS), 0)
    for message in topic.read(source, TELEMETRY):
        partition = message.partition() or 0
        if message.offset() != following[partition]:
            raise AttackError(f"the raw topic must have no holes; offset {following[partition]} of partition {partition} is missing")
        following[partition] += 1
        while True:
            try:
                producer.produce(
                    TELEMETRY,
                    value=message.value(),
                    key=message.key(),
                    partition=partition,
                    timestamp=message.timestamp()[1],
                    headers=message.headers() or [],
                    on_delivery=delivered,
                )
                break
            except BufferError:
                producer.poll(0.05)
    if producer.flush(THROUGH_S) or failed:
        raise AttackError(f"the log must be copied whole; {len(failed)} records failed")


def finish(parts: dict[str, Part], behind: Callable[[str], int | None]) -> None:
    """Wait until the flows, in the order of the data's path, have read their topics to the end, and end each.

    behind  how many records a flow has not taken now; None when that cannot be told
    """
    for flow in FLOWS:
        until = time.monotonic() + THROUGH_S
        while (left := behind(flow)) != 0:
            if time.monotonic() > until or not parts[flow].running:
                raise AttackError(f"flow {flow} must be through within {THROUGH_S:g} s; {left} records are left: {parts[flow].last_line()}")
            time.sleep(0.2)
        parts[flow].end(limit_s=DRAIN_S)


def _left(ours: Settings, flow: str) -> int | None:
    """Records that a flow has not committed; None while Kafka cannot say, which a busy machine makes it."""
    name, partitions = INPUTS[flow]
    try:
        return offsets.lag(ours, group=f"fleetpulse.{flow}", topic=name, partitions=partitions)
    except (KafkaException, TimeoutError):
        return None
