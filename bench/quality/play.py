"""The real flows over a topic that is filled: `telemetry`, then `detect` and `city`, each in a process of its own, to the end."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson
from bytewax.recovery import init_db_dir

from fleetpulse.bench import deployment
from fleetpulse.bench.scenarios.flow import FlowError
from fleetpulse.flows import offsets
from fleetpulse.flows.child import end, spawn
from fleetpulse.flows.recovery import STORE_PARTITIONS
from fleetpulse.flows.topics import TELEMETRY, ZONE_PARTITIONS

PARTITIONS = 4
"""Shards. A cohort of a shard must have vehicles enough to learn from, as in a fleet of 50,000 on 16 shards."""
LIMIT_S = 1800.0


def flows(address: str, folder: Path, *, say: Callable[[str], None], environment: Mapping[str, str] | None = None) -> dict[str, int]:
    """Run the three flows over all that vehicle-telemetry holds; returns the counters of the shards. Raises FlowError.

    environment  more FLEETPULSE_* variables
    """
    settings = deployment.settings(address, folder, partitions=PARTITIONS)
    env = {**os.environ, **deployment.environment(address, folder, partitions=PARTITIONS), **(environment or {})}
    say("flow telemetry")
    telemetry = _start("telemetry", offsets.ends(settings, TELEMETRY, PARTITIONS), folder, env)
    counters = _wait("telemetry", telemetry, folder)
    say("flows detect and city")
    detect = _start("detect", offsets.ends(settings, "fleet.features", PARTITIONS), folder, env)
    city = _start("city", offsets.ends(settings, "fleet.zones", ZONE_PARTITIONS), folder, env)
    try:
        _wait("detect", detect, folder)
        _wait("city", city, folder)
    finally:
        end(detect, limit_s=1)
        end(city, limit_s=1)
    return counters


def _log(name: str, folder: Path) -> Path:
    return folder / f"flow-{name}.log"


def _start(name: str, ends: Mapping[int, int], folder: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    store = folder / f"store-{name}"
    store.mkdir(parents=True)
    init_db_dir(store, STORE_PARTITIONS)  # type: ignore[no-untyped-call]
    told = orjson.dumps({str(p): offset for p, offset in ends.items()}).decode()
    command = [sys.executable, "-m", "fleetpulse.bench.flow_process", "--flow", name, "--ends", told, "--store", str(store)]
    return spawn(command, _log(name, folder), env=env)


def _wait(name: str, process: subprocess.Popen[bytes], folder: Path) -> dict[str, int]:
    try:
        code = process.wait(LIMIT_S)
    finally:
        end(process, limit_s=1)
    text = _log(name, folder).read_text(errors="replace")
    if code:
        raise FlowError(f"flow {name} must end by itself; exit code {code}: {text[-800:]}")
    counters: dict[str, int] = orjson.loads(text.splitlines()[-1])["counters"]
    return counters
