"""Real servers for tests and benchmarks, as child processes on 127.0.0.1: Mosquitto, Alertmanager, Prometheus. Kafka: apache_kafka.py.

Each keeps its port and folder over `kill`, `stop`, `start` and `restart`. Programs come from debian.py: `start` raises
MissingToolError with the reason where one cannot be had.
"""

import getpass
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import orjson

from fleetpulse.bench import debian
from fleetpulse.flows.embedded import HOST, Broker, free_port

_PROBE = b"\x10\x12\x00\x04MQTT\x05\x02\x00\x05\x00\x00\x05probe"
"""A whole MQTT 5 CONNECT."""
_PROBE_S = 1.0


class Server(Broker):
    """A broker that comes back on its port."""

    setting = "another port"
    ready_s = 30.0
    stop_s = 5.0

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(folder, port or free_port())

    def restart(self) -> Self:
        """An orderly stop, and a start on the same folder and port."""
        self.stop()
        return self.start()

    @property
    def folder(self) -> Path:
        """Where its configuration, its data and its log stand."""
        return self._data_dir


class Mosquitto(Server):
    """An MQTT 5 broker that forgets everything when it dies (no persistence).

    config_lines  of mosquitto.conf, besides an open listener
    config        a whole mosquitto.conf with TLS listeners, of which `port` is the last one's, in place of the open listener
    """

    what = "mosquitto"

    def __init__(self, folder: Path, port: int = 0, *, config_lines: Sequence[str] = (), config: Path | None = None) -> None:
        super().__init__(folder, port)
        self.config_lines = list(config_lines)
        self._config = config

    def reload(self) -> None:
        """SIGHUP: ACL, certificates and revocations are read again; open connections stay."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGHUP)

    def _command(self) -> list[str]:
        file = self.folder / "mosquitto.conf"
        file.write_text("\n".join(self._settings()) + "\n", encoding="utf-8")
        return [*debian.command("mosquitto"), "-c", str(file)]

    def _settings(self) -> list[str]:
        if self._config is not None:
            listener = self._config.read_text(encoding="utf-8").splitlines()
        else:
            listener = [f"listener {self.port} {HOST}", "allow_anonymous true", "max_queued_messages 0"]
        log_types = [f"log_type {level}" for level in ("error", "warning", "notice")]
        return [f"user {getpass.getuser()}", "persistence false", *log_types, *listener, *self.config_lines]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=0.2) as s:
                if self._config is not None:
                    return True  # it listens when it has read its certificates
                s.settimeout(_PROBE_S)
                s.sendall(_PROBE)
                return s.recv(1) == b"\x20"
        except OSError:
            return False


class _Web(Server):
    """A server that says over HTTP when it is ready."""

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def get(self, path: str) -> Any:
        """The JSON answer to a GET. Raises OSError when there is none, or not 200."""
        with urlopen(f"{self.url}{path}", timeout=5) as response:  # noqa: S310 - our own loopback address
            return orjson.loads(response.read())

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=_PROBE_S) as response:  # noqa: S310
                return bool(response.status == 200)
        except (URLError, OSError):
            return False


class Alertmanager(_Web):
    """Alertmanager, alone. `config` is its alertmanager.yml; by default one receiver that tells nobody."""

    what = "alertmanager"

    def __init__(self, folder: Path, port: int = 0, *, config: str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n") -> None:
        super().__init__(folder, port)
        self._config = config

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it holds now, as its API gives them."""
        alerts: list[dict[str, Any]] = self.get("/api/v2/alerts")
        return alerts

    def _command(self) -> list[str]:
        file = self.folder / "alertmanager.yml"
        file.write_text(self._config, encoding="utf-8")
        program = debian.command("prometheus-alertmanager")
        if len(program) > 1:  # not the system's
            for template in (debian.unpacked() / debian.TEMPLATES).glob("*.tmpl"):
                (self.folder / template.name).unlink(missing_ok=True)
                (self.folder / template.name).symlink_to(template)
        return [
            *program,
            f"--config.file={file}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]


class Prometheus(_Web):
    """Prometheus, scraping every second.

    targets  job -> addresses `host:port` whose /metrics it scrapes
    config   further sections of prometheus.yml (rule_files, alerting), YAML text
    """

    what = "prometheus"

    def __init__(self, folder: Path, port: int = 0, *, targets: Mapping[str, Sequence[str]], config: str = "") -> None:
        super().__init__(folder, port)
        self._targets = targets
        self._config = config

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """(labels, value) of each series that an instant query gives."""
        data = self.get(f"/api/v1/query?query={quote(expression)}")["data"]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def _command(self) -> list[str]:
        file = self.folder / "prometheus.yml"
        jobs = [{"job_name": job, "static_configs": [{"targets": list(addresses)}]} for job, addresses in self._targets.items()]
        file.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"scrape_configs: {orjson.dumps(jobs).decode()}\n{self._config}",  # JSON is YAML
            encoding="utf-8",
        )
        return [
            *debian.command("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--storage.tsdb.retention.time=1h",
        ]
