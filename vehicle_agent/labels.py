"""Ground truth: what really was wrong with which vehicle, and when. One JSON object a line; only what the simulator has shown so far."""

from typing import Any
from uuid import UUID

import orjson
from numpy.typing import NDArray

from fleetpulse.vehicle_agent.faults import DIRECTIVES, Fault, parameters


def encode(faults: NDArray[Any], device_ids: list[bytes]) -> bytes:
    """JSON lines {device_id, fault, start_ms, end_ms, parameters} of the FAULT rows that began, by start.

    Times are the true ones of the deployment's clock: from the first to past the last second in which the fault showed, so far.
    """
    rows = [row for row in faults[faults["began_ms"] > 0] if Fault(int(row["kind"])) not in DIRECTIVES]
    rows.sort(key=lambda row: (int(row["began_ms"]), int(row["vehicle"]), int(row["kind"])))
    lines = [
        orjson.dumps(
            {
                "device_id": str(UUID(bytes=device_ids[int(row["vehicle"])])),
                "fault": Fault(int(row["kind"])).name.lower(),
                "start_ms": int(row["began_ms"]),
                "end_ms": int(row["ended_ms"]),
                "parameters": parameters(row),
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for row in rows
    ]
    return b"".join(lines)
