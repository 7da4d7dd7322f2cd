"""What a shard tells the desk of its models' alerts, in `fleet.features` among the windows: a JSON record for each second in which it has
something to say. Arrow, which windows are in, never begins with a brace.
"""

import orjson

from fleetpulse.alerts.event import Outgoing
from fleetpulse.alerts.relay import Word, plain

TABLE = "words"


def record(shard: int, second: int, words: list[Word]) -> Outgoing:
    """The words of a second of stream time as a record. The inverse is parse."""
    value = orjson.dumps({"table": TABLE, "shard": shard, "second": second, "words": [plain(word) for word in words]})
    return Outgoing("fleet.features", str(shard).encode(), value, partition=shard)


def parse(value: bytes) -> tuple[int, list[Word]] | None:
    """(second, words); None when it is another table. Raises ValueError, KeyError, TypeError when it is broken."""
    if not value.startswith(b"{"):
        return None
    told = orjson.loads(value)
    if told["table"] != TABLE:
        raise ValueError(f"the table must be {TABLE}; got {told['table']}")
    return int(told["second"]), [Word(**values) for values in told["words"]]
