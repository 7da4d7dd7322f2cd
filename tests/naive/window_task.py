"""The kernel of bench/window_task.py by obvious Python: dictionaries of open windows, closed as soon as they are due."""

from typing import Any

from numpy.typing import NDArray

from fleetpulse.bench.task import WINDOW_MS
from fleetpulse.bench.window_task import GRACE_MS

Closed = tuple[int, int, int, int, float, float]
"""device_hi, device_lo, start, frames, mean speed, minimum charge."""


class Windows:
    """One partition's vehicles."""

    def __init__(self) -> None:
        self.newest_ms = 0
        self.open: dict[tuple[int, int, int], list[tuple[float, float]]] = {}

    def apply(self, frames: NDArray[Any]) -> list[Closed]:
        closed: list[Closed] = []
        for frame in frames:
            time_ms = int(frame["time_ms"])
            self.newest_ms = max(self.newest_ms, time_ms)
            for key in sorted(self.open):
                if key[2] + WINDOW_MS + GRACE_MS <= self.newest_ms:
                    values = self.open.pop(key)
                    mean = sum(speed for speed, _ in values) / len(values)
                    closed.append((*key, len(values), mean, min(soc for _, soc in values)))
            start_ms = time_ms // WINDOW_MS * WINDOW_MS
            if start_ms + WINDOW_MS + GRACE_MS > self.newest_ms:
                key = int(frame["device_hi"]), int(frame["device_lo"]), start_ms
                self.open.setdefault(key, []).append((float(frame["speed_mps"]), float(frame["battery_soc_pct"])))
        return closed
