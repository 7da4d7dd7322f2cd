"""What a shard tells the desk of its models' alerts (alerts/desk.py) of operations and of rules that hold. Data only."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from fleetpulse.alerts.evidence import Trigger

Kind = Literal["holding", "acknowledged", "snoozed", "service", "gone"]


@dataclass(frozen=True)
class Word:
    """One thing that happened to a vehicle.

    kind       holding: `rules` are those that hold now; acknowledged: by `alert_id` or `rule`, with `verdict` false as a false alarm;
               snoozed: `rule` (all that are open without one) until until_ms of stream time; service: `on`; gone: the vehicle is out of the
               fleet
    stream_ms  of the shard; time_ms, cause: as in alerts.event.Event; recorded_ms: Kafka timestamp of the record, 0 for a timer
    """

    kind: Kind
    device: str
    stream_ms: int
    time_ms: int
    cause: str
    recorded_ms: int
    by: str = ""
    alert_id: str = ""
    rule: str = ""
    verdict: str = ""
    until_ms: int = 0
    on: bool = False
    rules: list[str] = field(default_factory=list)


class Relay:
    """The words of a shard until they are taken."""

    def __init__(self) -> None:
        self._words: list[Word] = []

    def say(self, kind: Kind, tip: Trigger, **more: Any) -> None:
        """Append one."""
        recorded_ms = 0 if tip.timer else tip.row.append_ms
        self._words.append(Word(kind, tip.subject, tip.now_ms, tip.time_ms, tip.cause, recorded_ms, **more))

    def take(self) -> list[Word]:
        """Those since the last call."""
        words, self._words = self._words, []
        return words


def plain(word: Word) -> dict[str, Any]:
    """As JSON values. The inverse is Word(**values)."""
    return asdict(word)
