"""A process of simulated vehicles: simulator, batches, store, sessions, ledger; on the deployment's clock. The one loop is here.

Frames are made up to a second ahead and released when the clock reaches them. What cannot be sent waits in the store. When sending is
too slow (not when the broker is away) the vehicles stand still: the process falls behind, visibly (`lag_s` of the ledger), and drops
nothing.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from fleetpulse.codecs.schema import empty
from fleetpulse.config.clock import Clock
from fleetpulse.config.fleet import Fleet
from fleetpulse.config.settings import ConfigError, Settings
from fleetpulse.vehicle_agent import labels, link
from fleetpulse.vehicle_agent.batcher import Batcher
from fleetpulse.vehicle_agent.faults import Fault
from fleetpulse.vehicle_agent.faulty_radio import Radio
from fleetpulse.vehicle_agent.ledger import LABELS, VEHICLES, Ledger, write_atomically
from fleetpulse.vehicle_agent.link import Vehicle
from fleetpulse.vehicle_agent.parcel import Parcel
from fleetpulse.vehicle_agent.scenario import Scenario
from fleetpulse.vehicle_agent.session import Session, Surroundings, Totals
from fleetpulse.vehicle_agent.simulator import Simulator
from fleetpulse.vehicle_agent.store import Store

log = structlog.get_logger()

DRAIN_S = 20.0
"""How long the end waits for acknowledgements."""
QUEUE_MAX = 5000
"""Parcels that may wait in connected sessions; with more the vehicles stand still."""
SEGMENT_BYTES, SEGMENTS = 8 << 20, 8
"""Largest file of the store, and how many a small one has at least: what is dropped goes by whole files."""
_TICK_S = 0.05
_AHEAD_MS = 1000
_STEP_MS = 20_000
"""Most that is made at once; more at once makes larger batches, so that a process that fell behind catches up."""
_RESEND_LEAST_S = 3.0
_SLOW_EVERY = 5
_GOODBYE_S = 3.0
_CONNECT_S = 10.0
"""How long the vehicles wait for all connections before they begin."""


@dataclass(frozen=True)
class Fleetload:
    """Which vehicles a process runs, and where it writes."""

    vehicles: int
    seed: int
    scenario: Scenario
    folder: Path


class Agent:
    """All vehicles of one process. Make it inside the event loop."""

    def __init__(self, settings: Settings, load: Fleetload, fleet: Fleet) -> None:
        self._clock = Clock(settings.clock)
        now_ms = self._clock.now_ms()
        a = settings.agent
        self._folder = load.folder
        self._ledger = Ledger(load.folder)
        self._store = Store(
            a.store_dir or load.folder / "store",
            max_bytes=a.store_bytes,
            max_age_ms=int(a.store_hours * 3_600_000),
            segment_bytes=min(SEGMENT_BYTES, a.store_bytes // SEGMENTS),
        )
        self._ledger.note(self._store.boots)  # what an earlier process stored after it wrote its last ledger
        self._ledger.keep()
        faults = load.scenario.faults(fleet, load.vehicles, load.seed, now_ms)
        self._simulator = Simulator(fleet, load.vehicles, load.seed, now_ms, faults)
        if (load.folder / VEHICLES).exists():
            self._simulator.resume((load.folder / VEHICLES).read_bytes())
        self._device_ids = _device_ids(self._simulator.vehicles)
        left = self._store.parcels()
        orphans = sorted({parcel.device_id for parcel in left} - set(self._device_ids))
        everybody = [*self._device_ids, *orphans]
        self._radio = Radio(self._simulator.faults, everybody, seed=load.seed)
        self._batcher = Batcher(self._device_ids, flush_ms=int(a.flush_s * 1000), json=self._json())
        self._totals = Totals()
        around = Surroundings(
            mqtt=settings.mqtt,
            context=_contexts(settings),
            store=self._store,
            totals=self._totals,
            now_ms=self._clock.now_ms,
            boot_id=lambda vehicle: self._store.boots[everybody[vehicle]][0],
            offline=self._radio.offline,
            double=self._radio.double,
            trust_broker=a.trust_broker,
            resend_s=max(_RESEND_LEAST_S, self._clock.wall_s(a.resend_s)),
            rng=random.Random(load.seed),  # noqa: S311
        )
        count = min(len(everybody), a.sessions_max)
        if a.certificate_dir is not None and count < len(everybody):
            raise ConfigError(f"agent.sessions_max must be the {len(everybody)} vehicles' where each has a certificate; got {count}")
        links = {number: Vehicle(device_id) for number, device_id in enumerate(everybody)}
        self._sessions = [Session({v: links[v] for v in range(k, len(everybody), count)}, around) for k in range(count)]
        self._boot()
        numbers = {device_id: number for number, device_id in enumerate(everybody)}
        for parcel in left:
            parcel.vehicle = numbers[parcel.device_id]
            self._put(parcel)
        self._ahead = empty(0)
        self._released_ms = now_ms
        self._stopped_ms = 0
        self._delayed: dict[asyncio.TimerHandle, Parcel] = {}
        self._swaps = np.zeros(len(everybody), dtype=np.int64)
        self._away = False
        self._dropped = 0
        self._max_bytes = a.store_bytes
        self._left = len(left)

    async def run(self, stop: asyncio.Event) -> dict[str, Any]:
        """Until `stop` is set; then everything is flushed and acknowledged within DRAIN_S. The final ledger."""
        if self._left:
            log.info("an earlier run left payloads", payloads=self._left, frames=self._store.pending)
        sessions = [asyncio.create_task(session.run()) for session in self._sessions]
        chores = asyncio.create_task(self._chores())
        everyone = [chores, *sessions]
        try:
            await self._first_connections(stop)
            while not stop.is_set():
                self._tick()
                for task in everyone:
                    if task.done():  # never by itself: an error of ours
                        task.result()
                await _wait(stop, _TICK_S)
            await self._drain()
        finally:
            for task in everyone:
                task.cancel()
            _, hanging = await asyncio.wait(everyone, timeout=_GOODBYE_S)
            for task in hanging:  # a broker that does not answer gets no goodbye
                task.cancel()
            if hanging:
                await asyncio.wait(hanging, timeout=2 * link.CONNECT_S)
        self._store.close()
        self._write_labels()
        write_atomically(self._folder / VEHICLES, self._simulator.save())
        return self._write_ledger(final=True)

    async def _first_connections(self, stop: asyncio.Event) -> None:
        """Vehicles begin when they are connected, or when it is known that there is no broker; else the start would be a backlog."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _CONNECT_S
        while self._totals.connections < len(self._sessions) and not self._totals.last_error and loop.time() < until_s:
            await _wait(stop, _TICK_S)
            if stop.is_set():
                break
        self._released_ms = self._clock.now_ms()
        self._radio.postpone(self._simulator.postpone(self._released_ms))

    def _boot(self) -> None:
        """A new boot for every vehicle, kept before a frame of it exists."""
        before = [self._store.boots.get(device_id, (0, -1)) for device_id in self._device_ids]
        self._store.begin_boots({device_id: (boot + 1, -1) for device_id, (boot, _) in zip(self._device_ids, before, strict=True)})
        boots = np.array(before, dtype=np.int64).reshape(-1, 2)
        self._simulator.boot(boots[:, 0] + 1, boots[:, 1])

    def _json(self) -> NDArray[np.bool_]:
        json = np.zeros(len(self._device_ids), dtype=np.bool_)
        faults = self._simulator.faults
        json[faults["vehicle"][faults["kind"] == Fault.JSON_FIRMWARE]] = True
        return json

    def _tick(self) -> None:
        """Make frames up to a little ahead, release what the clock has reached, hand over what is due."""
        now_ms = self._clock.now_ms()
        if sum(len(session) for session in self._sessions if session.connected) < QUEUE_MAX:
            made = self._simulator.step(min(now_ms + _AHEAD_MS, self._simulator.now_ms + _STEP_MS))
            self._ahead = np.concatenate((self._ahead, made)) if len(made) else self._ahead
            self._released_ms = min(now_ms, self._simulator.now_ms)
        ready = int(np.searchsorted(self._ahead["append_ms"], now_ms, side="right"))
        frames, self._ahead = self._ahead[:ready], self._ahead[ready:]
        for vehicle in self._radio.turn(self._released_ms):
            self._session(vehicle).back_online(vehicle)
        self._hand_over(self._batcher.take(frames, now_ms))
        for parcel in self._radio.bad_payloads(self._released_ms):
            self._totals.garbage_waiting += 1
            self._put(parcel)

    def _hand_over(self, parcels: list[Parcel]) -> None:
        """To the store, then to the sessions."""
        if not parcels:
            return
        self._radio.note(parcels)
        self._store.append(parcels)
        for parcel in parcels:
            hold_s = self._radio.hold_s[parcel.vehicle]
            if hold_s > 0.0:
                self._swaps[parcel.vehicle] += 1
            if hold_s > 0.0 and self._swaps[parcel.vehicle] % 2:
                self._delay(parcel, self._clock.wall_s(hold_s))
            else:
                self._put(parcel)

    def _delay(self, parcel: Parcel, wall_s: float) -> None:
        def put() -> None:
            del self._delayed[handle]
            self._put(parcel)

        handle = asyncio.get_running_loop().call_later(wall_s, put)
        self._delayed[handle] = parcel

    def _session(self, vehicle: int) -> Session:
        return self._sessions[vehicle % len(self._sessions)]

    def _put(self, parcel: Parcel) -> None:
        self._session(parcel.vehicle).put(parcel)

    async def _chores(self) -> None:
        """What is done about every second."""
        loop = asyncio.get_running_loop()
        turn = 0
        while True:
            for session in self._sessions:
                session.send_again(loop.time())
            self._store.maintain(self._clock.now_ms())
            self._write_ledger(final=False)
            if turn % _SLOW_EVERY == 0:
                self._write_labels()
                write_atomically(self._folder / VEHICLES, self._simulator.save())
            self._tell()
            await asyncio.to_thread(self._store.sync)
            await asyncio.sleep(1.0)
            turn += 1

    def _tell(self) -> None:
        if self._store.dropped > self._dropped and not self._dropped:
            log.error("the store is full: the oldest frames are lost", frames=self._store.dropped, max_bytes=self._max_bytes)
        self._dropped = self._store.dropped
        away = self._totals.connected == 0
        if away and not self._away and self._totals.last_error:
            log.warning("no MQTT broker; the vehicles keep their frames and try again", error=self._totals.last_error)
            self._away = True
        elif self._away and not away:
            log.info("the MQTT broker is back", pending=self._store.pending)
            self._away = False

    async def _drain(self) -> None:
        """No more frames; everybody online; everything sent and answered, or DRAIN_S over."""
        self._stopped_ms = self._clock.now_ms()
        for vehicle in self._radio.heal():
            self._session(vehicle).back_online(vehicle)
        self._hand_over(self._batcher.take(empty(0), self._clock.now_ms(), everything=True))
        for handle, parcel in list(self._delayed.items()):
            handle.cancel()
            self._put(parcel)
        self._delayed.clear()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + DRAIN_S
        while loop.time() < until_s:
            if not self._store.pending and not self._totals.garbage_waiting:
                break
            await asyncio.sleep(_TICK_S)
        if self._store.pending:
            log.error("stopped before all was acknowledged; the store keeps it for the next run", frames=self._store.pending)

    def _write_ledger(self, *, final: bool) -> dict[str, Any]:
        self._ledger.note(self._store.boots)
        return self._ledger.write(
            vehicles=len(self._device_ids),
            garbage=self._totals.garbage,
            duplicates=self._totals.duplicates,
            dropped=self._store.dropped,
            pending=self._store.pending,
            final=final,
            lag_s=round(((self._stopped_ms or self._clock.now_ms()) - self._released_ms) / 1000, 1),
            published=self._totals.published,
            connections=self._totals.connections,
            store_bytes=self._store.size_bytes,
        )

    def _write_labels(self) -> None:
        write_atomically(self._folder / LABELS, labels.encode(self._simulator.faults, self._device_ids))


async def _wait(stop: asyncio.Event, limit_s: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), limit_s)
    except TimeoutError:
        return


def _contexts(settings: Settings) -> Callable[[Vehicle], SSLContext | None]:
    """TLS of each vehicle's connection: the process's, or one with the vehicle's own certificate. Raises ConfigError."""
    folder = settings.agent.certificate_dir
    if folder is None:
        shared = link.tls(settings.mqtt)
        return lambda _: shared
    return lambda vehicle: link.tls(settings.mqtt, folder, vehicle.device_id)


def _device_ids(vehicles: NDArray[Any]) -> list[bytes]:
    halves = np.empty((len(vehicles), 2), dtype=">u8")
    halves[:, 0], halves[:, 1] = vehicles["device_hi"], vehicles["device_lo"]
    data = halves.tobytes()
    return [data[16 * v : 16 * v + 16] for v in range(len(vehicles))]
