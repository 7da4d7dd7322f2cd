"""Ticks come where nothing was written for the interval, never past what is held, never twice before Kafka has the first."""

import pytest

from fleetpulse.config.settings import Settings
from fleetpulse.gateway.ingress.record import Kind, Record
from fleetpulse.gateway.ingress.ticks import Ticks, interval_s


def _nothing(partition: int) -> bool:
    return False


def _written(ticks: Ticks, due: list[Record], now_s: float) -> list[int]:
    """What a bridge does with due ticks, and Kafka's acknowledgement."""
    for tick in due:
        assert (tick.kind, tick.size, tick.key) == (Kind.TICK, 0, None)
        assert tick.partition is not None
        ticks.written(tick.partition, now_s)
        tick.done = True
    return [tick.partition for tick in due if tick.partition is not None]


def test_only_partitions_without_a_record_for_the_interval_are_due() -> None:
    ticks = Ticks(3, 1.0, 100.0)
    assert not list(ticks.due(100.9, _nothing))
    ticks.written(1, 100.9)
    assert _written(ticks, list(ticks.due(101.0, _nothing)), 101.0) == [0, 2]
    assert not list(ticks.due(101.5, _nothing))
    assert _written(ticks, list(ticks.due(101.9, _nothing)), 101.9) == [1]


def test_no_tick_overtakes_held_payloads() -> None:
    ticks = Ticks(2, 1.0, 0.0)
    assert _written(ticks, list(ticks.due(1.0, lambda partition: partition == 0)), 1.0) == [1]
    assert _written(ticks, list(ticks.due(1.2, _nothing)), 1.2) == [0]


def test_at_most_one_tick_a_partition_is_under_way() -> None:
    ticks = Ticks(1, 1.0, 0.0)
    (first,) = ticks.due(1.0, _nothing)
    ticks.written(0, 1.0)
    assert not [tick for second in range(2, 100) for tick in ticks.due(float(second), _nothing)]
    first.done = True
    assert len(list(ticks.due(100.0, _nothing))) == 1


@pytest.mark.parametrize(("speed", "wanted_s"), [(1, 1.0), (10, 0.1), (1000, 0.05)])
def test_the_interval_is_of_the_deployments_clock_with_a_floor_on_the_wall(speed: float, wanted_s: float) -> None:
    clock = {"speed": speed, "start_ms": 0, "wall_start_ms": 0}
    assert interval_s(Settings.model_validate({"clock": clock, "bridge": {"tick_ms": 1000}})) == wanted_s
