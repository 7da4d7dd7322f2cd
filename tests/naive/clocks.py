"""A vehicle's clock in obvious Python: a list of lags, looked at period by period. The twin of state/clocks.py."""

from dataclasses import dataclass, field

from fleetpulse.codecs.schema import Status
from fleetpulse.state.parameters import Rules


@dataclass
class VehicleClock:
    """Of the present period, which began at stream time since_ms: lags_ms are record time - event time of the frames that agree; others
    counts those that came later."""

    off_ms: int = 0
    since_ms: int = 0
    lags_ms: list[int] = field(default_factory=list)
    others: int = 0

    def forget(self) -> None:
        self.off_ms = 0
        self.lags_ms.clear()

    def learn(self, lag_ms: int, status: int, stream_ms: int, rules: Rules) -> None:
        if status & Status.BACKLOG:
            return
        slack_ms = rules.clock_slack_s * 1000
        if self.off_ms > 0 and lag_ms < self.off_ms - slack_ms:
            self.forget()
        if not self.lags_ms or lag_ms < min(self.lags_ms) - slack_ms:
            self.lags_ms = [lag_ms]
            self.since_ms = stream_ms
            self.others = 0
            return
        low = min(self.lags_ms)
        if lag_ms > low + slack_ms:
            self.others += 1
        else:
            self.lags_ms.append(lag_ms)
        past_s = (stream_ms // 1000 - self.since_ms // 1000) % 65_536
        if len(self.lags_ms) + self.others >= 8 and past_s >= rules.clock_learn_s:
            low = min(self.lags_ms)
            if len(self.lags_ms) > self.others:
                self.off_ms = low if abs(low) > slack_ms else 0
            self.lags_ms = []
