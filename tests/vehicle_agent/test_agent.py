"""Vehicles on a real broker: every frame of the ledger arrives, whatever is killed meanwhile."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pytest

from fleetpulse.codecs import presence
from fleetpulse.codecs.schema import Status
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import ConfigError, Mqtt, Settings
from fleetpulse.flows.embedded import EmbeddedMqtt, free_port
from fleetpulse.vehicle_agent import link
from fleetpulse.vehicle_agent.agent import Agent, Fleetload
from fleetpulse.vehicle_agent.faults import Fault
from fleetpulse.vehicle_agent.parcel import Kind, Parcel
from fleetpulse.vehicle_agent.scenario import Entry, Scenario, named
from fleetpulse.vehicle_agent.store import Store
from tests.vehicle_agent.bridge import FrameId, TinyBridge, tiny_bridge, until

SPEED = 20.0
PAST_MS = 86_400_000


def deployment(port: int, folder: Path, **agent: Any) -> Settings:
    wall_ms = int(time.time() * 1000)
    return Settings.model_validate(
        {
            "deployment": {"data_dir": folder},
            "clock": {"speed": SPEED, "start_ms": wall_ms - PAST_MS, "wall_start_ms": wall_ms},
            "mqtt": {"host": "127.0.0.1", "port": port},
            "agent": agent,
        }
    )


class Running:
    """An agent in this event loop."""

    def __init__(self, settings: Settings, folder: Path, *, vehicles: int, scenario: Scenario) -> None:
        self.folder = folder
        self.stop = asyncio.Event()
        self._agent = Agent(settings, Fleetload(vehicles, 1, scenario, folder), load_fleet())
        self.task = asyncio.create_task(self._agent.run(self.stop))

    def ledger(self) -> dict[str, Any]:
        content: dict[str, Any] = orjson.loads((self.folder / "ledger.json").read_bytes())
        return content

    def frames(self) -> int:
        return int(self.ledger()["frames"]) if (self.folder / "ledger.json").exists() else 0

    async def end(self) -> dict[str, Any]:
        self.stop.set()
        return await self.task


@asynccontextmanager
async def running(port: int, folder: Path, *, vehicles: int = 6, scenario: Scenario | None = None, **agent: Any) -> AsyncIterator[Running]:
    run = Running(deployment(port, folder, **agent), folder, vehicles=vehicles, scenario=scenario or named("calm"))
    try:
        yield run
    finally:
        run.stop.set()
        await run.task


def wire_payload(device: bytes) -> Parcel:
    """Five frames of boot 1 as far as the store looks at them."""
    return Parcel(Kind.BATCH, 0, 5, 1, 0, 4, 0, 0, b"frames", device)


def told(folder: Path) -> set[FrameId]:
    """What boots.json says was sent."""
    boots = orjson.loads((folder / "boots.json").read_bytes())
    return {(UUID(name).bytes, boot, seq) for name, rows in boots.items() for boot, first, last in rows for seq in range(first, last + 1)}


async def test_every_frame_of_the_ledger_arrives_and_is_acknowledged(mqtt: EmbeddedMqtt, tmp_path: Path) -> None:
    async with tiny_bridge(mqtt.port) as bridge, running(mqtt.port, tmp_path / "a") as run:
        await until(lambda: run.frames() > 300)
        ledger = await run.end()
    assert (ledger["pending"], ledger["dropped"], ledger["final"], ledger["vehicles"]) == (0, 0, True, 6)
    assert bridge.ids() == told(tmp_path / "a")
    assert len(bridge.ids()) == ledger["frames"]
    assert len(bridge.frames()) == ledger["frames"] + ledger["duplicates"]
    assert ledger["boots"] == [{"boot_id": 1, "vehicles": 6, "frames": ledger["frames"]}]


async def test_vehicles_say_hello_and_goodbye(mqtt: EmbeddedMqtt, tmp_path: Path) -> None:
    async with tiny_bridge(mqtt.port) as bridge, running(mqtt.port, tmp_path / "a") as run:
        await until(lambda: run.frames() > 10)
        await run.end()
        await until(lambda: len(bridge.payloads("status")) == 12)
    said = [(name, presence.decode(payload)) for name, payload in bridge.payloads("status")]
    assert {name for name, p in said[:6] if p.online} == {name for name, p in said[6:] if not p.online}
    assert {p.boot_id for _, p in said} == {1}


async def test_several_vehicles_share_a_connection_beyond_the_limit(mqtt: EmbeddedMqtt, tmp_path: Path) -> None:
    async with tiny_bridge(mqtt.port) as bridge, running(mqtt.port, tmp_path / "a", vehicles=7, sessions_max=2) as run:
        await until(lambda: run.frames() > 100)
        ledger = await run.end()
    assert (ledger["connections"], ledger["pending"]) == (2, 0)
    assert bridge.ids() == told(tmp_path / "a")


async def test_a_payload_stays_until_the_bridge_answers_and_is_sent_again(mqtt: EmbeddedMqtt, tmp_path: Path) -> None:
    async with tiny_bridge(mqtt.port) as bridge, running(mqtt.port, tmp_path / "a") as run:
        bridge.answers = False
        await until(lambda: run.frames() > 50)
        assert run.ledger()["pending"] == run.ledger()["frames"]
        await until(lambda: len(bridge.frames()) > len(bridge.ids()))
        bridge.answers = True
        ledger = await run.end()
    assert ledger["pending"] == 0
    assert ledger["duplicates"] > 0
    assert bridge.ids() == told(tmp_path / "a")


async def test_a_kill_at_the_start_forgets_no_frame_of_the_boot_before(tmp_path: Path) -> None:
    """Two kills: the first before the ledger knew the last frames, the second before the successor had written it."""
    settings, folder = deployment(free_port(), tmp_path), tmp_path / "a"
    first = Agent(settings, Fleetload(1, 1, named("calm"), folder), load_fleet())
    (device,) = first._device_ids
    payload = wire_payload(device)
    first._store.append([payload])
    first._store.close()
    killed = Agent(settings, Fleetload(1, 1, named("calm"), folder), load_fleet())
    killed._store.close()
    assert told(folder) == {(device, 1, seq) for seq in range(5)}


async def test_with_trust_in_the_broker_no_bridge_is_needed(mqtt: EmbeddedMqtt, tmp_path: Path) -> None:
    async with running(mqtt.port, tmp_path / "a", trust_broker=True) as run:
        await until(lambda: run.frames() > 100)
        ledger = await run.end()
    assert (ledger["pending"], ledger["duplicates"]) == (0, 0)


async def test_a_broker_that_is_killed_and_comes_back_costs_nothing(tmp_path: Path) -> None:
    port = free_port()
    with EmbeddedMqtt(tmp_path / "mqtt", port) as broker:
        async with tiny_bridge(port) as bridge, running(port, tmp_path / "a") as run:
            await until(lambda: run.frames() > 100)
            broker.kill()
            before = run.frames()
            await until(lambda: run.ledger()["pending"] > 0 and run.frames() > before + 50)
            broker.start()
            await until(lambda: bridge.connected)
            ledger = await run.end()
    assert ledger["pending"] == 0
    assert ledger["connections"] == 12
    assert bridge.ids() == told(tmp_path / "a")


async def test_a_broker_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    async with running(port, tmp_path / "a") as run:
        await until(lambda: run.frames() > 50)
        with EmbeddedMqtt(tmp_path / "mqtt", port):
            async with tiny_bridge(port) as bridge:
                ledger = await run.end()
    assert ledger["pending"] == 0
    assert bridge.ids() == told(tmp_path / "a")


async def test_without_a_broker_the_end_is_bounded_and_the_next_run_sends_what_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetpulse.vehicle_agent.agent.DRAIN_S", 0.5)
    port = free_port()
    async with running(port, tmp_path / "a") as run:
        await until(lambda: run.frames() > 50)
        left = await run.end()
    assert left["pending"] == left["frames"] > 50
    with EmbeddedMqtt(tmp_path / "mqtt", port):
        async with tiny_bridge(port) as bridge, running(port, tmp_path / "a", vehicles=2) as run:  # four have no successor
            await until(lambda: len(bridge.ids()) > left["frames"])
            ledger = await run.end()
    assert (ledger["pending"], ledger["dropped"]) == (0, 0)
    assert [boot["boot_id"] for boot in ledger["boots"]] == [1, 2]
    assert bridge.ids() == told(tmp_path / "a")
    frames = bridge.frames()
    first = frames[(frames["seq"] == 0) & (frames["boot_id"] == 2)]
    last = {device: rows[0][2] for device, rows in orjson.loads((tmp_path / "a" / "boots.json").read_bytes()).items()}
    assert [last[_name(f)] for f in first] == first["previous_last_seq"].tolist()


def _name(frame: Any) -> str:
    return str(UUID(int=int(frame["device_hi"]) << 64 | int(frame["device_lo"])))


async def test_a_broker_that_hangs_at_the_end_does_not_hold_the_agent(
    mqtt: EmbeddedMqtt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetpulse.vehicle_agent.agent.DRAIN_S", 0.2)
    monkeypatch.setattr("fleetpulse.vehicle_agent.agent._GOODBYE_S", 0.2)
    monkeypatch.setattr("fleetpulse.vehicle_agent.link.CONNECT_S", 0.5)
    async with running(mqtt.port, tmp_path / "a") as run:
        await until(lambda: run.frames() > 20)
        os.kill(mqtt.pid, signal.SIGSTOP)
        ledger = await run.end()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        os.kill(mqtt.pid, signal.SIGCONT)
    assert ledger["final"]
    assert not others


async def test_what_a_vehicle_kept_while_out_of_contact_comes_as_backlog(mqtt: EmbeddedMqtt, tmp_path: Path) -> None:
    away = Scenario("away", (Entry(Fault.OFFLINE, 120.0, (), (0.0, 1.0), least=1),))
    async with tiny_bridge(mqtt.port) as bridge, running(mqtt.port, tmp_path / "a", scenario=away) as run:
        await until(lambda: bool(((bridge.frames()["status"] & Status.BACKLOG) != 0).any()))
        ledger = await run.end()
    frames = bridge.frames()
    late = frames[(frames["status"] & Status.BACKLOG) != 0]
    assert ledger["pending"] == 0
    assert len({_name(frame) for frame in late}) == 1
    assert bridge.ids() == told(tmp_path / "a")
    label = orjson.loads((tmp_path / "a" / "labels.jsonl").read_bytes())
    assert (label["fault"], label["device_id"]) == ("offline", _name(late[0]))


async def test_doubles_disorder_and_garbage_are_in_the_ledger(mqtt: EmbeddedMqtt, tmp_path: Path) -> None:
    entries = (
        Entry(Fault.DUPLICATES, 600.0, (1.0,), (0.0, 1.0)),
        Entry(Fault.REORDERING, 600.0, (8.0,), (0.0, 1.0), ride_s=1.0),
        Entry(Fault.GARBAGE, 600.0, (5.0,), (0.0, 1.0)),
        Entry(Fault.OVERSIZE, 600.0, (300.0,), (0.0, 1.0)),
        Entry(Fault.JSON_FIRMWARE, 600.0, (), (0.0, 0.1)),
    )
    async with tiny_bridge(mqtt.port) as bridge, running(mqtt.port, tmp_path / "a", scenario=Scenario("x", entries)) as run:
        await until(lambda: _in_disorder(bridge) and run.ledger()["garbage"] > 5 and run.ledger()["duplicates"] > 0)
        ledger = await run.end()
    frames = bridge.frames()
    assert bridge.ids() == told(tmp_path / "a")
    assert ledger["duplicates"] == len(frames) - len(bridge.ids()) > 0
    payloads = [payload for _, payload in bridge.payloads("telemetry")]
    assert max(map(len, payloads)) > 1 << 20
    assert any(payload.startswith(b'{"device_id":"') for payload in payloads)
    assert sum(not _decodes(payload) for payload in payloads) == ledger["garbage"]


def _in_disorder(bridge: TinyBridge) -> bool:
    frames = bridge.frames()
    seq = (frames["seq"][frames["device_hi"] == hi].astype(np.int64) for hi in np.unique(frames["device_hi"]))
    return any((np.diff(one) < 0).any() for one in seq)


def _decodes(payload: bytes) -> bool:
    bridge = TinyBridge(0)
    bridge.published = [("telemetry/x", payload)]
    return bool(payload) and len(payload) <= 1 << 20 and len(bridge.frames()) > 0


async def test_a_crash_comes_on_the_alert_topic_and_nowhere_else(mqtt: EmbeddedMqtt, tmp_path: Path) -> None:
    crash = Scenario("crash", (Entry(Fault.CRASH, 60.0, (0.0,), (30.0, 31.0), ride_s=30.0),))
    async with tiny_bridge(mqtt.port) as bridge, running(mqtt.port, tmp_path / "a", vehicles=4, scenario=crash) as run:
        await until(lambda: bool(bridge.payloads("alert")))
        await run.end()
    ((name, payload),) = bridge.payloads("alert")
    alone = TinyBridge(0)
    alone.published = [("alert/x", payload)]
    (frame,) = alone.frames()
    assert frame["status"] & Status.CRASH
    assert _name(frame) == name
    assert bridge.ids() == told(tmp_path / "a")
    assert len(bridge.frames()) == len(bridge.ids())


def process(port: int, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    env = {
        **os.environ,
        "FLEETPULSE_MQTT__PORT": str(port),
        "FLEETPULSE_DEPLOYMENT__DATA_DIR": str(folder),
        "FLEETPULSE_CLOCK__SPEED": str(SPEED),
        "FLEETPULSE_CLOCK__START_MS": str(int(time.time() * 1000) - PAST_MS),
        "FLEETPULSE_CLOCK__WALL_START_MS": str(int(time.time() * 1000)),
    }
    command = [sys.executable, "-m", "fleetpulse.flows.cli", "agent", "--vehicles", "5", "--scenario", "calm", *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


async def test_killed_and_started_again_the_agent_loses_nothing_and_its_death_is_told(mqtt: EmbeddedMqtt, tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    async with tiny_bridge(mqtt.port) as bridge:
        first = process(mqtt.port, tmp_path, "--ledger", str(folder))
        try:
            await until(lambda: len(bridge.ids()) > 100)
            bridge.answers = False  # written, sent, and not answered when it dies
            seen = len(bridge.ids())
            await until(lambda: len(bridge.ids()) > seen + 50)
        finally:
            first.send_signal(signal.SIGKILL)
            first.communicate()
        await until(lambda: sum(not presence.decode(p).online for _, p in bridge.payloads("status")) == 5)
        bridge.answers = True
        known = orjson.loads((folder / "ledger.json").read_bytes())["frames"]
        second = process(mqtt.port, tmp_path, "--ledger", str(folder))
        try:
            await until(lambda: any(boot == 2 for _, boot, _ in bridge.ids()))
        finally:
            second.send_signal(signal.SIGTERM)
            output, _ = await asyncio.to_thread(second.communicate)
    assert second.returncode == 0, output.decode()
    ledger = orjson.loads((folder / "ledger.json").read_bytes())
    assert (ledger["pending"], ledger["dropped"], ledger["final"]) == (0, 0, True)
    assert ledger["frames"] > known
    assert bridge.ids() == told(folder)


async def test_a_duration_ends_the_process_by_itself(mqtt: EmbeddedMqtt, tmp_path: Path) -> None:
    async with tiny_bridge(mqtt.port) as bridge:
        done = process(mqtt.port, tmp_path, "--duration", "3")
        output, _ = await asyncio.to_thread(done.communicate)
    assert done.returncode == 0, output.decode()
    assert bridge.ids() == told(tmp_path / "agent")


async def test_a_store_in_use_is_one_clear_line(mqtt: EmbeddedMqtt, tmp_path: Path) -> None:
    store = Store(tmp_path / "agent" / "store", max_bytes=1 << 20, max_age_ms=1000)
    done = process(mqtt.port, tmp_path)
    output, _ = await asyncio.to_thread(done.communicate)
    store.close()
    assert done.returncode == 1
    assert output.decode().splitlines()[-1].startswith("fleetpulse: the store must belong to one process")


def test_a_wrong_certificate_file_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    assert link.tls(Mqtt()) is None
    for file in (tmp_path / "ca.pem", tmp_path / "none.pem"):
        with pytest.raises(ConfigError, match=r"mqtt\.ca_file"):
            link.tls(Mqtt(ca_file=file))
