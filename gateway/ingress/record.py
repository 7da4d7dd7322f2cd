"""A Kafka record on its way: what it holds, and how many MQTT messages wait for it. Data only; made by bridge and packer."""

from collections.abc import Sequence
from enum import IntEnum

from fleetpulse.codecs.batch import DeadLetter

Headers = tuple[tuple[str, bytes], ...]


class Kind(IntEnum):
    """Why a record is written; the lower-case name is the metric's label."""

    PACKED = 0
    JSON = 1
    ALERT = 2
    OPERATION = 3
    TICK = 4
    DEAD_LETTER = 5


class Record:
    """One Kafka record. Identity is the object: two records with equal content are two.

    partition  None: any (dead letters)
    parts      its value, to be joined
    size       bytes of the value
    messages   MQTT messages that it holds
    opened_s   monotonic clock when its first part came
    done       Kafka has acknowledged it
    """

    __slots__ = ("done", "headers", "key", "kind", "messages", "opened_s", "partition", "parts", "size")

    def __init__(
        self,
        kind: Kind,
        partition: int | None,
        parts: Sequence[bytes] = (),
        *,
        key: bytes | None = None,
        headers: Headers = (),
        messages: int = 0,
        opened_s: float = 0.0,
    ) -> None:
        self.kind = kind
        self.partition = partition
        self.parts = list(parts)
        self.size = sum(map(len, self.parts))
        self.key = key
        self.headers = headers
        self.messages = messages
        self.opened_s = opened_s
        self.done = False


def of_dead_letter(letter: DeadLetter) -> Record:
    return Record(Kind.DEAD_LETTER, None, (letter.payload,), headers=letter.headers(), messages=1)
