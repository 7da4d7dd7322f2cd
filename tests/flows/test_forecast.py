"""Forecasts through the flow detect: windows of two weeks in a broker become maintenance with a date, once, across a restart; figures."""

from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from fleetpulse.alerts import event
from fleetpulse.codecs import tables
from fleetpulse.config.settings import Settings
from fleetpulse.flows import detect, topics
from fleetpulse.flows.metrics import ForecastMetrics
from fleetpulse.models.forecast_score import Board
from tests.flows.test_detect import FLEET, NAMES, emitted, run
from tests.models.slowly import Slowly
from tests.support.topics import write

DAYS = 16
FLEET_OF = Slowly(vehicles=4, days=DAYS, leak_kpa_per_d={0: 12.0}, first_pct=80.0, loss_pct_per_d={1: 0.8}, every_min=30)


def test_windows_become_maintenance_with_a_date_once_across_a_restart(settings: Settings, tmp_path: Path) -> None:
    topics.ensure(settings, limit_s=10)
    for shard in range(4):
        windows = FLEET_OF.windows()
        windows["device_hi"] = shard
        values = [tables.encode(part, NAMES) for part in np.split(windows, range(4 * 48, len(windows), 4 * 48))]
        assert len(values) == DAYS
        write(settings, detect.TOPIC, values, partition=shard)
    run(settings, tmp_path / "store", dict.fromkeys(range(4), 9))
    run(settings, tmp_path / "store", dict.fromkeys(range(4), DAYS))
    told = [e for e in emitted(settings) if e["data"]["rule"] in ("tyre_forecast", "battery_life")]
    assert len({e["id"] for e in told}) == len(told)
    for shard in range(4):
        own = [e["data"] for e in told if e["data"]["evidence"]["kafka"]["partition"] == shard]
        assert [(d["rule"], d["severity"]) for d in own if d["rule"] == "tyre_forecast"] == [
            ("tyre_forecast", "info"),
            ("tyre_forecast", "warning"),
        ]
        assert [(d["component"], d["severity"]) for d in own if d["rule"] == "battery_life"][-1] == ("battery", "critical")
        assert all(d["predicted_date"] > "2025-11-1" for d in own)
    assert {e["type"] for e in told} == {event.TYPE_PREFIX + event.MAINTENANCE_REQUIRED}


def test_settings_reach_the_models(settings: Settings) -> None:
    detecting = settings.detect.model_copy(update={"tyre_horizon_days": 9.0, "battery_end_soh_pct": 65.0})
    parameters = detect.parameters_of(settings.model_copy(update={"detect": detecting}), FLEET)
    assert (parameters.tyre_horizon_d, parameters.battery_end_pct, parameters.tyre_limits_kpa[1]) == (9.0, 65.0, 172.0)


class _Shard:
    """A shard whose forecasts went so."""

    def __init__(self, board: Board, still: dict[str, int]) -> None:
        self.board, self._open = board, still

    @property
    def foresight(self) -> "_Shard":
        return self

    def open(self) -> dict[str, int]:
        return self._open


def test_how_predictions_went_is_exported_as_sums_over_the_shards() -> None:
    boards = [Board({"tyre_forecast.hit": n}, {"tyre_forecast": [n, 0.5 * n, 8.0 * n]}) for n in (2, 3)]
    metrics = ForecastMetrics()
    make = metrics.watching(lambda shard: _Shard(boards[shard], {"tyre_forecast": 1}))
    for shard in (0, 1):
        make(shard)
    registry = CollectorRegistry()
    registry.register(metrics)
    rule = {"rule": "tyre_forecast"}
    assert registry.get_sample_value("fleet_forecasts_open", rule) == 2
    assert registry.get_sample_value("fleet_forecasts_scored_total", {**rule, "outcome": "hit"}) == 5
    assert registry.get_sample_value("fleet_forecast_error_days_sum", rule) == 2.5
    assert registry.get_sample_value("fleet_forecast_error_days_count", rule) == 5
    assert registry.get_sample_value("fleet_forecast_lead_days_sum", rule) == 40.0
