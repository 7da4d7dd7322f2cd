"""`fleetpulse demo`: the whole system on one machine with embedded brokers; live view; report with the accounting identities.

Every part is the same command that runs in production, as a child process; here they are started, watched, drained and ended.
"""

import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog

from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics, view
from fleetpulse.flows.child import Part
from fleetpulse.flows.embedded import HOST, EmbeddedKafka, EmbeddedMqtt, free_port
from fleetpulse.flows.offsets import committed, lag
from fleetpulse.flows.report import Collector, violations
from fleetpulse.flows.stop import Stop

log = structlog.get_logger()

PARTITIONS = 4
INTERVAL_S = 300
PAST_MS = 6 * 86_400_000
"""A clock that runs faster than the wall starts this long ago, so that it stays behind the wall for days."""
START_S = 90.0
"""How long the parts may take to run."""
DRAIN_S = 30.0
"""How long each part may take to hand on what it holds, at the end."""

_FLOWS = {
    "telemetry": (topics.TELEMETRY, PARTITIONS),
    "detect": ("fleet.features", PARTITIONS),
    "city": ("fleet.zones", topics.ZONE_PARTITIONS),
}
"""Flow -> the topic that it reads and its partitions."""


@dataclass(frozen=True)
class Options:
    """What the command line gives. duration_s on the wall; None: until a signal."""

    vehicles: int
    duration_s: float | None
    speed: float
    seed: int
    report: Path | None
    port: int


class DemoError(OSError):
    """The demo cannot go on. The text is one clear line."""


def run(settings: Settings, options: Options) -> int:
    """0 when it ended as asked and every identity holds, else 1. Raises OSError with one clear line when it cannot run."""
    stop = Stop()
    stop.on_signals()
    port = _gateway_port(options.port)
    settings.deployment.data_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=settings.deployment.data_dir)).resolve()
    with ExitStack() as stack:
        kafka = stack.enter_context(EmbeddedKafka(folder / "kafka"))
        mqtt = stack.enter_context(EmbeddedMqtt(folder / "mqtt"))
        code = _Demo(settings, options, folder, kafka, mqtt, port, stop).run()
    if code == 0:
        shutil.rmtree(folder)
    else:
        log.error("the logs of the parts are kept", folder=str(folder))
    return code


def _gateway_port(port: int) -> int:
    """A free port for the gateway. Raises DemoError when the wanted one is in use."""
    if port == 0:
        return free_port()
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((HOST, port))
        except OSError as error:
            raise DemoError(f"the gateway needs port {port} on {HOST}; got: {error.strerror} (give another with --port)") from None
    return port


class _Demo:
    def __init__(
        self, settings: Settings, options: Options, folder: Path, kafka: EmbeddedKafka, mqtt: EmbeddedMqtt, port: int, stop: Stop
    ) -> None:
        self._options = options
        self._folder = folder
        self._stop = stop
        self._env, self._settings = _deployment(settings, options, folder, kafka.address, mqtt.port, port)
        self._address = f"http://{HOST}:{port}"
        self._parts: list[Part] = []

    def run(self) -> int:
        topics.ensure(self._settings, limit_s=15)
        collector = Collector(self._settings, speed=self._options.speed)
        collector.start()
        try:
            self._start()
            began = time.monotonic()
            self._show(collector, began)
            duration_s = time.monotonic() - began
            self._drain()
        finally:
            for part in reversed(self._parts):
                part.end(limit_s=2.0)
            collector.finish()
        return self._report(collector, duration_s)

    def _start(self) -> None:
        """Readers first, the vehicles last: when everything that follows them runs."""
        o, ledger = self._options, self._folder / "ledger"
        for arguments in (["gateway"], ["flow", "city"], ["flow", "detect"], ["flow", "telemetry"], ["bridge"]):
            self._parts.append(Part(arguments, self._folder, self._env))
        s = self._settings
        print(f"gateway {self._address}   mqtt {s.mqtt.host}:{s.mqtt.port}   kafka {s.kafka.bootstrap_servers}", flush=True)
        print("starting flows, bridge and gateway", flush=True)
        if not wait(lambda: bool(self._stop) or all(map(self._runs, _FLOWS)), limit_s=START_S, check=self._check):
            raise DemoError(f"the flows must run within {START_S:g} s; they do not (see the logs in {self._folder})")
        agent = ["agent", "--vehicles", str(o.vehicles), "--seed", str(o.seed), "--scenario", "mixed", "--ledger", str(ledger)]
        self._parts.append(Part(agent, self._folder, self._env))

    def _runs(self, flow: str) -> bool:
        """A flow commits at each epoch, from its first one on."""
        topic, partitions = _FLOWS[flow]
        return len(committed(self._settings, group=f"fleetpulse.{flow}", topic=topic, partitions=partitions)) == partitions

    def _part(self, name: str) -> Part:
        return next(part for part in self._parts if part.name == name)

    def _check(self) -> None:
        for part in self._parts:
            if not part.running:
                raise DemoError(f"{part.name} must run; it ended with {part.process.returncode}: {part.last_line()} (see {part.log_file})")

    def _show(self, collector: Collector, began: float) -> None:
        """The live view, until the duration is over or a signal came."""
        o = self._options

        def moment() -> view.Moment:
            return view.Moment(
                address=self._address,
                vehicles=o.vehicles,
                speed=o.speed,
                elapsed_s=time.monotonic() - began,
                duration_s=o.duration_s,
                ledger=self._ledger(),
                frames=collector.frames(),
                events=collector.events(),
                latency_ms=collector.latency_ms(),
                states=collector.states(),
                latest=collector.latest(),
            )

        with view.live(sys.stdout) as show:
            while not self._stop and (o.duration_s is None or time.monotonic() - began < o.duration_s):
                self._check()
                show(moment())
                time.sleep(0.2)

    def _drain(self) -> None:
        """End the parts in the order of the data's path, each when it has handed on everything."""
        print("fleet stops; draining", flush=True)
        self._part("agent").end(limit_s=DRAIN_S)
        self._part("bridge").end(limit_s=DRAIN_S)
        self._caught_up("telemetry")
        self._part("flow telemetry").end(limit_s=DRAIN_S)
        self._caught_up("detect")
        self._caught_up("city")
        for name in ("flow detect", "flow city", "gateway"):
            self._part(name).end(limit_s=DRAIN_S)

    def _caught_up(self, flow: str) -> None:
        topic, partitions = _FLOWS[flow]

        def behind() -> int:
            return lag(self._settings, group=f"fleetpulse.{flow}", topic=topic, partitions=partitions)

        if not wait(lambda: behind() == 0, limit_s=DRAIN_S):
            log.error("a flow did not read its topic to the end", flow=flow, topic=topic, records=behind())

    def _ledger(self) -> dict[str, Any]:
        file = self._folder / "ledger" / "ledger.json"
        try:
            ledger: dict[str, Any] = orjson.loads(file.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return {}
        return ledger

    def _report(self, collector: Collector, duration_s: float) -> int:
        ledger = self._ledger()
        frames = {"sent": ledger.get("frames", 0) + ledger.get("garbage", 0), **collector.frames()}
        report = {
            "frames": frames,
            "events": collector.events(),
            "latency_ms": collector.latency_ms(),
            "vehicles": collector.vehicles(),
            "duration_s": round(duration_s, 1),
        }
        if self._options.report is not None:
            self._options.report.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
        print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
        broken = violations(frames)
        if ledger.get("pending"):
            broken.append(f"every frame must be acknowledged at the end; {ledger['pending']} are not")
        for line in broken:
            log.error("an accounting identity is broken", identity=line)
        return 1 if broken else 0


def _deployment(
    settings: Settings, options: Options, folder: Path, kafka: str, mqtt_port: int, port: int
) -> tuple[dict[str, str], Settings]:
    """The demo's settings, as the environment of its parts and as an object."""
    wall_ms = int(time.time() * 1000)
    changes: dict[str, dict[str, Any]] = {
        "deployment": {"name": "demo", "data_dir": str(folder)},
        "clock": {"speed": options.speed, "start_ms": wall_ms - (PAST_MS if options.speed > 1 else 0), "wall_start_ms": wall_ms},
        "kafka": {"bootstrap_servers": kafka, "partitions": PARTITIONS},
        "mqtt": {"host": HOST, "port": mqtt_port},
        "flow": {"epoch_s": 2.0, "processes": 1, "metrics_port": 0},
        "bridge": {"metrics_port": 0, "share_group": ""},
        "gateway": {"host": HOST, "port": port, "auth": "off"},
        "rebalance": {"interval_s": INTERVAL_S},
    }
    env = {f"FLEETPULSE_{section}__{key}".upper(): str(value) for section, values in changes.items() for key, value in values.items()}
    sections = {name: getattr(settings, name).model_copy(update=values) for name, values in changes.items()}
    return env, settings.model_copy(update=sections)


def wait(condition: Callable[[], bool], *, limit_s: float, check: Callable[[], None] = lambda: None) -> bool:
    """Until the condition holds (True) or the limit is over (False); `check` may raise meanwhile."""
    until = time.monotonic() + limit_s
    while not condition():
        check()
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True
