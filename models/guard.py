"""Keeps suspicious windows out of what a model learns, as long as they are few; when they are many, the cohort has changed."""

from dataclasses import dataclass

MANY = 0.2
"""Share of suspicious windows above which the cohort itself is drifting: everything is learned, no vehicle is blamed, and what was
counted against one fades."""
FADE = 1 / 200
"""Weight of one window in the share."""


@dataclass(slots=True)
class Guard:
    """The running share of suspicious windows of a cohort."""

    share: float = 0.0

    @property
    def drifting(self) -> bool:
        return self.share > MANY

    def admits(self, *, suspicious: bool) -> bool:
        """Whether to learn this window; counts it. Call once a window."""
        self.share += FADE * (suspicious - self.share)
        return not suspicious or self.drifting
