"""A deployment of its own for a load benchmark: settings on a broker, and the topics, with Kafka's own clock on what the flow writes.

LogAppendTime on the derived topics makes "event append" what the broker saw, not what the sink said. Nothing is deleted by age: the frames
of a workload are of a fixed day in the past, and a broker would take them away within half a minute.
"""

from pathlib import Path

from fleetpulse.bench import topic
from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.topics import TELEMETRY

PARTITIONS = 16
QUOTA_BYTES = 1 << 30
"""Of a partition and epoch. A backlog of few partitions is read faster than the default of 256 MiB allows (4 partitions: 107 MB/s), and the
figure would be the quota's."""


def environment(address: str, folder: Path, *, partitions: int = PARTITIONS, epoch_s: float = 10.0, processes: int = 1) -> dict[str, str]:
    """FLEETPULSE_* variables of the deployment, for child processes."""
    return {
        "FLEETPULSE_DEPLOYMENT__NAME": "bench",
        "FLEETPULSE_DEPLOYMENT__DATA_DIR": str(folder),
        "FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS": address,
        "FLEETPULSE_KAFKA__PARTITIONS": str(partitions),
        "FLEETPULSE_FLOW__EPOCH_S": str(epoch_s),
        "FLEETPULSE_FLOW__PROCESSES": str(processes),
        "FLEETPULSE_FLOW__METRICS_PORT": "0",
        "FLEETPULSE_FLOW__QUOTA_BYTES": str(QUOTA_BYTES),
    }


def settings(address: str, folder: Path, *, partitions: int = PARTITIONS) -> Settings:
    """The same for this process."""
    return Settings.model_validate(
        {
            "deployment": {"name": "bench", "data_dir": folder},
            "kafka": {"bootstrap_servers": address, "partitions": partitions},
            "flow": {"metrics_port": 0, "quota_bytes": QUOTA_BYTES},
        }
    )


def create_topics(wanted: Settings, *, append_time: bool = True) -> None:
    """All topics of the deployment. append_time: False for a broker that does not know the setting."""
    stamped = {"message.timestamp.type": "LogAppendTime"}
    for each in topics.topics(wanted):
        config = {**each.config, "retention.ms": "-1"}
        if append_time and each.name != TELEMETRY:
            config |= stamped
        topic.create(wanted.kafka.bootstrap_servers, each.name, each.partitions, config)
