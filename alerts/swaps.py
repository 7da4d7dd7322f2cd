"""Whose battery is swapped first: half by how empty it is, half by the demand where the vehicle stands. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BELOW_PCT = 20.0
"""Charge below which a battery is worth a visit."""


@dataclass(frozen=True)
class Swap:
    """Candidate row `row`, which stands in `cell`; rank from 1 over the whole city, urgency 0-1."""

    rank: int
    row: int
    cell: int
    urgency: float


def rank(candidates: NDArray[Any], wanted: NDArray[np.bool_], demand: Mapping[int, float]) -> list[Swap]:
    """Most urgent first; equal ones in the order of the candidates.

    candidates  (N,) tables.CANDIDATE
    wanted      (N,) whether the battery can be swapped and the vehicle is not on a list already
    demand      cell -> trips expected in the next interval
    """
    urgent = []
    for row in np.flatnonzero(wanted & (candidates["battery_soc_pct"] < BELOW_PCT)).tolist():
        cell = int(candidates["cell"][row])
        here = demand.get(cell, 0.0)
        emptiness = 1 - float(candidates["battery_soc_pct"][row]) / BELOW_PCT
        urgent.append((round((emptiness + here / (here + 1)) / 2, 6), row, cell))
    urgent.sort(key=lambda u: (-u[0], u[1]))
    return [Swap(place, row, cell, urgency) for place, (urgency, row, cell) in enumerate(urgent, 1)]
