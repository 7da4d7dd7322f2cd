"""The benchmark's score: what its paper says of early, late, missed and false flags."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fleetpulse.bench.quality import nab_score

N = 1000
WINDOWS = [(400, 499), (700, 799)]


def flags(*rows: int) -> NDArray[np.bool_]:
    found = np.zeros(N, dtype=np.bool_)
    found[list(rows)] = True
    return found


def test_the_first_row_of_every_window_is_100_and_silence_0() -> None:
    assert nab_score.standard([nab_score.tally(flags(400, 700), WINDOWS)]) == pytest.approx(100.0)
    assert nab_score.standard([nab_score.tally(flags(), WINDOWS)]) == 0.0


def test_an_early_flag_is_worth_more_than_a_late_one() -> None:
    scores = [nab_score.tally(flags(row), WINDOWS).points for row in (400, 450, 480, 499)]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > nab_score.tally(flags(), WINDOWS).points


def test_only_the_first_flag_of_a_window_counts() -> None:
    assert nab_score.tally(flags(450), WINDOWS) == nab_score.tally(flags(450, 460, 499), WINDOWS)


def test_a_false_flag_costs_0_11_far_from_a_window_and_less_just_after_one() -> None:
    alone = nab_score.tally(flags(), WINDOWS).points
    assert nab_score.tally(flags(300), WINDOWS).points == pytest.approx(alone - 0.11)
    assert alone - 0.11 < nab_score.tally(flags(505), WINDOWS).points < alone
    assert nab_score.tally(flags(999), []).points == pytest.approx(-0.11)


def test_the_first_15_per_cent_do_not_count() -> None:
    assert nab_score.probation(N) == 150
    assert nab_score.probation(20_000) == 750
    assert nab_score.tally(flags(0, 149), WINDOWS) == nab_score.tally(flags(), WINDOWS)
    assert nab_score.tally(flags(150), WINDOWS).false == 1


def test_f1_counts_windows_and_rows_outside() -> None:
    assert nab_score.f1([nab_score.tally(flags(410, 420, 600), WINDOWS)]) == pytest.approx(2 * 0.5 * 0.5 / 1.0)
    assert nab_score.f1([nab_score.tally(flags(), [])]) == 0.0
