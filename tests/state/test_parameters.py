"""Parameters as kernels read them, and how they come from settings."""

from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Rules as Settings
from fleetpulse.state.facts import Condition
from fleetpulse.state.parameters import Parameters, Rules
from tests.state.logs import MODELS, PARAMETERS


def test_rules_take_what_the_settings_have_under_their_names() -> None:
    settings = Settings.model_validate({"low_battery_pct": 17, "offline_s": 90.5})
    rules = Rules.of(settings)
    assert (rules.low_battery_pct, rules.offline_s, rules.quiet_s) == (17, 90.5, Rules().quiet_s)


def test_the_settings_have_no_rule_that_the_kernel_does_not_know_and_no_other_default() -> None:
    defaults = Settings.model_validate({}).model_dump()
    for name in ("escalate_s", "offline_group_s", "outage_vehicles", "outage_together_s"):  # of alerts
        del defaults[name]
    assert defaults == {name: getattr(Rules(), name) for name in defaults}


def test_seconds_become_milliseconds_and_dwells_stand_by_condition() -> None:
    record = Parameters(rules=Rules(tyre_dwell_s=1.5, quiet_s=7), window_ms=10_000).record[0]
    assert (record["tyre_dwell_ms"], record["window_ms"], record["low_battery_pct"]) == (1500, 10_000, 15)
    assert record["raise_ms"][Condition.TYRE_PRESSURE] == 1500
    assert record["clear_ms"][Condition.TAMPER] == 7000
    assert record["raise_ms"][Condition.CRASH] == record["clear_ms"][Condition.LOW_BATTERY] == 0


def test_models_stand_by_their_code() -> None:
    assert PARAMETERS.vehicle_types == ("car", "scooter")
    assert PARAMETERS.known_models.tolist() == [False, True, False, True]
    models = PARAMETERS.models_record
    assert models["type_bit"].tolist() == [0, 2, 0, 1]
    assert models["voltage_limit_v"].tolist() == [0, 36, 0, 300]
    assert Parameters().models_record["crash_limit_mps2"].tolist() == [60]


def test_the_configured_fleet_is_taken_as_it_is() -> None:
    fleet = load_fleet()
    parameters = Parameters(models=fleet.models, cities=fleet.cities)
    assert parameters.known_models.sum() == sum(m is not None for m in fleet.models)
    assert len(parameters.geofence.names) == sum(len(city.zones) for city in fleet.cities if city)


def test_a_type_that_no_model_has_takes_no_bit() -> None:
    zones = PARAMETERS.geofence.zones
    assert zones["types"].tolist()[2] == 1  # the annex, for cars
    assert MODELS[1] is not None
