"""Which vehicle goes where: the nearest spare ones to the cells that lack some, the neediest cell first. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h3.api.basic_int as h3
import numpy as np
from numpy.typing import NDArray

EARTH_M = 6_371_008.8


@dataclass(frozen=True)
class Lack:
    """A cell that wants `count` more vehicles of a group; `forecast` decides between equal ones."""

    cell: int
    group: int
    count: int
    forecast: float


@dataclass(frozen=True)
class Move:
    """Candidate row `row` to the centre of `cell`."""

    row: int
    cell: int
    distance_m: float


def plan(
    lacks: list[Lack],
    candidates: NDArray[Any],
    groups: NDArray[np.int64],
    spare: Mapping[tuple[int, int], int],
    eligible: NDArray[np.bool_],
    *,
    max_move_m: float,
) -> list[Move]:
    """Moves in the order in which they were chosen; each vehicle at most once, and no cell gives more than it can spare.

    candidates  (N,) tables.CANDIDATE sorted by (cell, device id)
    groups      (N,) group of each
    spare       (cell, group) -> how many vehicles it can give
    eligible    (N,) whether it may be moved at all

    In rounds: in each, every lacking cell takes the nearest vehicle left, so that one large lack does not starve the others.
    Greedy, so not the least sum of distances, but a dispatcher can follow it and it is the same on every machine. O(L * N) distances
    in array operations.
    """
    left = dict(spare)
    cells = candidates["cell"].tolist()
    waiting = {lack: iter(_nearest(lack, candidates, groups, eligible, max_move_m=max_move_m)) for lack in sorted(lacks, key=_need)}
    wanted = {lack: lack.count for lack in waiting}
    taken: set[int] = set()
    moves: list[Move] = []
    while waiting:
        for lack, near in list(waiting.items()):
            move = next((m for m in near if m.row not in taken and left.get((cells[m.row], lack.group), 0) > 0), None)
            if move is not None:
                moves.append(move)
                taken.add(move.row)
                left[cells[move.row], lack.group] -= 1
                wanted[lack] -= 1
            if move is None or not wanted[lack]:
                del waiting[lack]
    return moves


def _need(lack: Lack) -> tuple[int, float, int, int]:
    return (-lack.count, -lack.forecast, lack.cell, lack.group)


def _nearest(
    lack: Lack,
    candidates: NDArray[Any],
    groups: NDArray[np.int64],
    eligible: NDArray[np.bool_],
    *,
    max_move_m: float,
) -> list[Move]:
    """Moves that would do, nearest first; equal distances by device id."""
    latitude, longitude = h3.cell_to_latlng(lack.cell)
    rows = np.flatnonzero(eligible & (groups == lack.group) & (candidates["cell"] != lack.cell))
    metres = distances_m(candidates["latitude_deg"][rows], candidates["longitude_deg"][rows], latitude, longitude)
    near = metres <= max_move_m
    rows, metres = rows[near], np.round(metres[near], 1)
    order = np.lexsort((candidates["device_lo"][rows], candidates["device_hi"][rows], metres))
    return [Move(row, lack.cell, metre) for row, metre in zip(rows[order].tolist(), metres[order].tolist(), strict=True)]


def distances_m(latitudes: NDArray[np.float64], longitudes: NDArray[np.float64], latitude: float, longitude: float) -> NDArray[np.float64]:
    """(N,) great-circle distances to a point (haversine); degrees in, metres out. Agrees with h3.great_circle_distance."""
    a, b = np.radians(latitudes), np.radians(latitude)
    half = np.sin((a - b) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin(np.radians(longitudes - longitude) / 2) ** 2
    out: NDArray[np.float64] = 2 * EARTH_M * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return out
