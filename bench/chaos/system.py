"""The system under attack: brokers, proxy and all parts as processes on this machine; how each is killed, stalled and started again.

Every part is the command that runs in production. What would restart it there (an init system) is here `kill`, which starts it again;
workers of a flow are restarted by their own supervisor. Start and kill from the main thread alone (flows/child.py says why).
"""

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fleetpulse.bench import deployment
from fleetpulse.bench.apache_kafka import ApacheKafka
from fleetpulse.bench.chaos.plan import BROKERS, FLOWS, WORKERS
from fleetpulse.bench.chaos.ports import pick
from fleetpulse.bench.chaos.proxy import Proxy
from fleetpulse.bench.servers import Mosquitto
from fleetpulse.config.settings import Settings
from fleetpulse.flows.child import Part
from fleetpulse.flows.embedded import HOST, Broker

PARTITIONS = 4
SPEED = 10.0
PAST_MS = 6 * 86_400_000
"""As in flows/demo.py: a clock that runs faster than the wall starts in the past."""
EPOCH_S = 1.0
TELEMETRY_PROCESSES = 2
METRICS_PORTS = TELEMETRY_PROCESSES + 2
_METRICS_PORT = "FLEETPULSE_FLOW__METRICS_PORT"
"""Counts up from here by flow and process (flows/worker.py)."""
DOWN_S = 0.2
"""Between a kill and the start that follows."""
APPEAR_S = 30.0
"""How long a supervisor may take to start its worker anew, its pauses included."""
HEAP = "512m"
DRAIN_S = 40.0
ORDER = ("gateway", "city supervisor", "detect supervisor", "telemetry supervisor", "bridge")
"""How parts are started: readers first. Vehicles last."""


@dataclass(frozen=True)
class Load:
    """The simulated vehicles."""

    vehicles: int
    seed: int


class AttackError(Exception):
    """The system does not do what it must for the attack to go on; the text says what."""


def environment(address: str, folder: Path, *, wall_ms: int, mqtt_port: int = 0, gateway_port: int = 0) -> dict[str, str]:
    """FLEETPULSE_* variables of a deployment whose events come often: short windows, intervals and epochs, models that warm up soon."""
    changes: dict[str, dict[str, Any]] = {
        "deployment": {"name": "chaos", "data_dir": folder},
        "clock": {"speed": SPEED, "start_ms": wall_ms - PAST_MS, "wall_start_ms": wall_ms},
        "kafka": {"bootstrap_servers": address, "partitions": PARTITIONS},
        "mqtt": {"host": HOST, "port": mqtt_port},
        "flow": {"epoch_s": EPOCH_S, "metrics_port": 0, "window_s": 10},
        "bridge": {"metrics_port": 0},
        "gateway": {"host": HOST, "port": gateway_port, "auth": "off"},
        "rebalance": {"interval_s": 120, "season_intervals": 4},
        "detect": {"warm_up_windows": 10, "anomaly_quantile": 0.9, "drain_delta_pct": 0.005},
    }
    return {f"FLEETPULSE_{section}__{key}".upper(): str(value) for section, values in changes.items() for key, value in values.items()}


def settings(variables: Mapping[str, str]) -> Settings:
    """What a part with these variables has."""
    nested: dict[str, dict[str, str]] = {}
    for name, value in variables.items():
        section, key = name.removeprefix("FLEETPULSE_").lower().split("__")
        nested.setdefault(section, {})[key] = value
    return Settings.model_validate(nested)


class System:
    """Use as a context manager: brokers run inside it; `start` starts the parts."""

    def __init__(self, folder: Path, load: Load) -> None:
        self._folder = folder
        self._load = load
        self._stack = ExitStack()
        kafka_proxy, mqtt_proxy, self.gateway_port, kafka, behind, controller, mosquitto, metrics, *_ = pick(8 + METRICS_PORTS)
        self.kafka = ApacheKafka(folder / "kafka", kafka, heap=HEAP, proxy=kafka_proxy, behind_proxy=behind, controller_port=controller)
        self.mosquitto = Mosquitto(folder / "mosquitto", mosquitto)
        self.brokers: dict[str, Broker] = {"kafka": self.kafka, "mosquitto": self.mosquitto}
        routes: dict[str, tuple[int, Callable[[], int]]] = {
            "kafka": (kafka_proxy, lambda: self.kafka.behind_proxy),
            "mqtt": (mqtt_proxy, lambda: self.mosquitto.port),
        }
        self.proxy = Proxy(routes)
        self.data_dir = folder / "data"
        self.wall_ms = int(time.time() * 1000)
        through = environment(f"{HOST}:{kafka_proxy}", self.data_dir, wall_ms=self.wall_ms, gateway_port=self.gateway_port)
        self._env = {**through, "FLEETPULSE_MQTT__PORT": str(mosquitto)}
        self._env_of = {
            "agent": {"FLEETPULSE_MQTT__PORT": str(mqtt_proxy)},
            "telemetry supervisor": {"FLEETPULSE_FLOW__PROCESSES": str(TELEMETRY_PROCESSES), _METRICS_PORT: str(metrics)},
            **{f"{flow} supervisor": {_METRICS_PORT: str(metrics + TELEMETRY_PROCESSES - 1)} for flow in ("detect", "city")},
        }
        by_telemetry = list(range(metrics, metrics + TELEMETRY_PROCESSES))
        self.metrics_ports = {"telemetry": by_telemetry, "detect": [by_telemetry[-1] + 1], "city": [by_telemetry[-1] + 2]}
        self.parts: dict[str, Part] = {}
        self.lives: dict[str, int] = {}
        self.ended: list[str] = []
        self._turn = 0

    @property
    def settings(self) -> Settings:
        """Of an observer, whom no proxy disturbs."""
        return settings(environment(self.kafka.address, self.data_dir, wall_ms=self.wall_ms))

    @property
    def ledger(self) -> Path:
        return self.data_dir / "agent"

    def __enter__(self) -> Self:
        self._stack.enter_context(self.kafka)
        self._stack.enter_context(self.mosquitto)
        self._stack.enter_context(self.proxy)
        self._stack.callback(self._end_parts)
        deployment.create_topics(self.settings, append_time=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def start(self) -> None:
        """All parts but the vehicles."""
        for name in ORDER:
            self._start(name)

    def start_vehicles(self) -> None:
        self._start("agent")

    def _start(self, name: str) -> None:
        life = self.lives[name] = self.lives.get(name, 0) + 1
        load = self._load
        arguments = {
            "agent": [
                "agent",
                "--vehicles",
                str(load.vehicles),
                "--seed",
                str(load.seed),
                "--scenario",
                "mixed",
                "--ledger",
                str(self.ledger),
            ],
            **{f"{flow} supervisor": ["flow", flow] for flow in FLOWS},
        }.get(name, [name])
        folder = self._folder / "logs" / f"{name.replace(' ', '-')}.{life}"
        self.parts[name] = Part(arguments, folder, {**self._env, **self._env_of.get(name, {})})

    def look_after(self) -> None:
        """Start again what ended by itself, and remember that it did: an init system would, and we must know."""
        for name, part in list(self.parts.items()):
            if not part.running:
                self.ended.append(f"{name} ended with {part.process.returncode}: {part.last_line()} ({part.log_file})")
                self._start(name)

    def workers(self, flow: str) -> list[int]:
        """Process ids of a flow's workers now."""
        part = self.parts.get(f"{flow} supervisor")
        return _children(part.process.pid) if part is not None and part.running else []

    def pids(self, target: str) -> list[int]:
        """The processes that a target is, now."""
        if target in BROKERS:
            broker = self.brokers[target]
            return [broker.pid] if broker.running else []
        if target in WORKERS:
            return self.workers(target.split(maxsplit=1)[0])
        part = self.parts.get(target)
        return [part.process.pid] if part is not None and part.running else []

    def one_of(self, target: str) -> int:
        """One process of a target; of several workers each in turn. Waits for a supervisor that is restarting them."""
        pids = self._appear(target, frozenset())
        self._turn += 1
        return pids[self._turn % len(pids)]

    def kill(self, target: str, pid: int) -> float:
        """SIGKILL; returns the time (monotonic) at which it was dead, after having started it again."""
        if target in BROKERS:
            broker = self.brokers[target]
            broker.kill()
            dead_s = time.monotonic()
            time.sleep(DOWN_S)
            broker.start()
        elif target in WORKERS:
            before = frozenset(self.pids(target))
            os.kill(pid, signal.SIGKILL)
            dead_s = time.monotonic()
            self._appear(target, before)
        else:
            process = self.parts[target].process
            process.kill()
            process.wait()
            dead_s = time.monotonic()
            time.sleep(DOWN_S)
            self._start(target)
        return dead_s

    def _appear(self, target: str, before: frozenset[int]) -> list[int]:
        """The pids of a target as soon as there are some and none of `before`."""
        until = time.monotonic() + APPEAR_S
        while True:
            pids = self.pids(target)
            if pids and before.isdisjoint(pids):
                return pids
            self.look_after()
            if time.monotonic() > until:
                raise AttackError(f"{target} must run within {APPEAR_S:g} s; it does not (logs in {self._folder / 'logs'})")
            time.sleep(0.01)

    def end(self, name: str) -> int:
        """SIGTERM to a part and wait for its orderly end; its exit code."""
        return self.parts.pop(name).end(limit_s=DRAIN_S)

    def _end_parts(self) -> None:
        for name in ("agent", *reversed(ORDER)):
            if name in self.parts:
                self.parts.pop(name).end(limit_s=2.0)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []
