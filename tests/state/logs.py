"""Small random logs of a shard, around every threshold: a fleet of three in a town of squares. And how to run and compare them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.lib.recfunctions import repack_fields
from numpy.typing import NDArray

from fleetpulse.codecs import schema
from fleetpulse.codecs.operations import Operation
from fleetpulse.codecs.schema import Kind, Status
from fleetpulse.state.parameters import Parameters, Rules
from fleetpulse.state.plain import PLAIN
from fleetpulse.state.shard import Shard

START_MS = 1_700_000_040_000 // 60_000 * 60_000
EXAMPLES = 25 if PLAIN else 400
"""Plain Python is slow; it runs for coverage."""


@dataclass(frozen=True)
class Zone:
    name: str
    kind: str
    ring: tuple[tuple[float, float], ...]
    vehicle_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class City:
    code: int
    zones: tuple[Zone, ...]


def square(longitude: float, latitude: float, half_deg: float) -> tuple[tuple[float, float], ...]:
    a, b = half_deg, half_deg * 0.6
    return tuple((longitude + x * a, latitude + y * b) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)))


TOWN = City(
    1,
    (
        Zone("jurisdiction", "jurisdiction", square(13.4, 52.5, 0.1)),
        Zone("service", "service_area", square(13.4, 52.5, 0.05)),
        Zone("annex", "service_area", square(13.46, 52.5, 0.02), ("car",)),
        Zone("park", "no_go", square(13.41, 52.51, 0.005)),
        Zone("square", "no_go", square(13.39, 52.5, 0.002), ("scooter",)),
    ),
)
VILLAGE = City(
    2, (Zone("jurisdiction", "jurisdiction", square(13.7, 52.5, 0.05)), Zone("service", "service_area", square(13.7, 52.5, 0.03)))
)
MODELS = (
    None,
    SimpleNamespace(
        vehicle_type="scooter",
        tyre_pressure_limit_kpa=172.0,
        battery_temperature_limit_c=60.0,
        battery_temperature_clear_c=55.0,
        battery_voltage_limit_v=36.0,
        crash_limit_mps2=60.0,
        swappable=True,
        battery_wh=500.0,
        range_m=50_000.0,
    ),
    None,
    SimpleNamespace(
        vehicle_type="car",
        tyre_pressure_limit_kpa=172.0,
        battery_temperature_limit_c=60.0,
        battery_temperature_clear_c=55.0,
        battery_voltage_limit_v=300.0,
        crash_limit_mps2=80.0,
        swappable=False,
        battery_wh=50_000.0,
        range_m=300_000.0,
    ),
)
PARAMETERS = Parameters(
    rules=Rules(
        offline_s=20,
        offline_longest_s=20,
        online_dwell_s=0,
        missing_s=40,
        evict_s=70,
        silence_jump_s=15,
        voltage_quiet_s=20,
    ),
    models=MODELS,
    cities=(None, TOWN, VILLAGE),
    interval_ms=60_000,
)
NERVOUS = replace(
    PARAMETERS,
    rules=replace(
        PARAMETERS.rules,
        offline_longest_s=30,
        offline_gaps=2,
        offline_disconnected_s=10,
        online_dwell_s=2,
        sensor_dwell_s=10,
        sensor_quiet_s=10,
        clock_slack_s=2,
        clock_learn_s=5,
        stuck_position_m=60,
        teleport_mps=400,
        sensor_jumps=2,
        jump_forget_s=30,
        charge_frozen_pct=0.1,
        charge_rate_pct_per_min=300,
        charge_rest_pct_per_min=60,
    ),
)
"""The same where senses are doubted soon, so that short logs show it."""
PLACES = (
    (525_000_000, 134_000_000),  # in the middle of the town
    (525_000_900, 134_000_000),  # 10 m further north
    (525_010_000, 134_000_000),  # 111 m further north
    (525_100_000, 134_100_000),  # in the park
    (525_130_100, 134_100_000),  # at its edge, outside
    (525_129_900, 134_100_000),  # at its edge, inside
    (525_000_000, 133_900_000),  # on the square
    (525_000_000, 134_700_000),  # in the annex
    (525_000_000, 134_900_000),  # outside of the service area
    (525_000_000, 135_010_000),  # just outside of the jurisdiction
    (525_000_000, 138_000_000),  # far from everything
    (525_000_000, 137_000_000),  # in the village
    (schema.MISSING_E7, 134_000_000),
    (schema.MISSING_E7, schema.MISSING_E7),
)
NAN = float("nan")
VALUES: dict[str, tuple[Any, ...]] = {
    "horizontal_accuracy_m": (3.0, NAN, 60.0, 150.0),
    "speed_mps": (0.0, 1.0, 4.0, NAN),
    "battery_soc_pct": (50.0, 9.0, 10.0, 12.0, 14.9, 15.0, 16.0, 20.0, 90.0, NAN),
    "battery_voltage_v": (40.0, 35.0, 36.5, 37.0, NAN),
    "battery_current_a": (-5.0, 0.0, 2.0, NAN),
    "battery_temperature_c": (25.0, 61.0, 58.0, 55.0, NAN),
    "altitude_m": (30.0, 34.5, NAN),
    "odometer_m": (1000.0, 1010.0, 1025.5, 900.0, 1e6, NAN),
    "tyre_pressure_front_left_kpa": (300.0, 171.0, 175.0, 182.0, NAN),
    "tyre_pressure_rear_right_kpa": (NAN, 300.0, 160.0),
    "accel_peak_x_mps2": (1.0, 59.0, 80.0, NAN),
    "accel_peak_z_mps2": (NAN, 12.0),
    "roll_deg": (0.0, 61.0, -75.0, NAN),
    "fault_bits": (0, 5),
    "model_id": (1, 3, 0, 2, 99),
    "implausible": (0, 0b110),
    "battery_soh_pct": (NAN, 95.0),
    "battery_cycles": (-1, 120),
    "range_m": (NAN, 30_000.0),
    "ambient_temperature_c": (15.0, NAN),
    "accel_rms_mps2": (NAN, 0.5),
    "vibration_band1_rms_mps2": (0.25, NAN),
    "vibration_band4_rms_mps2": (NAN, 2.0),
    "firmware_version": (b"1.2.3", b""),
    "trip_lo": (0, 7, 8),
}
STATUSES = (
    0,
    Status.IN_USE,
    Status.IN_USE | Status.MOVING,
    Status.IN_USE | Status.LOCKED,
    Status.LOCKED,
    Status.LOCKED | Status.MOVING,
    Status.MOVING,
    Status.CHARGING,
    Status.CHARGING | Status.MOVING,
    Status.IN_USE | Status.BACKLOG,
    Status.TIPPED,
    Status.CRASH,
    Status.TAMPER,
    Status.LOCKED | Status.GNSS_FIX | Status.RESERVED,
)
FAR_MS = (2**62, -(2**62))
CLOCKS_MS = (0, 0, 0, -50, -1_000, -1_500, -3_000, -30_000, -63_000, -130_000, 2_000, 299_000, 301_000, 3_600_000, -172_801_000, *FAR_MS)
STEPS_MS = (0, 0, 200, 1_000, 1_000, 3_000, 7_000, 13_000, 31_000, 61_000, 400_000)


CHANGES: tuple[tuple[str, Any], ...] = tuple(
    (name, value) for name, values in (*VALUES.items(), ("status", STATUSES * 3), ("place", PLACES)) for value in values
)
BEGIN = {name: values[0] for name, values in VALUES.items()} | {"status": 0, "place": PLACES[0]}
KINDS = (Kind.FRAME,) * 12 + (Kind.OPERATION, Kind.TICK)


@dataclass(frozen=True)
class Move:
    """One row, as it is drawn."""

    step_ms: int
    kind: Kind
    who: int
    operation: Operation
    clock_ms: int
    boot: int
    seq: int
    changes: tuple[tuple[str, Any], ...]


def moves(steps_ms: Sequence[int], clocks_ms: Sequence[int], most_changes: int) -> st.SearchStrategy[Move]:
    return st.builds(
        Move,
        st.sampled_from(steps_ms),
        st.sampled_from(KINDS),
        st.integers(1, 3),
        st.sampled_from(Operation),
        st.sampled_from(clocks_ms),
        st.integers(1, 2),
        st.integers(0, 5),
        st.lists(st.sampled_from(CHANGES), max_size=most_changes).map(tuple),
    )


def frames_of(moved: Sequence[Move], *, in_order: bool) -> NDArray[Any]:
    """(N,) FRAME rows. A vehicle keeps every value until it changes."""
    frames = schema.empty(len(moved))
    stream_ms = START_MS + 55_000
    habits: dict[int, dict[str, Any]] = {}
    sent: Counter[int] = Counter()
    for i, (row, move) in enumerate(zip(frames, moved, strict=True)):
        stream_ms += move.step_ms
        row["append_ms"] = stream_ms - (5_000 if i % 7 == 3 else 0)
        row["offset"], row["position"], row["partition"], row["kind"] = 100 + i // 2, i % 2, 3, move.kind
        if move.kind == Kind.TICK:
            continue
        row["device_hi"], row["device_lo"] = move.who * 0x0123_4567_89AB_CDEF, move.who
        row["time_ms"] = stream_ms + move.clock_ms
        if move.kind == Kind.OPERATION:
            row["operation"] = move.operation
            continue
        sent[move.who] += 1
        row["boot_id"], row["seq"] = (1, sent[move.who] - 1) if in_order else (move.boot, move.seq)
        if row["seq"] == 0 and move.step_ms % 3000:
            row["previous_last_seq"] = 3
        habit = habits.setdefault(move.who, dict(BEGIN))
        habit.update(move.changes)
        for name, value in habit.items():
            if name == "place":
                row["latitude_e7"], row["longitude_e7"] = value
            else:
                row[name] = value
    return frames


class Log:
    """The rows of a log, with a repr that tells what is in them."""

    def __init__(self, frames: NDArray[Any]) -> None:
        self.frames = frames

    def __repr__(self) -> str:
        usual = schema.empty(1)[0]
        rows = [{n: row[n].item() for n in row.dtype.names if row[n] == row[n] and row[n] != usual[n]} for row in self.frames[:30]]
        return "\n".join(["Log(", *map(str, rows), "..." if len(self.frames) > 30 else "", ")"])


WILD = st.lists(moves(STEPS_MS, CLOCKS_MS, 5), min_size=1, max_size=40).map(lambda m: Log(frames_of(m, in_order=False)))
"""Jumps of time, clocks that are off, duplicates, reboots, values that change all the time."""
CALM = st.lists(moves((1_000, 3_000, 7_000), (0, 0, -500), 1), min_size=1, max_size=60).map(lambda m: Log(frames_of(m, in_order=True)))
"""Vehicles that report in order and change little, so that dwells run through."""


def story(seed: int, *, rows: int = 250) -> NDArray[Any]:
    """A longer log: vehicles that mostly report as they should, and now and then lose, double or delay frames, restart, fall silent."""
    rng = np.random.default_rng(seed)
    frames = schema.empty(rows)
    stream_ms = START_MS + 50_000
    boots: Counter[int] = Counter()
    sent: Counter[int] = Counter()
    habits = {who: dict(BEGIN) for who in range(1, 4)}
    delayed: list[Any] = []
    for i, row in enumerate(frames):
        stream_ms += int(rng.choice((0, 200, 1_000, 2_000, 5_000), p=(0.2, 0.3, 0.3, 0.1, 0.1)))
        if rng.random() < 0.02:
            stream_ms += int(rng.choice((10_000, 14_000, 61_000, 200_000)))
        who = int(rng.choice((1, 2, 3), p=(0.6, 0.37, 0.03)))
        row["kind"] = Kind.FRAME if rng.random() < 0.9 else rng.choice((Kind.OPERATION, Kind.TICK))
        row["device_hi"], row["device_lo"] = (0, 0) if row["kind"] == Kind.TICK else (who * 0x0123_4567_89AB_CDEF, who)
        row["time_ms"] = stream_ms - int(rng.integers(0, 900))
        row["operation"] = int(rng.integers(1, len(Operation) + 1)) if row["kind"] == Kind.OPERATION else 0
        if row["kind"] == Kind.FRAME:
            chance = rng.random()
            if chance < 0.03 and sent[who]:
                row["previous_last_seq"] = sent[who] - 1 if rng.random() < 0.8 else -1
                boots[who] += 1
                sent[who] = 0
            elif chance < 0.042:
                sent[who] += int(rng.integers(1, 4))
            row["boot_id"], row["seq"] = boots[who], sent[who]
            sent[who] += 1
            if rng.random() < 0.08:
                row["time_ms"] = stream_ms + int(rng.choice(CLOCKS_MS))
            for _ in range(int(rng.choice((0, 1, 3), p=(0.7, 0.2, 0.1)))):
                name, value = CHANGES[int(rng.integers(len(CHANGES)))]
                habits[who][name] = value
            for name, value in habits[who].items():
                if name == "place":
                    row["latitude_e7"], row["longitude_e7"] = value
                else:
                    row[name] = value
            if rng.random() < 0.05:
                delayed.append(row.copy())  # and it comes once more, later
            if rng.random() < 0.05 and delayed:
                frames[i] = delayed.pop(int(rng.integers(len(delayed))))
        row["append_ms"], row["offset"], row["position"], row["partition"] = stream_ms, 100 + i // 2, i % 2, 3
    return frames


STORIES = st.integers(0, 2**32 - 1).map(lambda seed: Log(story(seed)))
LOGS = st.one_of(WILD, CALM, STORIES)


@dataclass(frozen=True)
class Result:
    """What a shard reported: facts without `row` (which depends on the cut), windows, boundaries with the facts before each."""

    facts: NDArray[Any]
    windows: NDArray[Any]
    boundaries: list[tuple[int, int]]


def run(shard: Shard, batches: Sequence[NDArray[Any]]) -> Result:
    """Apply the batches in turn."""
    facts: list[NDArray[Any]] = []
    windows: list[NDArray[Any]] = []
    boundaries: list[tuple[int, int]] = []
    for batch in batches:
        row, done = 0, False
        while not done:
            step = shard.apply(batch, row)
            for fact in step.facts:
                assert fact["row"] == -1 or batch[fact["row"]]["offset"] == fact["last_offset"], "a fact names its row"
            facts.append(step.facts.copy())
            windows.append(step.windows.copy())
            if step.boundary_ms:
                boundaries.append((step.boundary_ms, sum(map(len, facts))))
            row, done = step.next_row, step.done
    together = np.concatenate(facts)
    together["row"] = 0
    return Result(together, np.concatenate(windows), boundaries)


def packed(rows: NDArray[Any]) -> bytes:
    """The rows' fields as bytes, without what lies between fields."""
    return repack_fields(rows).tobytes()


def cut(frames: NDArray[Any], at: Sequence[int]) -> list[NDArray[Any]]:
    """The rows in batches that begin at the given places."""
    return np.split(frames, sorted(a % (len(frames) + 1) for a in at))
