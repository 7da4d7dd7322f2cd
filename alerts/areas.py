"""Which vehicles belong together by place and time: H3 cells and their neighbours. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import h3.api.basic_int as h3


def cell_of(common: dict[str, Any], resolution: int) -> int:
    """The cell of an event's common keys; 0 when they have no position."""
    if "latitude_deg" not in common:
        return 0
    cell: int = h3.latlng_to_cell(common["latitude_deg"], common["longitude_deg"], resolution)
    return cell


def around(cells: Iterable[int], rings: int = 1) -> set[int]:
    """The cells and so many rings of neighbours."""
    return {near for cell in cells for near in h3.grid_disk(cell, rings)}


def fullest(cells: Sequence[int]) -> int:
    """The cell that occurs most often; the lowest of equals."""
    counts: dict[int, int] = {}
    for cell in cells:
        counts[cell] = counts.get(cell, 0) + 1
    return min(counts, key=lambda cell: (-counts[cell], cell))


def groups(points: Sequence[tuple[int, int, str]], *, together_ms: int) -> list[list[str]]:
    """Names of points that hang together: two do when their cells are equal or neighbours and their times at most together_ms apart.

    points  (cell, time in ms, name), sorted

    Each group sorted, groups by their first name. O(n log n).
    """
    by_cell: dict[int, list[int]] = {}
    for i, (cell, _, _) in enumerate(points):
        by_cell.setdefault(cell, []).append(i)
    parent = list(range(len(points)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def bind(i: int, k: int) -> None:
        if abs(points[i][1] - points[k][1]) <= together_ms:
            parent[root(i)] = root(k)

    for cell, members in by_cell.items():
        for i, k in pairwise(members):
            bind(i, k)
        for near in sorted(h3.grid_disk(cell, 1)):
            others = by_cell.get(near, []) if near > cell else []
            times = [points[k][1] for k in others]
            for i in members:  # the nearest in time on both sides are enough: who is further away hangs on them or is too far
                at = bisect_left(times, points[i][1])
                for k in others[max(0, at - 1) : at + 1]:
                    bind(i, k)
    found: dict[int, list[str]] = {}
    for i, (_, _, name) in enumerate(points):
        found.setdefault(root(i), []).append(name)
    return sorted(sorted(names) for names in found.values())
