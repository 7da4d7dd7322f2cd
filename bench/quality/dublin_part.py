"""Real scooter trips (Dublin) through the whole flow: are they seen as trips, within seconds, and not as abnormal drain?

The files hold position, speed, altitude and charge of ten trips, 1-94 s apart. A frame is made of each row, nothing else is measured.
Twenty vehicles ride all ten trips each day for three days, in the order of falling charge, with an hour of standing (and charging, where
the next trip begins with more) between them, so that the models have seen enough of these rides to judge them.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from numpy.typing import NDArray

from fleetpulse.alerts import event
from fleetpulse.bench import deployment
from fleetpulse.bench.apache_kafka import ApacheKafka
from fleetpulse.bench.brokers import broker
from fleetpulse.bench.options import Options
from fleetpulse.bench.quality import frame_file, own_telemetry, play, table_file
from fleetpulse.bench.quality.series_part import DATA, data
from fleetpulse.bench.report import Report
from fleetpulse.codecs.schema import Status, empty

VEHICLES, DAYS = 20, 3
WITHIN_S = 30.0
BATTERY_WH = 446.0
"""What the publisher's energy per km and its shares of charge come to."""
START_MS = 1_700_460_000_000
"""A Monday in November 2023, 6 o'clock UTC."""
_DAY_MS, _HOUR_MS, _MINUTE_MS = 86_400_000, 3_600_000, 60_000
_SCOOTER = 1
_LOCK_MS = 2_000
_STANDS = int(Status.LOCKED | Status.GNSS_FIX)
_USED = int(Status.IN_USE | Status.GNSS_FIX)
_MOVES = int(Status.MOVING)
_CHARGES = int(Status.CHARGING)
_MOVING_MPS = 0.3


@dataclass(frozen=True)
class Trip:
    """One file: ms since its first row, positions, m/s, m, %; and the distance that the summary gives."""

    name: str
    at_ms: NDArray[np.int64]
    latitude_deg: NDArray[np.float64]
    longitude_deg: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    altitude_m: NDArray[np.float64]
    soc_pct: NDArray[np.float64]
    distance_m: float


@dataclass(frozen=True)
class Ride:
    """A trip as a vehicle rode it."""

    device: str
    trip: Trip
    start_ms: int

    @property
    def end_ms(self) -> int:
        return self.start_ms + int(self.trip.at_ms[-1])


def load(folder: Path) -> list[Trip]:
    """The ten trips by falling charge. Raises ConfigError."""
    summary = table_file.read(folder / "summary.csv", ())
    numbers, metres = summary.numbers(summary.find("trip_id") or 0), summary.numbers(summary.names.index("distance (km)"))
    trips = []
    for number, km in zip(numbers, metres, strict=True):
        table = table_file.read(folder / f"trip_{number:.0f}.csv", ())
        columns = {name: np.array(table.numbers(table.names.index(name))) for name in ("Latitude", "Longitude", "Speed", "Altitude", "SoC")}
        at_ms = np.round(np.array(table.times_ms(0))).astype(np.int64)
        order = np.argsort(at_ms, kind="stable")
        place = columns["Latitude"][order], columns["Longitude"][order]
        rest = columns["Speed"][order] / 3.6, columns["Altitude"][order], columns["SoC"][order]
        trips.append(Trip(f"{number:.0f}", at_ms[order] - at_ms[order][0], *place, *rest, 1000.0 * km))
    return sorted(trips, key=lambda trip: -float(trip.soc_pct[0]))


def run(options: Options, report: Report) -> None:
    """Part `dublin`."""
    folder = data("dublin_scooters")
    if not (folder / "summary.csv").exists():
        report.skipped["quality.dublin"] = f"no data in {folder} (set {DATA})"
        return
    trips = load(folder)
    vehicles = max(2, round(VEHICLES * min(1.0, options.scale)))
    rides, rows, ids = _history(trips, vehicles)
    scratch = options.scratch / "quality-dublin"
    with ExitStack() as stack:
        kafka = stack.enter_context(broker(scratch / "kafka", report))
        settings = deployment.settings(kafka.address, scratch, partitions=play.PARTITIONS)
        deployment.create_topics(settings, append_time=isinstance(kafka, ApacheKafka))
        frame_file.write(kafka.address, rows, ids, partitions=play.PARTITIONS)
        play.flows(kafka.address, scratch, say=options.say)
        events = own_telemetry.read_events(kafka.address)
    _judge(rides, events, options, report)


def _history(trips: list[Trip], vehicles: int) -> tuple[list[Ride], NDArray[Any], list[bytes]]:
    rides, parts = [], []
    for v in range(vehicles):
        device = uuid5(NAMESPACE_URL, f"fleetpulse:dublin:{v}")
        now_ms, before = START_MS + v * 7 * _MINUTE_MS, trips[0]
        own = []
        for day in range(DAYS):
            for number, trip in enumerate(trips):
                begin_ms = START_MS + day * _DAY_MS + v * 7 * _MINUTE_MS + _HOUR_MS if number == 0 else now_ms + _HOUR_MS
                own.append(_stand(before, trip, now_ms, begin_ms))
                now_ms = begin_ms
                rides.append(Ride(str(device), trip, now_ms))
                own.append(_ridden(trip, now_ms, rides[-1]))
                now_ms += int(trip.at_ms[-1]) + _LOCK_MS
                before = trip
        own.append(_stand(before, before, now_ms, START_MS + DAYS * _DAY_MS))
        rows = np.concatenate(own)
        rows["device_hi"], rows["device_lo"] = device.int >> 64, device.int & (1 << 64) - 1
        rows["seq"], rows["boot_id"], rows["model_id"], rows["offset"] = np.arange(len(rows)), 1, _SCOOTER, v
        parts.append(rows)
    rows = np.concatenate(parts)
    ids = [uuid5(NAMESPACE_URL, f"fleetpulse:dublin:{v}").bytes for v in range(vehicles)]
    return rides, rows[np.argsort(rows["append_ms"], kind="stable")], ids


def _ridden(trip: Trip, start_ms: int, ride: Ride) -> NDArray[Any]:
    rows = empty(len(trip.at_ms))
    rows["time_ms"] = rows["append_ms"] = start_ms + trip.at_ms
    rows["latitude_e7"], rows["longitude_e7"] = np.round(trip.latitude_deg * 1e7), np.round(trip.longitude_deg * 1e7)
    rows["speed_mps"], rows["altitude_m"], rows["battery_soc_pct"] = trip.speed_mps, trip.altitude_m, trip.soc_pct
    rows["status"] = _USED | np.where(trip.speed_mps > _MOVING_MPS, _MOVES, 0)
    name = uuid5(NAMESPACE_URL, f"{ride.device}:{start_ms}").int
    rows["trip_hi"], rows["trip_lo"] = name >> 64, name & (1 << 64) - 1
    return rows


def _stand(before: Trip, after: Trip, begin_ms: int, end_ms: int) -> NDArray[Any]:
    """A frame a minute where the trip before ended, then where the next begins: staff took it there."""
    at_ms = np.arange(begin_ms, end_ms, _MINUTE_MS)
    rows = empty(len(at_ms))
    rows["time_ms"] = rows["append_ms"] = at_ms
    rows["latitude_e7"], rows["longitude_e7"] = round(before.latitude_deg[-1] * 1e7), round(before.longitude_deg[-1] * 1e7)
    rows["speed_mps"], rows["status"] = 0.0, _STANDS
    begin, end = float(before.soc_pct[-1]), float(after.soc_pct[0])
    soc = np.linspace(begin, end, len(at_ms)) if after is not before else np.full(len(at_ms), begin)
    rows["battery_soc_pct"] = np.round(soc)
    if end > begin and after is not before:
        rows["status"] |= _CHARGES
    return rows


def _judge(rides: list[Ride], events: list[dict[str, Any]], options: Options, report: Report) -> None:
    by_device: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for each in events:
        body = each["data"]
        if "device_id" in body:
            by_device.setdefault(body["device_id"], []).append((str(each["type"]).removeprefix(event.TYPE_PREFIX), body))
    begins, ends, energies, distances, drains, missed = [], [], [], [], 0, 0
    for ride in rides:
        own = by_device.get(ride.device, [])
        started = [b["started_ms"] for kind, b in own if kind == event.TRIP_STARTED and abs(b["started_ms"] - ride.start_ms) < _HOUR_MS / 2]
        ended = [b for kind, b in own if kind == event.TRIP_ENDED and abs(b["started_ms"] - ride.start_ms) < _HOUR_MS / 2]
        if len(started) != 1 or len(ended) != 1:
            missed += 1
            continue
        begins.append(abs(started[0] - ride.start_ms) / 1000)
        ends.append(abs(ended[0]["ended_ms"] - ride.end_ms) / 1000)
        spent = (ride.trip.soc_pct[0] - ride.trip.soc_pct[-1]) / 100 * BATTERY_WH
        km = ended[0]["distance_m"] / 1000
        distances.append(1000 * km / ride.trip.distance_m - 1)
        energies.append(spent / km)
    raised = (event.ALERT_RAISED, event.MAINTENANCE_REQUIRED)
    spans = {device: [(r.start_ms, r.end_ms) for r in rides if r.device == device] for device in {r.device for r in rides}}
    other = 0
    for device, own in by_device.items():
        for kind, body in own:
            if kind not in raised:
                continue
            at_ms = body.get("raised_ms") or body.get("required_ms") or 0
            riding = any(a <= at_ms <= b + 2 * _MINUTE_MS for a, b in spans.get(device, []))
            drains += body.get("rule") == "battery_drain" and riding
            other += body.get("rule") != "battery_drain" or not riding
            if kind == event.ALERT_RAISED:
                options.say(f"{'riding' if riding else 'standing'}: {body['rule']}: {body['reason']} {body['evidence'].get('values')}")
    report.add("quality.dublin.trips", "1", [float(len(rides))])
    report.add("quality.dublin.trips_missed", "1", [float(missed)])
    report.add("quality.dublin.drain_alarms_riding", "1", [float(drains)])
    report.add("quality.dublin.other_alarms", "1", [float(other)])
    report.checks["quality.dublin has no drain alarm while riding"] = drains == 0
    if begins:
        report.add("quality.dublin.start_error_s", "s", [max(begins)])
        report.add("quality.dublin.end_error_s", "s", [max(ends)])
        report.add("quality.dublin.energy_wh_per_km", "Wh/km", energies)
        report.add("quality.dublin.distance_error", "1", distances)
    report.checks[f"quality.dublin begins and ends every trip within {WITHIN_S:g} s"] = (
        missed == 0 and bool(begins) and max(begins) <= WITHIN_S and max(ends) <= WITHIN_S
    )
