"""The deployment's clock: bridge, gateway, sinks and simulator read it; codecs, state and alerts never do."""

import time

from fleetpulse.config.settings import ClockSettings


class Clock:
    """Milliseconds since 1970 of the deployment; runs `speed` times as fast as the wall from a start in the past."""

    def __init__(self, settings: ClockSettings) -> None:
        self.speed = settings.speed
        self._start_ms = settings.start_ms
        self._wall_start_ms = settings.wall_start_ms

    def now_ms(self) -> int:
        wall_ms = time.time() * 1000
        if self._start_ms is None or self._wall_start_ms is None:
            return int(wall_ms)
        return int(self._start_ms + (wall_ms - self._wall_start_ms) * self.speed)

    def wall_s(self, duration_s: float) -> float:
        """How long `duration_s` of the deployment lasts on the wall."""
        return duration_s / self.speed
