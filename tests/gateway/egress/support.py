"""A fleet on the derived topics as the flows write it, and a gateway in a thread on a free port."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

import httpx
import numpy as np
import orjson
from confluent_kafka import Producer
from numpy.typing import NDArray

from fleetpulse.alerts import event
from fleetpulse.alerts.event import Event, Outgoing
from fleetpulse.alerts.states import EVENT_TYPE_NAMES, STATE_NAMES
from fleetpulse.codecs import partition, tables
from fleetpulse.config import kafka
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.gateway.egress.main import Server, listen
from tests.support.events import validate

LIMIT_S = 20.0
NOW_MS = 1_760_000_000_000
BLOCK = 512
FLEET = load_fleet()
NAMES = {
    "city": FLEET.city_names,
    "vehicle_model": FLEET.model_names,
    "vehicle_state": STATE_NAMES,
    "event_type": EVENT_TYPE_NAMES,
}
_CHECKED: set[tuple[str, frozenset[str]]] = set()
_NAMESPACE = UUID("00000000-0000-5000-8000-000000000000")


def device(i: int) -> UUID:
    """The i-th vehicle's id."""
    return uuid5(_NAMESPACE, str(i))


def fleet_rows(vehicles: int, *, shards: int, seed: int = 1) -> list[NDArray[Any]]:
    """Shard -> its (n,) STATE rows: vehicles around the cities' centres in all states."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(vehicles, dtype=tables.STATE)
    ids = [device(i) for i in range(vehicles)]
    rows["device_hi"] = [i.int >> 64 for i in ids]
    rows["device_lo"] = [i.int & (1 << 64) - 1 for i in ids]
    rows["shard"] = [partition.of(i.bytes, shards) for i in ids]
    rows["city"] = rng.integers(1, len(FLEET.cities), vehicles)
    rows["vehicle_model"] = rng.integers(1, len(FLEET.models), vehicles)
    rows["vehicle_state"] = rng.choice(len(STATE_NAMES), vehicles, p=[0.6, 0.05, 0.15, 0.02, 0.1, 0.03, 0.01, 0.03, 0.01])
    centres = np.array([(c.centre_longitude_deg, c.centre_latitude_deg) if c else (0.0, 0.0) for c in FLEET.cities])
    rows["longitude_deg"] = centres[rows["city"], 0] + rng.normal(0, 0.05, vehicles)
    rows["latitude_deg"] = centres[rows["city"], 1] + rng.normal(0, 0.03, vehicles)
    rows["battery_soc_pct"] = rng.uniform(0, 100, vehicles)
    for name in ("horizontal_accuracy_m", "heading_deg", "altitude_m", "battery_soh_pct", "tyre_pressure_min_kpa"):
        rows[name] = np.nan
    rows["status"] = 0b100010
    rows["state_since_ms"] = NOW_MS - 600_000
    rows["last_heard_ms"] = rows["last_frame_ms"] = NOW_MS
    rows["received"] = 100
    rows["service"] = np.arange(vehicles) % 50 == 7
    rows["firmware_version"] = b"1.2.3"
    by_shard = [rows[rows["shard"] == shard] for shard in range(shards)]
    for mine in by_shard:
        mine["slot"] = np.arange(len(mine))
    return by_shard


def state_records(by_shard: Sequence[NDArray[Any]], *, stream_ms: int = NOW_MS, counters: dict[str, int] | None = None) -> list[Outgoing]:
    """All blocks of the shards, as operators/fleet.py writes them."""
    out = []
    for shard, rows in enumerate(by_shard):
        counted = {
            "received": 100 * len(rows),
            "processed": 95 * len(rows),
            "duplicate": 3 * len(rows),
            "late": len(rows),
            "quarantined.clock_ahead": len(rows),
            "dead_lettered.malformed": 0,
            "missing": 0,
            "vehicles": len(rows),
            **(counters or {}),
        }
        for block in range(max(1, -(-len(rows) // BLOCK))):
            mine = rows[block * BLOCK : (block + 1) * BLOCK]
            metadata = {
                "shard": str(shard),
                "block": str(block),
                "stream_ms": str(stream_ms),
                "next_offset": "7",
                "counters": orjson.dumps(counted).decode(),
            }
            value = tables.encode(mine, NAMES, metadata=metadata)
            out.append(Outgoing("fleet.state", f"{shard}.{block}".encode(), value, timestamp_ms=stream_ms, partition=shard))
    return out


def zone_records(city: str, counts: Sequence[tuple[int, int, int, int, int]], *, shards: int, end_ms: int) -> list[Outgoing]:
    """What each shard reports: `counts` (cell, vehicle_state, vehicles, trip_starts, trip_ends), the same for every shard."""
    code = FLEET.city_names.index(city)
    rows = np.zeros(len(counts), dtype=tables.ZONE)
    for name, column in zip(
        ("cell", "vehicle_state", "vehicles", "trip_starts", "trip_ends"), zip(*counts, strict=True) if counts else [()] * 5, strict=True
    ):
        rows[name] = column
    rows["city"], rows["vehicle_model"], rows["charge_band"] = code, 1, 2
    out = []
    for shard in range(shards):
        for table, content in (("counts", rows), ("candidates", np.zeros(0, dtype=tables.CANDIDATE))):
            metadata = {"table": table, "city": city, "shard": str(shard), "shards": str(shards), "interval_end_ms": str(end_ms)}
            value = tables.encode(content, {"city": FLEET.city_names, "vehicle_model": FLEET.model_names}, metadata=metadata)
            out.append(Outgoing("fleet.zones", f"{city}.{shard}".encode(), value, timestamp_ms=end_ms, partition=code % 4))
    return out


def evidence(rule: str, **values: float) -> dict[str, Any]:
    """Evidence as rules give it."""
    where = {"topic": "vehicle-telemetry", "partition": 1, "first_offset": "12", "last_offset": "13"}
    return {"rule": rule, "version": "1", "values": values, "kafka": where, "recorded_ms": NOW_MS - 40}


def common(device_id: UUID, *, city: str = "berlin") -> dict[str, Any]:
    """What every event about a vehicle has."""
    return {
        "device_id": str(device_id),
        "city": city,
        "vehicle_model": "scooter",
        "latitude_deg": 52.52,
        "longitude_deg": 13.4,
        "battery_soc_pct": 12.5,
    }


def availability(
    device_id: UUID, state: str, event_type: str, *, previous: str = "available", ms: int = NOW_MS, cause: str = "1.1"
) -> Event:
    data = common(device_id) | {"vehicle_state": state, "previous_state": previous, "event_type": event_type}
    return Event(event.AVAILABILITY_CHANGED, str(device_id), "availability", cause, ms, data | {"evidence": evidence(event_type)})


def alert(
    device_id: UUID, rule: str, *, severity: str = "warning", ms: int = NOW_MS, city: str = "berlin", cause: str = "1.1", **more: Any
) -> Event:
    """A raised alert; its id is the event's."""
    made = Event(event.ALERT_RAISED, str(device_id), rule, cause, ms, {})
    data = common(device_id, city=city) | {"alert_id": made.id, "rule": rule, "severity": severity, "reason": f"Reason of {rule}."}
    return Event(event.ALERT_RAISED, str(device_id), rule, cause, ms, data | {"raised_ms": ms, "evidence": evidence(rule), **more})


def zone_alert(zone: str, *, city: str = "berlin", ms: int = NOW_MS) -> Event:
    made = Event(event.ALERT_RAISED, zone, "battery_cluster", f"interval.{ms}", ms, {})
    data = {"city": city, "zone": zone, "alert_id": made.id, "rule": "battery_cluster", "severity": "warning", "reason": "Many are low."}
    return Event(made.type, zone, made.rule, made.cause, ms, data | {"raised_ms": ms, "evidence": evidence("battery_cluster")})


def follow_up(raised: Event, type_: str, *, ms: int, **more: Any) -> Event:
    """Another event about the same alert."""
    return Event(type_, raised.subject, raised.rule, f"deadline.{ms}", ms, {**raised.data, **more})


def maintenance(device_id: UUID, component: str, *, severity: str = "warning", ms: int = NOW_MS, cause: str = "1.1", **more: Any) -> Event:
    made = Event(event.MAINTENANCE_REQUIRED, str(device_id), "tyre_pressure", cause, ms, {})
    data = common(device_id) | {"maintenance_id": made.id, "component": component, "severity": severity, "rule": "tyre_pressure"}
    data |= {"reason": "Tyre pressure is 150 kPa.", "required_ms": ms, "evidence": evidence("tyre_pressure", tyre_pressure_kpa=150), **more}
    return Event(made.type, str(device_id), made.rule, cause, ms, data)


def recommendation(
    zone: str, *, city: str = "berlin", end_ms: int = NOW_MS, kind: str = "move", priority: int = 2, expires_ms: int = 0
) -> Event:
    move = {
        "device_id": str(device(1)),
        "from_zone": zone,
        "to_zone": zone,
        "distance_m": 640.0,
        "latitude_deg": 52.5,
        "longitude_deg": 13.4,
    }
    data = {
        "city": city,
        "zone": zone,
        "interval_start_ms": end_ms - 900_000,
        "interval_end_ms": end_ms,
        "horizon_end_ms": end_ms + 900_000,
        "kind": kind,
        "demand_forecast": 3.5,
        "supply": 1,
        "deficit": 2.5,
        "priority": priority,
        "reason": "3.5 trips are expected and 1 vehicle stands there.",
        "expires_ms": expires_ms or end_ms + 900_000,
        "moves": [move | {"battery_soc_pct": 70.0, "by": "rider", "incentive_eur": 1.5}],
        "evidence": evidence("rebalance") | {"window": {"start_ms": end_ms - 900_000, "end_ms": end_ms}},
    }
    del data["evidence"]["recorded_ms"]  # type: ignore[attr-defined]
    return Event(event.REBALANCE_RECOMMENDED, zone, kind, f"interval.{end_ms}", end_ms, data)


def encoded(events: Sequence[Event], *, delay_ms: int = 50) -> list[Outgoing]:
    """Events as records; each form that is used is checked against its schema once."""
    out = []
    for made in events:
        record = event.encode(made, deployment="test")
        form = (made.type, frozenset(made.data))
        if form not in _CHECKED:
            validate(record)
            _CHECKED.add(form)
        out.append(Outgoing(record.topic, record.key, record.value, record.headers, timestamp_ms=made.time_ms + delay_ms))
    return out


def publish(settings: Settings, records: Sequence[Outgoing]) -> None:
    """Write the records and wait until the broker has them."""
    failed: list[object] = []
    producer = Producer(kafka.producer(settings))
    for record in records:
        while True:
            try:
                producer.produce(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    partition=-1 if record.partition is None else record.partition,
                    timestamp=record.timestamp_ms or NOW_MS,
                    headers=list(record.headers),
                    on_delivery=lambda error, _: failed.append(error) if error else None,
                )
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(LIMIT_S) == 0
    assert not failed, failed


def wall_ms() -> int:
    """The deployment's clock where it is the wall's."""
    return int(time.time() * 1000)


def wait_for(condition: Callable[[], Any], what: str, *, limit_s: float = LIMIT_S) -> Any:
    """The condition's first true value."""
    until = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < until, f"{what} did not come true within {limit_s:g} s"
        time.sleep(0.02)
    return value


@dataclass
class Running:
    """A gateway that serves."""

    server: Server
    settings: Settings
    port: int
    client: httpx.Client

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The server's event loop."""
        loop = self.server.hub.feed._loop
        assert loop is not None
        return loop

    def get(self, path: str, **params: Any) -> Any:
        """The JSON answer of a request that must succeed."""
        answer = self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, path: str, status: int, **params: Any) -> str:
        """The sentence of a request that must fail."""
        answer = self.client.get(path, params=params)
        return problem(answer, status)

    def wait_events(self, n: int) -> None:
        """Until the gateway has read n events."""
        wait_for(lambda: self.server.hub.events.newest >= n, f"{n} events in the gateway")


def problem(answer: httpx.Response, status: int) -> str:
    """The sentence of an answer that must be a problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    detail: str = body["detail"]
    assert detail
    assert "\n" not in detail
    return detail


@contextmanager
def gateway(settings: Settings, *, ready: bool = True, silent_s: float = 30) -> Iterator[Running]:
    """A gateway in a thread. `ready`: wait until it has caught up."""
    listener = listen(settings, silent_s=silent_s)
    port = listener.getsockname()[1]
    server = Server(settings, FLEET)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_for(lambda: server.started, "the server's start")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT_S) as client:
            if ready:
                wait_for(lambda: client.get("/readyz").status_code == 200, "/readyz 200")
            yield Running(server, settings, port, client)
    finally:
        server.should_exit = True
        thread.join(LIMIT_S)
        assert not thread.is_alive(), "the server must end when it is told to"
