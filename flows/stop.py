"""How a dataflow process is asked to end: SIGTERM or SIGINT sets a flag on which every source partition ends its stream."""

import signal
import time
from types import FrameType


class Stop:
    """A flag with the time it was set. Sources end on it, so that a last snapshot is taken; sinks give up waiting by it."""

    def __init__(self) -> None:
        self.since: float | None = None

    def __bool__(self) -> bool:
        return self.since is not None

    def set(self) -> None:
        if self.since is None:
            self.since = time.monotonic()

    def age_s(self) -> float:
        """Seconds since the flag was set, 0 when it is not."""
        return 0.0 if self.since is None else time.monotonic() - self.since

    def on_signals(self) -> None:
        """Install the handlers in this process; SIGINT too, since a KeyboardInterrupt inside Bytewax is abrupt."""

        def handle(number: int, frame: FrameType | None) -> None:
            self.set()

        signal.signal(signal.SIGTERM, handle)
        signal.signal(signal.SIGINT, handle)
