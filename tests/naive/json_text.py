"""The JSON text of bench/json_text.py by obvious Python."""

from typing import Any
from uuid import UUID

from numpy.typing import NDArray

from fleetpulse.bench.json_text import FIELDS
from fleetpulse.bench.workload import DECIMALS


def encode(frames: NDArray[Any]) -> list[bytes]:
    """One JSON object a row, numbers with their fixed digits."""
    out = []
    for frame in frames:
        device = UUID(int=int(frame["device_hi"]) << 64 | int(frame["device_lo"]))
        parts = [f'"device_id":"{device}"']
        for name in FIELDS:
            value = round(float(frame[name]), DECIMALS.get(name, 0)) + 0.0  # no minus zero
            parts.append(f'"{name}":{value:.{DECIMALS.get(name, 0)}f}')
        out.append(("{" + ",".join(parts) + "}").encode())
    return out
