"""Flow detect for real: records of fleet.features in a broker, Bytewax, events in the broker; stopped and resumed in the middle."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from bytewax.run import cli_main

from fleetpulse.codecs import tables
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import detect, recovery, topics
from fleetpulse.flows.recovery import RecoveryStore
from fleetpulse.flows.stop import Stop
from tests.models.fleet import Invented
from tests.support.events import validate
from tests.support.topics import read, write

FLEET = load_fleet()
NAMES = {"city": FLEET.city_names, "vehicle_model": FLEET.model_names}
MINUTES = 160


def values(shard: int) -> list[bytes]:
    """A record a minute: 40 scooters, one with a bad bearing from minute 110, one that drains."""
    invented = Invented(vehicles=40, minutes=MINUTES, ride_share=0.5, since=110, seed=shard, device_hi=shard)
    windows = replace(invented, bearing={3: 0.5}, parked_w={20: 80.0}).windows()
    return [tables.encode(part, NAMES) for part in np.split(windows, range(40, len(windows), 40))]


def run(settings: Settings, store: Path, ends: dict[int, int]) -> None:
    with RecoveryStore(store) as opened:
        opened.forget_uncommitted()
        cli_main(  # type: ignore[no-untyped-call]
            detect.build(settings, FLEET, stop=Stop(), ends=ends),
            epoch_interval=timedelta(seconds=settings.flow.epoch_s),
            recovery_config=recovery.config(store),
        )


def emitted(settings: Settings) -> list[dict[str, Any]]:
    messages = [message for topic in ("fleet.maintenance", "fleet.alerts") for message in read(settings, topic, partitions=4)]
    headers: list[Any] = [message.headers() for message in messages]
    return [validate((header, message.value() or b"")) for header, message in zip(headers, messages, strict=True)]


def test_windows_become_events_once_across_a_restart(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"detect": settings.detect.model_copy(update={"warm_up_windows": 200})})
    topics.ensure(settings, limit_s=10)
    for shard in range(4):
        write(settings, detect.TOPIC, values(shard), partition=shard)
    run(settings, tmp_path / "store", dict.fromkeys(range(4), 120))
    run(settings, tmp_path / "store", dict.fromkeys(range(4), MINUTES))
    events = emitted(settings)
    seen = {(e["data"]["evidence"]["kafka"]["partition"], e["data"]["rule"], e["subject"][-4:]) for e in events}
    assert {(shard, "vibration", "0004") for shard in range(4)} <= seen
    assert len(seen) >= 6
    assert len({e["id"] for e in events}) == len(events)
    run(settings, tmp_path / "fresh", dict.fromkeys(range(4), MINUTES))
    again = emitted(settings)
    assert len(again) == 2 * len(events)
    assert {e["id"] for e in again} == {e["id"] for e in events}
