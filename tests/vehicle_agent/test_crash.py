"""The detector finds a crash within 100 ms of the blow and nothing else; it equals its naive twin however the samples are cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetpulse.vehicle_agent.crash import FULL_SCALE_MPS2, RATE_HZ, Detector
from fleetpulse.vehicle_agent.impacts import Impact, trace
from tests.naive import crash as naive

BEFORE_S = 1.0
LIMITS = (60.0, 80.0)
SEEDS = range(50)


def found(kind: Impact, size: float, limit: float, seed: int) -> int:
    """When the detector reports, in ms after the blow; -1: never."""
    n = Detector(limit).feed(trace(kind, size, seed=seed, before_s=BEFORE_S))
    return -1 if n < 0 else round(n * 1000 / RATE_HZ - BEFORE_S * 1000)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("lost_mps", [5.0, 6.0, 8.0, 12.0])
def test_a_crash_is_found_within_100_ms_of_the_blow(lost_mps: float, limit: float) -> None:
    assert all(0 <= found(Impact.CRASH, lost_mps, limit, seed) <= 100 for seed in SEEDS)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(
    ("kind", "peak"),
    [
        (Impact.RIDE, 0.0),
        (Impact.KERB, 40.0),
        (Impact.KERB, 110.0),
        (Impact.STAIRS, 40.0),
        (Impact.STAIRS, 90.0),
        (Impact.DROP, 60.0),
        (Impact.DROP, 160.0),
        (Impact.TIP, 34.0),
        (Impact.TIP, 80.0),
        (Impact.BROKEN_SENSOR, 0.0),
    ],
)
def test_kerbs_stairs_drops_falls_and_broken_sensors_are_no_crash(kind: Impact, peak: float, limit: float) -> None:
    assert [found(kind, peak, limit, seed) for seed in SEEDS] == [-1] * len(SEEDS)


def test_spikes_of_a_loose_contact_are_no_crash() -> None:
    samples = trace(Impact.RIDE, 0.0, seed=3, after_s=10.0)
    samples[60::7, 0] = FULL_SCALE_MPS2
    samples[63::11, 1] = -FULL_SCALE_MPS2
    assert Detector(60.0).feed(samples) == -1


def test_a_crash_is_found_although_one_axis_is_broken() -> None:
    samples = trace(Impact.CRASH, 10.0, seed=5, before_s=BEFORE_S)
    samples[10:, 1] = FULL_SCALE_MPS2
    n = Detector(60.0).feed(samples)
    assert 0 <= n * 1000 / RATE_HZ - BEFORE_S * 1000 <= 100


def test_a_crash_is_reported_once() -> None:
    samples = trace(Impact.CRASH, 8.0, seed=1)
    detector = Detector(60.0)
    first = detector.feed(samples)
    assert first >= 0
    assert detector.feed(samples[first + 1 :]) == -1


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(list(Impact)),
    size=st.floats(0.0, 150.0),
    seed=st.integers(0, 2**64 - 1),
    limit=st.floats(10.0, 100.0),
    cuts=st.lists(st.integers(0, 150), max_size=4),
    spikes=st.lists(st.tuples(st.integers(0, 149), st.integers(0, 2), st.floats(-250.0, 250.0)), max_size=8),
)
def test_equals_the_naive_detector_at_any_cut(
    kind: Impact, size: float, seed: int, limit: float, cuts: list[int], spikes: list[tuple[int, int, float]]
) -> None:
    samples = trace(kind, size, seed=seed)
    for n, axis, value in spikes:
        samples[n, axis] = value
    expected = naive.first_crash([(float(x), float(y), float(z)) for x, y, z in samples], limit)
    detector = Detector(limit)
    edges = [0, *sorted(cuts), len(samples)]
    got = -1
    for begin, end in pairwise(edges):
        n = detector.feed(samples[begin:end])
        if n >= 0:
            got = begin + n
            break
    assert got == expected


def test_no_samples_are_no_crash() -> None:
    assert Detector(60.0).feed(np.zeros((0, 3))) == -1
