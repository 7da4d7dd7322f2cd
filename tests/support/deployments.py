"""A deployment on real servers: settings, the agent's ledger, and waiting for load and for the end."""

import time
from pathlib import Path
from typing import Any

import orjson

from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.child import Part
from fleetpulse.flows.embedded import free_port
from tests.support.frames import FrameId, logged, sent
from tests.support.processes import part, wait_for
from tests.support.servers import ApacheKafka, Mosquitto

SPEED = 10.0
"""Of the deployment's clock: ten times the frames a second, and what is not answered is sent again after 3 s."""
RUNS = 3
"""Of further processes that send what the first could not, on a busy machine after an outage."""
PAST_MS = 6 * 86_400_000


def deployment(folder: Path, kafka: ApacheKafka, mqtt: Mosquitto, /, **sections: dict[str, Any]) -> Settings:
    """Settings on these servers, and the topics. `sections` are put in."""
    wall_ms = int(time.time() * 1000)
    base: dict[str, dict[str, Any]] = {
        "deployment": {"name": "test", "data_dir": folder / "var"},
        "clock": {"speed": SPEED, "start_ms": wall_ms - PAST_MS, "wall_start_ms": wall_ms},
        "kafka": {"bootstrap_servers": kafka.address, "partitions": 4},
        "mqtt": {"port": mqtt.port},
        "flow": {"epoch_s": 0.5, "metrics_port": 0},
        "bridge": {"metrics_port": 0},
        "gateway": {"port": free_port()},
    }
    settings = Settings.model_validate({name: base.get(name, {}) | sections.get(name, {}) for name in base | sections})
    topics.ensure(settings, limit_s=30)
    return settings


class Vehicles:
    """`fleetpulse agent` as a process. Each `seed` is another fleet, so that tests may share a log."""

    def __init__(self, settings: Settings, folder: Path, *, vehicles: int, seed: int, scenario: str = "calm") -> None:
        self.ledger = folder / "ledger"
        self._settings = settings
        self._folder = folder
        self._arguments = ["agent", "--vehicles", str(vehicles), "--seed", str(seed), "--scenario", scenario, "--ledger", str(self.ledger)]
        self._part = part(settings, folder, *self._arguments)
        self._process: Part | None = None

    def __enter__(self) -> "Vehicles":
        self._process = self._part.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._part.__exit__(*error)

    def account(self) -> dict[str, Any]:
        """The newest ledger; empty before there is one."""
        file = self.ledger / "ledger.json"
        content: dict[str, Any] = orjson.loads(file.read_bytes()) if file.exists() else {}
        return content

    def frames(self) -> int:
        return int(self.account().get("frames", 0))

    def make(self, frames: int) -> None:
        """Returns when so many more frames were made."""
        wanted = self.frames() + frames
        wait_for(lambda: self.frames() >= wanted, limit_s=120, what=f"the vehicles must make {wanted} frames")

    def end(self) -> dict[str, Any]:
        """Drain and stop; the last ledger. What a process could not send in its time the next one of the same store sends."""
        assert self._process is not None
        assert self._process.end(limit_s=45) == 0, self._process.last_line()
        for run in range(RUNS):
            if not self.account()["pending"]:
                break
            with part(self._settings, self._folder / f"again-{run}", *self._arguments, "--duration", "1") as again:
                assert again.process.wait(90) == 0, again.last_line()
        return self.account()

    def lost(self) -> set[FrameId]:
        """Frames of the ledger that the log has not."""
        return sent(self.ledger) - set(logged(self._settings))
