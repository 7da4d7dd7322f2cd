"""Moves: nearest first, no vehicle twice, no cell emptied, neediest cells first; distances as h3 has them."""

import h3.api.basic_int as h3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fleetpulse.alerts import moves
from fleetpulse.alerts.moves import Lack, Move
from fleetpulse.codecs.tables import CANDIDATE

HOME = h3.latlng_to_cell(48.85, 2.35, 8)
CELLS = sorted(h3.grid_disk(HOME, 2))


def candidates(cells: list[int], offsets: list[float]) -> NDArray[np.void]:
    rows = np.zeros(len(cells), dtype=CANDIDATE)
    for i, (cell, offset) in enumerate(zip(cells, offsets, strict=True)):
        latitude, longitude = h3.cell_to_latlng(cell)
        rows[i] = (1, i + 1, cell, 1, 0, 1, latitude + offset, longitude, 80, 0)
    return rows[np.lexsort((rows["device_lo"], rows["device_hi"], rows["cell"]))]


def plan(lacks: list[Lack], rows: NDArray[np.void], spare: dict[tuple[int, int], int], max_move_m: float = 2000) -> list[Move]:
    groups = np.zeros(len(rows), dtype=np.int64)
    return moves.plan(lacks, rows, groups, spare, np.ones(len(rows), dtype=np.bool_), max_move_m=max_move_m)


@given(st.floats(-80, 80), st.floats(-179, 179), st.floats(-80, 80), st.floats(-179, 179))
def test_distances_are_those_of_h3(a: float, b: float, c: float, d: float) -> None:
    ours = moves.distances_m(np.array([a]), np.array([b]), c, d)[0]
    assert ours == pytest.approx(h3.great_circle_distance((a, b), (c, d), unit="m"), rel=1e-5, abs=0.5)


@given(
    st.lists(st.tuples(st.sampled_from(CELLS), st.floats(-0.003, 0.003)), max_size=25),
    st.dictionaries(st.sampled_from(CELLS), st.integers(1, 4), max_size=5),
    st.dictionaries(st.sampled_from(CELLS), st.integers(1, 3), max_size=8),
)
def test_what_no_plan_may_do(placed: list[tuple[int, float]], wanted: dict[int, int], spares: dict[int, int]) -> None:
    rows = candidates([cell for cell, _ in placed], [offset for _, offset in placed])
    spare = {(cell, 0): n for cell, n in spares.items() if cell not in wanted}
    chosen = plan([Lack(cell, 0, n, 1.0) for cell, n in wanted.items()], rows, spare)
    assert len({move.row for move in chosen}) == len(chosen)
    for cell, n in wanted.items():
        assert sum(move.cell == cell for move in chosen) <= n
    for (cell, _), n in spare.items():
        assert sum(int(rows["cell"][move.row]) == cell for move in chosen) <= n
    assert all((int(rows["cell"][move.row]), 0) in spare for move in chosen)
    assert all(move.distance_m <= 2000 for move in chosen)
    left = [cell for cell, n in wanted.items() if sum(move.cell == cell for move in chosen) < n]
    taken = {move.row for move in chosen}
    for cell in left:  # a cell that still lacks has nobody left in reach who could come
        for row in set(range(len(rows))) - taken:
            giver = (int(rows["cell"][row]), 0)
            given_away = sum(int(rows["cell"][move.row]) == giver[0] for move in chosen)
            spent = given_away >= spare.get(giver, 0)
            metres = moves.distances_m(rows["latitude_deg"][[row]], rows["longitude_deg"][[row]], *h3.cell_to_latlng(cell))[0]
            assert spent or metres > 1999.9


def test_every_lacking_cell_gets_one_before_any_gets_two() -> None:
    ring = h3.grid_ring(HOME, 1)
    rows = candidates([HOME] * 3, [0.0, 0.0001, 0.0002])
    chosen = plan([Lack(ring[0], 0, 3, 3.0), Lack(ring[1], 0, 1, 1.0)], rows, {(HOME, 0): 3})
    assert [move.cell for move in chosen] == [ring[0], ring[1], ring[0]]


def test_of_equally_far_vehicles_the_lower_device_id_goes() -> None:
    ring = h3.grid_ring(HOME, 1)
    rows = candidates([HOME, HOME], [0.001, 0.001])
    (move,) = plan([Lack(ring[0], 0, 1, 1.0)], rows, {(HOME, 0): 2})
    assert rows["device_lo"][move.row] == 1
