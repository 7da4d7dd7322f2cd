"""The sequence audit by sets: all that was seen, all that is known to have been sent. The twin of state/audit.py without its bounds."""

from collections import defaultdict


class SetAuditor:
    """One vehicle. Known to be sent, by boot: 0 to the highest seq seen, or announced by frame 0 of the boot after."""

    def __init__(self) -> None:
        self.seen: set[tuple[int, int]] = set()
        self.last: dict[int, int] = defaultdict(lambda: -1)

    def check(self, boot: int, seq: int, previous_last: int) -> bool:
        """Enter a frame; True when it was there before."""
        if (boot, seq) in self.seen:
            return True
        self.seen.add((boot, seq))
        self.last[boot] = max(self.last[boot], seq)
        if seq == 0 and previous_last >= 0 and boot > 0:
            self.last[boot - 1] = max(self.last[boot - 1], previous_last)
        return False

    @property
    def missing(self) -> list[tuple[int, int]]:
        """Known to be sent and not seen, sorted."""
        return [(boot, seq) for boot in sorted(self.last) for seq in range(self.last[boot] + 1) if (boot, seq) not in self.seen]
