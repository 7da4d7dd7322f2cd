"""Rows of tables.STATE to JSON objects: names for codes, lists for bits, what was never measured left out. Pure."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.alerts.states import CONDITION_NAMES, EVENT_TYPE_NAMES, SENSOR_NAMES, STATE_NAMES
from fleetpulse.codecs import tables
from fleetpulse.codecs.schema import Status
from fleetpulse.gateway.egress.feed_items import uuid_of

_STATUS_NAMES = tuple(bit.name.lower() for bit in Status)
_DIGITS = {"latitude_deg": 7, "longitude_deg": 7}

Column = list[Any]


def _bits(column: NDArray[Any], names: Sequence[str]) -> Column:
    """A list of the names of the bits that are set."""
    sets: dict[int, list[str]] = {}
    for value in set(column.tolist()):
        sets[value] = [names[i] if i < len(names) else f"bit{i}" for i in range(value.bit_length()) if value >> i & 1]
    return [sets[value] for value in column.tolist()]


def _bit_numbers(column: NDArray[Any]) -> Column:
    return [[i for i in range(value.bit_length()) if value >> i & 1] for value in column.tolist()]


def _numbers(column: NDArray[Any], digits: int) -> Column:
    return [None if value != value else value for value in np.round(column.astype(np.float64), digits).tolist()]  # noqa: PLR0124 - NaN


def _names(column: NDArray[Any], names: Sequence[str]) -> Column:
    return [names[code] or None if code < len(names) else None for code in column.tolist()]


def _uuids(hi: NDArray[Any], lo: NDArray[Any]) -> Column:
    return [uuid_of(a, b) if a or b else None for a, b in zip(hi.tolist(), lo.tolist(), strict=True)]


class VehicleJson:
    """Renders rows. `cities` and `models` are the names by code of this deployment."""

    def __init__(self, cities: Sequence[str], models: Sequence[str]) -> None:
        special: dict[str, Callable[[NDArray[Any]], Column]] = {
            "city": lambda column: _names(column, cities),
            "vehicle_model": lambda column: _names(column, models),
            "vehicle_state": lambda column: _names(column, STATE_NAMES),
            "event_type": lambda column: _names(column, EVENT_TYPE_NAMES),
            "status": lambda column: _bits(column, _STATUS_NAMES),
            "alerts": lambda column: _bits(column, CONDITION_NAMES),
            "maintenance": lambda column: _bits(column, CONDITION_NAMES),
            "fault_bits": _bit_numbers,
            "service": lambda column: (column != 0).tolist(),
            "sensors": lambda column: _bits(column, SENSOR_NAMES),
            "firmware_version": lambda column: [value.decode("utf-8", "replace") or None for value in column.tolist()],
        }
        self._columns: list[tuple[str, Callable[[NDArray[Any]], Column]]] = []
        for name in tables.STATE.names or ():
            if name.endswith("_hi"):
                stem = name.removesuffix("_hi")
                self._columns.append((f"{stem}_id", lambda rows, s=stem: _uuids(rows[f"{s}_hi"], rows[f"{s}_lo"])))  # type: ignore[misc]
            elif name in special:
                self._columns.append((name, lambda rows, n=name: special[n](rows[n])))  # type: ignore[misc]
            elif tables.STATE[name].kind == "f":
                self._columns.append((name, lambda rows, n=name: _numbers(rows[n], _DIGITS.get(n, 3))))  # type: ignore[misc]
            elif not name.endswith("_lo"):
                self._columns.append((name, lambda rows, n=name: rows[n].tolist()))  # type: ignore[misc]

    def render(self, rows: NDArray[Any]) -> list[dict[str, Any]]:
        """One object a row; the keys are the columns of tables.STATE with `device_id` and `trip_id` as UUID text."""
        names = [name for name, _ in self._columns]
        columns = [column(rows) for _, column in self._columns]
        return [{n: v for n, v in zip(names, values, strict=True) if v is not None} for values in zip(*columns, strict=True)]
