"""The MQTT messages that wait until Kafka has their record, in the order of receipt; then they are acknowledged and answered.

In order, because MQTT 5 (section 4.6) demands it and brokers close the connection otherwise. An answer is a QoS 0 publish: it costs
a third of a QoS 1 one, and when it is lost the agent sends again after 30 s and the flow drops the double.
"""

from collections import deque
from typing import NamedTuple

from fleetpulse.gateway.ingress.metrics import Totals
from fleetpulse.gateway.ingress.mqtt import Link
from fleetpulse.gateway.ingress.record import Record


class _Receipt(NamedTuple):
    """mid: 0 when the message came at QoS 0 and is not acknowledged. answer: a packet, empty for none. record: None when there is none."""

    record: Record | None
    mid: int
    answer: bytes


class Receipts:
    """What the present MQTT connection has given us and not got back."""

    def __init__(self, totals: Totals) -> None:
        self._waiting: deque[_Receipt] = deque()
        self._totals = totals

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, record: Record | None, mid: int, answer: bytes) -> None:
        """A message is taken; `record` holds it, None when nothing of it goes to Kafka."""
        self._waiting.append(_Receipt(record, mid, answer))

    def settle(self, link: Link) -> None:
        """Acknowledge and answer the oldest messages, as far as Kafka has them."""
        waiting = self._waiting
        acknowledged = answered = 0
        while waiting and ((record := waiting[0].record) is None or record.done):
            _, mid, answer = waiting.popleft()
            if mid:
                link.ack(mid)
                acknowledged += 1
            if answer:
                link.answer(answer)
                answered += 1
        self._totals.acknowledged += acknowledged
        self._totals.answered += answered

    def forget(self) -> None:
        """The connection is lost: the broker delivers these messages again, under other identifiers."""
        self._waiting.clear()
