"""The JSON Schemas (draft 2020-12) of all events' data, one file a type. Each file stands alone, so a service may take just one."""

from functools import cache
from pathlib import Path
from typing import Any

import orjson

from fleetpulse.alerts.event import TOPICS

TYPES = tuple(TOPICS)
"""Every type that has a schema: `<type>.json` in this folder."""


@cache
def load(type_: str) -> dict[str, Any]:
    """The schema of a type's data; do not change it. Raises KeyError for a type that is not in TYPES."""
    if type_ not in TOPICS:
        raise KeyError(f"an event type must be one of {', '.join(TYPES)}; got {type_}")
    schema: dict[str, Any] = orjson.loads((Path(__file__).parent / f"{type_}.json").read_bytes())
    return schema
