"""The loss objective: which share of what was sent is missing by sequence numbers, of one vehicle or of all. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def share(*, received: int, duplicate: int, missing: int) -> float:
    """missing / (received - duplicate + missing): the denominator is what was sent, as far as frames tell. 0 before the first."""
    sent = received - duplicate + missing
    return missing / sent if sent > 0 else 0.0


def objective(*, received: int, duplicate: int, missing: int, limit: float) -> dict[str, Any]:
    """The share, its limit, and whether it is kept (below the limit, or nothing is missing), as answers.Objective."""
    found = share(received=received, duplicate=duplicate, missing=missing)
    return {"missing_share": found, "limit": limit, "met": found < limit or not missing}


def audit(row: Any, *, limit: float) -> dict[str, Any]:
    """The sequence audit of a STATE row, as answers.Audit without the device id."""
    counts = {name: int(row[name]) for name in ("received", "duplicate", "late", "quarantined", "missing")}
    told = objective(received=counts["received"], duplicate=counts["duplicate"], missing=counts["missing"], limit=limit)
    return {**counts, "boot_id": int(row["boot_id"]), "seq": int(row["seq"]), "objective": told}


def worst(rows: NDArray[Any], most: int) -> NDArray[Any]:
    """At most `most` of the STATE rows: the most missing first, equals by device id."""
    chosen: NDArray[Any] = rows[np.lexsort((rows["device_lo"], rows["device_hi"], -rows["missing"].astype(np.int64)))[:most]]
    return chosen
