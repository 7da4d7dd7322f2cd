"""A shard's records of one kind, one a device: found, added, dropped, kept as bytes. What a record means, its table says."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class DeviceRows:
    """`rows[:count]` are records of `dtype`, which begins with device_hi and device_lo, in no order that means anything."""

    def __init__(self, dtype: np.dtype[np.void]) -> None:
        self.rows: NDArray[Any]
        self._row: dict[tuple[int, int], int]
        self._take(np.zeros(0, dtype=dtype))

    def find(self, device: tuple[int, int]) -> int | None:
        """Row of a device, if it has one. O(1)."""
        return self._row.get(device)

    def _append(self, device: tuple[int, int]) -> int:
        """A row of zeros for a new device."""
        row = self._row[device] = self.count
        if row == len(self.rows):
            self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
        self.rows[row] = 0
        self.rows[row]["device_hi"], self.rows[row]["device_lo"] = device
        self.count += 1
        return row

    def _keep(self, kept: NDArray[Any]) -> int:
        """Drop all rows but `kept`; how many."""
        dropped = self.count - len(kept)
        if dropped:
            self._take(kept)
        return dropped

    def snapshot(self) -> bytes:
        return self.rows[: self.count].tobytes()

    def restore(self, stored: bytes) -> None:
        self._take(np.frombuffer(stored, dtype=self.rows.dtype))

    def _take(self, rows: NDArray[Any]) -> None:
        self.count = len(rows)
        self.rows = np.zeros(max(64, 2 * len(rows)), dtype=rows.dtype)
        self.rows[: len(rows)] = rows
        self._row = {device: i for i, device in enumerate(zip(rows["device_hi"].tolist(), rows["device_lo"].tolist(), strict=True))}
