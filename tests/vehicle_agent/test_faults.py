"""Every fault shows in the frames of its vehicle while it lasts, and its label says when. The demo's scenario holds everything."""

import math
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest
import shapely
from numpy.typing import NDArray

from fleetpulse.codecs.schema import Status
from fleetpulse.config.fleet import Fleet, load_fleet
from fleetpulse.config.settings import ConfigError
from fleetpulse.vehicle_agent import labels
from fleetpulse.vehicle_agent.faults import DIRECTIVES, Fault, Planned, table
from fleetpulse.vehicle_agent.impacts import Impact
from fleetpulse.vehicle_agent.scenario import named
from fleetpulse.vehicle_agent.simulator import Cadence, Simulator

START_MS = 1_764_054_000_000
FLEET: Fleet = load_fleet()
SEED = 3
VEHICLES = 60
MODELS = Simulator(FLEET, VEHICLES, SEED, START_MS).vehicles["model"]
_OF_THE_QUALITY_HARNESS = (Fault.JUMPING_SOC, Fault.AGEING, Fault.PREHEATING, Fault.KNOCK, Fault.BORDER)
SCOOTER, CAR = (int(np.flatnonzero(FLEET.model_names[code] == np.array(FLEET.model_names)[MODELS])[1]) for code in (1, 3))


def at(second: float) -> int:
    return START_MS + int(second * 1000)


def fault(
    kind: Fault, *values: float, vehicle: int = SCOOTER, begin_s: float = 120, end_s: float = 480, ride: bool = False
) -> NDArray[Any]:
    planned = [Planned(vehicle, kind, at(begin_s), at(end_s), values)]
    if ride:
        planned.append(Planned(vehicle, Fault.RIDE, at(1), at(end_s)))
    return table(planned)


def story(faults: NDArray[Any], *, vehicle: int = SCOOTER, seconds: float = 600) -> tuple[NDArray[Any], NDArray[Any]]:
    """Frames of the vehicle, and the fault table afterwards."""
    simulator = Simulator(FLEET, VEHICLES, SEED, START_MS, faults)
    frames = simulator.step(at(seconds))
    return frames[frames["offset"] == vehicle], simulator.faults


def between(frames: NDArray[Any], begin_s: float, end_s: float) -> NDArray[Any]:
    return frames[(frames["append_ms"] >= at(begin_s)) & (frames["append_ms"] < at(end_s))]


def peak(frames: NDArray[Any]) -> float:
    return float(max(np.abs(frames[f"accel_peak_{axis}_mps2"]).max() for axis in "xyz"))


def test_drain_parked_empties_the_battery_faster() -> None:
    plain, _ = story(table(()))
    frames, _ = story(fault(Fault.DRAIN_PARKED, 120.0))
    lost_wh = (plain["battery_soc_pct"][-1] - frames["battery_soc_pct"][-1]) / 100 * 460
    assert lost_wh == pytest.approx(12.0, abs=2.0)  # 120 W for six minutes
    assert between(frames, 130, 470)["battery_current_a"].max() < -1.5


def test_drain_riding_costs_more_a_kilometre() -> None:
    plain, _ = story(fault(Fault.DRAIN_RIDING, 1.0, ride=True))
    frames, _ = story(fault(Fault.DRAIN_RIDING, 2.2, ride=True))
    assert frames["odometer_m"][-1] == plain["odometer_m"][-1]
    usual, drained = (between(f, 120, 480)["battery_current_a"].mean() for f in (plain, frames))
    assert drained == pytest.approx(2.2 * usual, rel=0.15)


def test_a_dead_cell_lowers_the_voltage_and_deepens_the_sag() -> None:
    frames, _ = story(fault(Fault.DEAD_CELL, 3.0, 0.15, ride=True))
    before, during = between(frames, 20, 120), between(frames, 120, 480)
    assert during["battery_voltage_v"].max() < before["battery_voltage_v"].max() - 9
    assert during["battery_voltage_v"].min() < 36.0 < before["battery_voltage_v"].min()


def test_a_tyre_leaks_at_its_rate_and_is_repaired_at_the_end() -> None:
    frames, _ = story(fault(Fault.TYRE_LEAK, 1.0, 30.0))
    rear, front = frames["tyre_pressure_rear_left_kpa"], frames["tyre_pressure_front_left_kpa"]
    minutes = (frames["append_ms"] - at(120)) / 60_000
    leaking = (minutes > 0) & (minutes < 6)
    slope = np.polyfit(minutes[leaking], rear[leaking], 1)[0]
    assert slope == pytest.approx(-30.0 * 276 / 293, rel=0.05)  # the leak is told at 20 degC, the air is cold
    assert rear[leaking].min() < 172.0
    assert np.ptp(front) < 10
    assert rear[-1] > 200.0


def test_a_worn_bearing_shakes_in_the_upper_bands_and_more_and_more() -> None:
    plain, _ = story(fault(Fault.BEARING_VIBRATION, 0.0, 0.0, ride=True))
    frames, _ = story(fault(Fault.BEARING_VIBRATION, 0.4, 1.0, ride=True))
    riding = plain["speed_mps"] > 3
    ratio = frames["vibration_band4_rms_mps2"][riding] / plain["vibration_band4_rms_mps2"][riding]
    early, late = (
        ratio[(plain["append_ms"][riding] > at(b)) & (plain["append_ms"][riding] < at(e))].mean() for b, e in ((120, 180), (420, 480))
    )
    assert 3.0 < early < late
    assert np.array_equal(frames["vibration_band1_rms_mps2"], plain["vibration_band1_rms_mps2"])


@pytest.mark.parametrize("vehicle", [SCOOTER, CAR])
def test_a_crash_is_told_by_the_detector_within_150_ms_and_stops_the_vehicle(vehicle: int) -> None:
    frames, faults = story(fault(Fault.CRASH, 0.0, vehicle=vehicle, ride=True), vehicle=vehicle)
    began_ms = int(faults["began_ms"][faults["kind"] == Fault.CRASH][0])
    crashed = frames[(frames["status"] & Status.CRASH) != 0]
    assert 0 <= crashed["append_ms"][0] - began_ms <= 150
    assert peak(crashed[:2]) > FLEET.models[int(MODELS[vehicle])].crash_limit_mps2  # type: ignore[union-attr]
    assert between(frames, (began_ms - START_MS) / 1000 + 2, 480)["speed_mps"].max() == 0.0
    assert crashed["append_ms"][-1] < at(481)
    tipped = (crashed["status"] & Status.TIPPED) != 0
    assert tipped.all() if vehicle == SCOOTER else not tipped.any()


def test_no_ride_without_a_fault_ever_tells_a_crash() -> None:
    frames = Simulator(FLEET, 150, 9, START_MS).step(at(5400))
    assert np.abs(frames["accel_peak_z_mps2"]).max() > 30.0  # kerbs were hit
    assert not (frames["status"] & Status.CRASH).any()


def test_a_vehicle_that_tips_over_lies_and_is_no_crash() -> None:
    frames, _ = story(fault(Fault.TIP_OVER, 80.0))
    lying = frames[(frames["status"] & Status.TIPPED) != 0]
    assert at(119) <= lying["append_ms"][0] <= at(121)
    assert abs(lying["roll_deg"]).min() > 70
    assert not (frames["status"] & Status.CRASH).any()
    assert lying["append_ms"][-1] < at(481)


def test_a_stolen_vehicle_moves_while_locked() -> None:
    frames, _ = story(fault(Fault.THEFT, 5.0, 1.0))
    stolen = between(frames, 130, 470)
    assert ((stolen["status"] & Status.LOCKED) != 0).all()
    assert not (stolen["status"] & Status.IN_USE).any()
    assert ((stolen["status"] & Status.TAMPER) != 0).all()
    assert stolen["odometer_m"][-1] - stolen["odometer_m"][0] > 1000
    assert np.diff(stolen["append_ms"]).max() == 200


def test_a_stuck_receiver_repeats_one_position_while_the_vehicle_rides() -> None:
    frames, _ = story(fault(Fault.GPS_STUCK, ride=True))
    stuck = between(frames, 121, 479)
    assert len(np.unique(stuck["latitude_e7"])) == len(np.unique(stuck["longitude_e7"])) == 1
    assert stuck["odometer_m"][-1] - stuck["odometer_m"][0] > 500


def test_a_teleporting_receiver_jumps_and_comes_back() -> None:
    frames, _ = story(fault(Fault.GPS_TELEPORT, 20.0, 5000.0, ride=True))
    north = np.abs(np.diff(frames["latitude_e7"].astype(float))) * 111_320e-7
    jumps = np.flatnonzero(north > 500)
    assert len(jumps) >= 20
    assert (frames["append_ms"][jumps] < at(481)).all()


def test_a_skewed_clock_is_wrong_and_the_order_of_frames_right() -> None:
    frames, _ = story(fault(Fault.CLOCK_SKEW, 90_000.0))
    offset = frames["time_ms"] - frames["append_ms"]
    assert set(offset.tolist()) == {0, 90_000}
    assert ((offset == 90_000) == ((frames["append_ms"] >= at(120)) & (frames["append_ms"] < at(480)))).all()


def test_a_frozen_state_of_charge_stays_while_energy_flows() -> None:
    frames, _ = story(fault(Fault.FROZEN_SOC, ride=True))
    frozen = between(frames, 121, 479)
    assert len(np.unique(frozen["battery_soc_pct"])) == 1
    assert frames["battery_soc_pct"][-1] < frozen["battery_soc_pct"][0] - 0.5


def test_a_battery_overheats() -> None:
    frames, _ = story(fault(Fault.OVER_TEMPERATURE, 0.3))
    assert between(frames, 0, 120)["battery_temperature_c"].max() < 15
    assert between(frames, 400, 480)["battery_temperature_c"].max() > 60


def test_nobody_swaps_the_unattended_battery_and_staff_does_the_others() -> None:
    alone, _ = story(fault(Fault.LOW_BATTERY, 12.0, begin_s=0, end_s=1800), seconds=1800)
    served, _ = story(fault(Fault.LOW_BATTERY, 12.0, begin_s=0, end_s=30), seconds=1800)
    assert alone["battery_soc_pct"].max() <= 12.0
    assert served["battery_soc_pct"].max() > 90.0


def test_a_vehicle_is_sent_into_a_no_go_zone() -> None:
    born = Simulator(FLEET, VEHICLES, SEED, START_MS).vehicles[SCOOTER]
    city = FLEET.cities[int(born["city"])]
    assert city is not None
    zone = next(z for z in city.zones if z.kind == "no_go" and "scooter" in (z.vehicle_types or ("scooter",)))
    middle = np.array(zone.ring[:-1]).mean(axis=0)
    frames, _ = story(fault(Fault.GEOFENCE, *middle, begin_s=20, ride=True))
    inside = shapely.contains_xy(shapely.Polygon(zone.ring), frames["longitude_e7"] / 1e7, frames["latitude_e7"] / 1e7)
    assert not inside[0]
    assert np.ptp(frames["append_ms"][inside]) > 20_000


def test_a_fault_code_and_an_unknown_model_are_sent() -> None:
    frames, _ = story(np.concatenate((fault(Fault.FAULT_CODE, 4.0), fault(Fault.UNKNOWN_MODEL, 99.0))))
    assert set(between(frames, 121, 479)["fault_bits"]) == {4}
    assert set(between(frames, 121, 479)["model_id"]) == {99}
    assert set(between(frames, 481, 600)["model_id"]) == {int(MODELS[SCOOTER])}


@pytest.mark.parametrize(("kind", "offset_ms"), [(Fault.CLOCK_AHEAD, 3_600_000), (Fault.CLOCK_BEHIND, -30 * 86_400_000)])
def test_a_broken_clock_is_hours_or_days_off(kind: Fault, offset_ms: int) -> None:
    frames, _ = story(fault(kind, float(offset_ms)))
    during = between(frames, 121, 479)
    assert set((during["time_ms"] - during["append_ms"]).tolist()) == {offset_ms}


def test_impossible_values_take_turns() -> None:
    frames, _ = story(fault(Fault.IMPOSSIBLE_VALUES, 5.0, ride=True))
    assert (frames["latitude_e7"] == 2_000_000_000).any()
    assert (frames["longitude_e7"] == -2_000_000_000).any()
    assert (frames["battery_soc_pct"] == -5.0).any()
    assert np.array_equal(np.isnan(frames["speed_mps"]), frames["implausible"] != 0)
    assert np.isnan(frames["speed_mps"]).any()


def test_a_reboot_counts_the_boot_up_and_tells_the_last_seq() -> None:
    frames, _ = story(fault(Fault.REBOOT, end_s=140))
    first = frames[frames["boot_id"] == 2][0]
    assert (first["seq"], first["previous_last_seq"]) == (0, frames["seq"][frames["boot_id"] == 1][-1])


@cache
def demo() -> tuple[NDArray[Any], NDArray[Any], list[dict[str, Any]]]:
    """Ten minutes of the demo's scenario: frames, faults, labels."""
    faults = named("mixed").faults(FLEET, 500, 1, START_MS)
    simulator = Simulator(FLEET, 500, 1, START_MS, faults)
    frames = simulator.step(at(600))
    ids = [int(v).to_bytes(16, "big") for v in range(500)]
    return frames, simulator.faults, [orjson.loads(line) for line in labels.encode(simulator.faults, ids).splitlines()]


def test_the_demo_shows_every_fault_within_ten_minutes_and_labels_it() -> None:
    _, _, lines = demo()
    expected = {kind.name.lower() for kind in Fault if kind not in (*DIRECTIVES, *_OF_THE_QUALITY_HARNESS)}
    assert {line["fault"] for line in lines} == expected
    for line in lines:
        assert at(0) <= line["start_ms"] < line["end_ms"]
        assert all(math.isfinite(value) for value in line["parameters"].values())


def test_a_charge_that_jumps_is_not_the_batterys() -> None:
    plain, _ = story(table(()))
    frames, _ = story(fault(Fault.JUMPING_SOC, 30.0, 40.0))
    during = between(frames, 130, 470)
    assert np.abs(np.diff(during["battery_soc_pct"])).max() > 10
    assert abs(frames["battery_soc_pct"][-1] - plain["battery_soc_pct"][-1]) < 0.2


def test_a_battery_ages_by_so_much_a_day() -> None:
    frames, _ = story(fault(Fault.AGEING, 80.0, 100.0), seconds=480)
    assert between(frames, 120, 135)["battery_soh_pct"][0] == pytest.approx(80.0, abs=0.1)
    assert frames["battery_soh_pct"][-1] == pytest.approx(80.0 - 100.0 * 360 / 86_400, abs=0.1)
    assert abs(frames["battery_soc_pct"][-1] - frames["battery_soc_pct"][0]) < 2


def test_preheating_draws_power_before_a_ride() -> None:
    plain, _ = story(table(()), vehicle=CAR)
    frames, _ = story(fault(Fault.PREHEATING, 3000.0, vehicle=CAR), vehicle=CAR)
    current = {f["time_ms"]: f["battery_current_a"] for f in plain[(plain["status"] & Status.IN_USE) == 0]}
    more = [current[f["time_ms"]] - f["battery_current_a"] for f in between(frames, 130, 470) if f["time_ms"] in current]
    assert more
    assert np.median(more) == pytest.approx(3000 / 400, rel=0.2)


@pytest.mark.parametrize(("impact", "ride"), [(Impact.KERB, True), (Impact.STAIRS, True), (Impact.DROP, False)])
def test_a_knock_shows_in_the_peaks_and_is_no_crash(impact: Impact, ride: bool) -> None:
    frames, faults = story(fault(Fault.KNOCK, float(impact), 90.0, ride=ride))
    assert peak(between(frames, 120, 480)) > 60
    assert not (frames["status"] & Status.CRASH).any()
    began = faults[faults["kind"] == Fault.KNOCK]
    assert (began["ended_ms"] - began["began_ms"] <= 1000).all()


def test_a_rare_reporter_tells_the_peak_with_its_next_frame() -> None:
    knock = fault(Fault.KNOCK, float(Impact.DROP), 90.0)
    simulator = Simulator(FLEET, VEHICLES, SEED, START_MS, knock, cadence=Cadence(5000, 60, 60))
    frames = simulator.step(at(600))
    own = frames[frames["offset"] == SCOOTER]
    assert len(own) < 30
    assert peak(between(own, 120, 200)) > 60


def test_a_vehicle_at_a_border_stands_there_and_wanders() -> None:
    place = Planned(SCOOTER, Fault.BORDER, at(0), at(600), (13.4, 52.52, 10.0))
    frames, _ = story(table([place, Planned(SCOOTER, Fault.STAND, at(0), at(600))]))
    north = (frames["latitude_e7"] / 1e7 - 52.52) * 111_320
    assert 3 < north.std() < 40
    assert abs(np.median(north)) < 30
    assert not (frames["status"] & Status.IN_USE).any()


def test_labels_say_nothing_of_a_fault_that_did_not_happen() -> None:
    _, faults = story(fault(Fault.CRASH, 0.0, begin_s=500, end_s=510), seconds=600)  # the vehicle was not riding
    assert labels.encode(faults, [b"\0" * 16] * VEHICLES) == b""


def test_the_demo_has_trips_swaps_and_low_batteries() -> None:
    frames, _, _ = demo()
    own = frames[np.argsort(frames["offset"], kind="stable")]
    same = own["offset"][1:] == own["offset"][:-1]
    use = (own["status"] & Status.IN_USE) != 0
    assert (use[1:] & ~use[:-1] & same).sum() >= 20
    assert (~use[1:] & use[:-1] & same).sum() >= 20
    assert ((np.diff(own["battery_soc_pct"]) > 50) & same).sum() >= 1
    assert len(np.unique(frames["offset"][(frames["battery_soc_pct"] < 15) & (frames["battery_soc_pct"] >= 0)])) >= 5


@pytest.mark.parametrize("vehicles", [1, 3, 12, 40])
def test_a_small_fleet_gets_what_it_can(vehicles: int) -> None:
    faults = named("mixed").faults(FLEET, vehicles, 2, START_MS, hours=1)
    assert faults["vehicle"].max() < vehicles
    assert len(Simulator(FLEET, vehicles, 2, START_MS, faults).step(at(30)))


def test_each_vehicle_has_at_most_one_fault_a_round() -> None:
    faults = named("mixed").faults(FLEET, 500, 1, START_MS, hours=0.5)
    faults = faults[~np.isin(faults["kind"], DIRECTIVES)]
    assert Counter(faults["vehicle"].tolist()).most_common(1)[0][1] == 1


def test_an_unknown_scenario_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="calm, faults, mixed; got 'chaos'"):
        named("chaos")


def test_a_fault_without_its_values_is_refused() -> None:
    with pytest.raises(ValueError, match="rate_kpa_per_min"):
        table([Planned(0, Fault.TYRE_LEAK, 0, 1, (1.0,))])
