"""Apache Kafka for benchmarks and tests: one KRaft node on 127.0.0.1, from Maven Central's jars, as a child process.

Its data outlives `stop` and `kill`: `start` again goes on with the same folder and port. After a kill that takes the 4 s in
which the controller still takes the dead broker for a living one. How it dies with us: flows/child.py.
"""

import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Self

from fleetpulse.bench import maven, versions
from fleetpulse.flows.child import end, spawn
from fleetpulse.flows.embedded import HOST, EmbeddedError, EmbeddedKafka
from fleetpulse.flows.supervisor import free_ports

FORMAT_S = 60.0
_POM = """<project><modelVersion>4.0.0</modelVersion><groupId>fleetpulse</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_{scala}</artifactId><version>{kafka}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>{slf4j}</version></dependency></dependencies>
</project>
"""


def jars() -> Path:
    """Kafka's jars, fetched into the cache the first time (46 jars, 10-20 s). Raises MissingToolError."""
    folder = maven.cache_folder() / f"kafka-{versions.KAFKA}"
    folder.mkdir(parents=True, exist_ok=True)
    pom = folder / "pom.xml"
    pom.write_text(_POM.format(scala=versions.KAFKA_SCALA, kafka=versions.KAFKA, slf4j=versions.SLF4J), encoding="utf-8")
    return maven.dependencies(pom, folder / "lib")


class ApacheKafka(EmbeddedKafka):
    """A broker of its own; use it as a context manager. Raises MissingToolError on start where Java or Maven is missing.

    heap       of the JVM, as -Xmx takes it
    log_bytes  when a partition's segment is rolled
    port, controller_port, behind_proxy
               0: any free ones
    proxy      a port of 127.0.0.1 whose owner passes everything on to `behind_proxy`: clients that come by it are told to stay on it
    """

    what = "apache-kafka"
    ready_s = 120.0
    stop_s = 15.0

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        heap: str = "1g",
        log_bytes: int = 1 << 30,
        proxy: int = 0,
        behind_proxy: int = 0,
        controller_port: int = 0,
    ) -> None:
        super().__init__(data_dir, port)
        self._heap = heap
        self._log_bytes = log_bytes
        self._proxy = proxy
        self.behind_proxy = behind_proxy
        self._controller_port = controller_port

    def start(self) -> Self:
        """Returns when the broker answers; formats the folder the first time."""
        if self._controller_port == 0:
            port, self._controller_port, behind = free_ports(3)  # together, so that they differ
            self._fixed_port = self._fixed_port or port
            self.behind_proxy = self.behind_proxy or behind
        self.port = self._fixed_port
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._settings_file.write_text(self._settings(), encoding="utf-8")
        if not (self._logs / "meta.properties").exists():
            self._format()
        return super().start()

    def restart(self) -> Self:
        """An orderly stop and a start on the same data and port."""
        self.stop()
        return self.start()

    @property
    def _settings_file(self) -> Path:
        return self._data_dir / "server.properties"

    @property
    def _logs(self) -> Path:
        return self._data_dir / "logs"

    def _java(self, *arguments: str) -> list[str]:
        flags = [f"-Xmx{self._heap}", "-Xms256m", "-XX:+UseG1GC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        return [maven.java(), *flags, "-cp", f"{jars()}/*", *arguments]

    def _command(self) -> list[str]:
        return self._java("kafka.Kafka", str(self._settings_file))

    def _format(self) -> None:
        # as one argument: an id may begin with a hyphen
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        log_file = self._data_dir / "format.log"
        process = spawn(
            self._java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(self._settings_file)), log_file
        )
        try:
            code = process.wait(FORMAT_S)
        finally:
            end(process, limit_s=0)
        if code != 0:
            raise EmbeddedError(f"Kafka must format its folder {self._logs}; it ended with {code} (see {log_file})")

    def _settings(self) -> str:
        inside, outside, protocol = "", "", ""
        if self._proxy:
            inside, outside, protocol = f",PROXIED://{HOST}:{self.behind_proxy}", f",PROXIED://{HOST}:{self._proxy}", ",PROXIED:PLAINTEXT"
        return f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{HOST}:{self._controller_port}
listeners=PLAINTEXT://{self.address},CONTROLLER://{HOST}:{self._controller_port}{inside}
advertised.listeners=PLAINTEXT://{self.address}{outside}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT{protocol}
log.dirs={self._logs}
log.segment.bytes={self._log_bytes}
log.retention.ms=-1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
auto.create.topics.enable=false
message.max.bytes=8388608
log.cleaner.dedupe.buffer.size=33554432
"""
