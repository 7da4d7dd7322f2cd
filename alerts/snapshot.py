"""The life cycle's books as versioned bytes and back. Nothing is decided here.

Layout, little-endian: magic, version, shard, vehicles, facts, JSON bytes; the JSON of the books; VEHICLE rows; the FACT rows that
open alerts speak of, in the order of the alerts.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from fleetpulse.alerts.alert import Phase
from fleetpulse.alerts.mutes import Mutes
from fleetpulse.alerts.rules import RULES
from fleetpulse.alerts.vehicles import VEHICLE
from fleetpulse.codecs.errors import RefusedError
from fleetpulse.state.facts import FACT

_HEADER = struct.Struct("<4sHHQQQ")
_MAGIC, VERSION = b"LIFE", 3
_BEFORE = 2
"""The version that is read too: it knew open alerts alone."""


class SnapshotError(RefusedError):
    """The snapshot is none of this version and shard."""


@dataclass(frozen=True)
class Books:
    """What a snapshot holds.

    vehicles  (V,) VEHICLE
    facts     (A,) FACT
    rest      plain JSON values
    """

    vehicles: NDArray[Any]
    facts: NDArray[Any]
    rest: dict[str, Any]


def encode(books: Books, *, shard: int) -> bytes:
    """Bytes of the books, a copy. The inverse is decode."""
    rest = orjson.dumps(books.rest)
    header = _HEADER.pack(_MAGIC, VERSION, shard, len(books.vehicles), len(books.facts), len(rest))
    return b"".join((header, rest, books.vehicles.tobytes(), books.facts.tobytes()))


def decode(snapshot: bytes, *, shard: int) -> Books:
    """The books of a snapshot. Raises SnapshotError for another version or shard, or a wrong length."""
    if len(snapshot) < _HEADER.size:
        raise SnapshotError(f"a snapshot of the life cycle must have at least {_HEADER.size} bytes; got {len(snapshot)}")
    magic, version, of_shard, vehicles, facts, rest = _HEADER.unpack_from(snapshot)
    if magic != _MAGIC or version not in (_BEFORE, VERSION):
        raise SnapshotError(f"a snapshot of the life cycle must be {_MAGIC!r} version {VERSION}; got {magic!r} version {version}")
    if of_shard != shard:
        raise SnapshotError(f"a snapshot of the life cycle must be of shard {shard}; got one of shard {of_shard}")
    ends = _HEADER.size + np.cumsum([rest, vehicles * VEHICLE.itemsize, facts * FACT.itemsize])
    if ends[2] != len(snapshot):
        raise SnapshotError(f"a snapshot of the life cycle must have {ends[2]} bytes, as its header says; got {len(snapshot)}")
    books = orjson.loads(snapshot[_HEADER.size : ends[0]])
    return Books(
        vehicles=np.frombuffer(snapshot[ends[0] : ends[1]], dtype=VEHICLE).copy(),
        facts=np.frombuffer(snapshot[ends[1] : ends[2]], dtype=FACT),
        rest=books if version == VERSION else _upgraded(books),
    )


def _upgraded(books: dict[str, Any]) -> dict[str, Any]:
    """The books of the version before in the form of this one."""
    latched = {rule.alert for rule in RULES.values() if rule.latched}
    alerts = []
    for values in books["alerts"]:
        kept = {name: value for name, value in values.items() if name != "deadline_ms"}
        alerts.append({**kept, "phase": Phase.OPEN, "escalate_ms": values["deadline_ms"], "latched": values["rule"] in latched})
    return {**books, "alerts": alerts, "mutes": Mutes().state()}
