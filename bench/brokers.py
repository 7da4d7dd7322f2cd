"""The broker of a load benchmark: Apache Kafka; where Java or Maven is missing the embedded one, and the report says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleetpulse.bench import maven, versions
from fleetpulse.bench.apache_kafka import ApacheKafka, jars
from fleetpulse.bench.report import Report
from fleetpulse.flows.embedded import EmbeddedKafka


@contextmanager
def broker(folder: Path, report: Report) -> Iterator[EmbeddedKafka]:
    """A running broker that is empty; it ends with the block."""
    kafka: EmbeddedKafka
    try:
        maven.java()
        jars()
        kafka = ApacheKafka(folder)
        report.notes["broker"] = f"Apache Kafka {versions.KAFKA} on the same cores"
    except maven.MissingToolError as error:
        kafka = EmbeddedKafka(folder)
        report.notes["broker"] = f"the embedded broker (Tansu) on the same cores, which is slower than Apache Kafka: {error}"
    with kafka:
        yield kafka
