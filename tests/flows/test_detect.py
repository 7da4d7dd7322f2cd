"""Flow detect for real: records of fleet.features in a broker, Bytewax, events in the broker; killed, resumed, with a broken model."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from bytewax.run import cli_main

from fleetpulse.alerts.event import Outgoing
from fleetpulse.codecs import tables
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.flows import detect, model_metrics, recovery, topics
from fleetpulse.flows.keys import shard_of
from fleetpulse.flows.recovery import RecoveryStore
from fleetpulse.flows.stop import Stop
from fleetpulse.models import parameters
from fleetpulse.models.consumption import StandbyConsumption
from fleetpulse.operators.score import ScoreNames, ShardScorer
from tests.models.fleet import Invented
from tests.support.events import validate
from tests.support.polls import poll
from tests.support.processes import part, wait_for, workers
from tests.support.topics import read, write

FLEET = load_fleet()
NAMES = {"city": FLEET.city_names, "vehicle_model": FLEET.model_names}
MINUTES = 160


def values(shard: int, *, parked_w: float = 80.0, minutes: int = MINUTES) -> list[bytes]:
    """A record a minute: 40 scooters, one with a bad bearing from minute 110, one that drains."""
    invented = Invented(vehicles=40, minutes=minutes, ride_share=0.5, since=110, seed=shard, device_hi=shard)
    windows = replace(invented, bearing={3: 0.5}, parked_w={20: parked_w}).windows()
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


def tuned(settings: Settings, **flow: float) -> Settings:
    """Models that judge after 200 windows."""
    detect_settings = settings.detect.model_copy(update={"warm_up_windows": 200})
    return settings.model_copy(update={"detect": detect_settings, "flow": settings.flow.model_copy(update=flow)})


def test_a_model_that_fails_is_stood_in_for_and_the_flow_goes_on(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tuned(settings)
    topics.ensure(settings, limit_s=10)
    write(settings, detect.TOPIC, values(0, parked_w=200.0), partition=0)

    def fails(*_: Any) -> float:
        raise ZeroDivisionError("no way")

    monkeypatch.setattr(StandbyConsumption, "rate", fails)
    with structlog.testing.capture_logs() as logged:
        run(settings, tmp_path / "store", {0: MINUTES, 1: 0, 2: 0, 3: 0})
    seen = {
        (e["data"]["rule"], e["data"]["evidence"]["rule"], e["data"]["evidence"]["version"], e["subject"][-4:]) for e in emitted(settings)
    }
    assert ("battery_drain", "drain_rule", "1", "0015") in seen
    assert ("vibration", "vibration", parameters.VERSIONS["vibration"], "0004") in seen
    assert not any(model == "drain" for _, model, _, _ in seen)
    told = [line for line in logged if line["log_level"] == "error"]
    assert [(line["model"], line["error"]) for line in told] == [
        ("drain", "ZeroDivisionError: no way")
    ]  # once, though it fails each minute
    exported = {(s.name, *sorted(s.labels.items())): s.value for m in model_metrics.exported().collect() for s in m.samples}
    assert exported["fleet_model_failures_total", ("model", "drain")] > 1_000
    assert exported["fleet_model_rule_cohorts", ("model", "drain")] == 1
    assert exported["fleet_model_info", ("mode", "active"), ("model", "drain"), ("version", parameters.VERSIONS["drain"])] == 1


def test_scores_after_kills_are_those_of_an_undisturbed_run(settings: Settings, tmp_path: Path) -> None:
    """kill -9 of the flow in the middle, twice: counted scores, learned models and vehicles are the same, byte for byte."""
    settings = tuned(settings, epoch_s=0.2)
    topics.ensure(settings, limit_s=10)
    all_values = [values(shard) for shard in range(4)]
    folder = recovery.folder_of(settings, "detect")
    cuts = (0, 50, 110, MINUTES)
    for n, (a, b) in enumerate(pairwise(cuts)):
        with part(settings, tmp_path, "flow", "detect") as flow:
            if n:  # read what was there, and be killed while the rest comes
                wait_for(lambda a=a: min(offsets_of(folder)) >= a, limit_s=90, what="the flow must resume")  # type: ignore[misc]
            for shard in range(4):
                write(settings, detect.TOPIC, all_values[shard][a:b], partition=shard)
            wanted = b if b == MINUTES else a + 1
            wait_for(lambda w=wanted: min(offsets_of(folder)) >= w, limit_s=90, what="an epoch must be committed")  # type: ignore[misc]
            dying = workers(flow)
            flow.process.kill()
            wait_for(lambda dying=dying: not any(p.is_running() for p in dying), what="workers must die with their supervisor")  # type: ignore[misc]
    with RecoveryStore(folder) as store:
        store.forget_uncommitted()
        with recovery.opened(recovery.files_of(folder)) as stores:
            states = {shard_of(key): state for key, state in recovery.snapshots(stores, "score").items() if isinstance(state, bytes)}
    names = ScoreNames(settings.deployment.name, detect.RAW_TOPIC, FLEET.city_names, FLEET.model_names)
    given = detect.parameters_of(settings, FLEET)
    for shard in range(4):
        killed = ShardScorer.restored(states[shard], lambda s: ShardScorer(s, given, names))
        undisturbed = ShardScorer(shard, given, names)
        out: list[Outgoing] = []
        undisturbed.run(poll(all_values[shard], partition=shard), out)
        assert out
        assert killed.detector.board.stored() == undisturbed.detector.board.stored()
        assert killed.detector.inputs.stored() == undisturbed.detector.inputs.stored()
        again = [tables.decode(value, tables.WINDOW, NAMES) for value in values(shard, minutes=MINUTES + 5)[MINUTES:]]
        assert [killed.detector.run(w) for w in again] == [undisturbed.detector.run(w) for w in again]
        assert killed.detector.board.stored() == undisturbed.detector.board.stored()


def offsets_of(folder: Path) -> list[int]:
    """What the last committed epoch has read of each partition; nothing of any while there is no store."""
    files = recovery.files_of(folder)
    if not files:
        return [0]
    with recovery.opened(files) as stores:
        at = recovery.source_offsets(stores)
    return [at.get(shard, 0) for shard in range(4)]
