"""Plans of attack: seeded, with exactly as many kills as asked for, and nobody left out."""

from itertools import pairwise

import pytest

from fleetpulse.bench.chaos.plan import ROUTES, TARGETS, WORKERS, Kind, Moment, Strike, plan


def kills(seed: int, count: int) -> list[Strike]:
    return [strike for burst in plan(count, seed) for strike in burst if strike.kind is Kind.KILL]


@pytest.mark.parametrize("count", [1, 5, 20, 200])
def test_a_plan_has_as_many_kills_as_asked_for(count: int) -> None:
    assert [len(kills(seed, count)) for seed in range(20)] == [count] * 20


def test_a_seed_replays_its_plan() -> None:
    assert plan(50, 7) == plan(50, 7)
    assert plan(50, 7) != plan(50, 8)


def test_two_hundred_kills_meet_every_target_at_every_moment_and_every_disturbance() -> None:
    struck = [strike for burst in plan(200, 3) for strike in burst]
    assert {strike.target for strike in struck if strike.kind is Kind.KILL} == set(TARGETS)
    assert {strike.kind for strike in struck} == set(Kind)
    assert {strike.moment for strike in struck} == set(Moment)
    assert {strike.target for strike in struck if strike.kind is Kind.CUT} == set(ROUTES)


def test_twenty_kills_leave_hardly_anybody_out() -> None:
    assert all(len({strike.target for strike in kills(seed, 20)}) >= len(TARGETS) - 1 for seed in range(50))


def test_a_kill_at_the_start_follows_a_kill_of_the_same() -> None:
    for burst in plan(200, 5):
        for before, strike in pairwise(burst):
            if strike.moment is Moment.STARTING:
                assert before.target == strike.target
            if strike.moment is Moment.WRITING:
                assert strike.target in WORKERS
