"""Frames to payloads: a batch per vehicle and flush, at once when `status` changes; alerts alone. Pure; vectorised over vehicles.

Frames wait here in memory until their vehicle's flush is due; then they go to the store and are the store's.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.codecs import encode
from fleetpulse.codecs.schema import Status, empty
from fleetpulse.vehicle_agent import wire
from fleetpulse.vehicle_agent.parcel import Kind, Parcel

MAX_FRAMES = 500
"""Most in one payload, when much was held up."""
_ALERT_BITS = int(Status.CRASH | Status.TAMPER)


class Batcher:
    """Holds the frames of V vehicles until their flush is due.

    device_ids  of the vehicles, 16 bytes each
    json        (V,) vehicles that send JSON, one frame a message
    """

    def __init__(self, device_ids: list[bytes], *, flush_ms: int, json: NDArray[np.bool_]) -> None:
        self._device_ids = device_ids
        self._flush_ms = flush_ms
        self._json = json
        self._held = empty(0)
        self._status = np.full(len(device_ids), -1, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._held)

    def take(self, frames: NDArray[Any], now_ms: int, *, everything: bool = False) -> list[Parcel]:
        """Add new frames (in time order, as the simulator gives them); the payloads that are due, in order per vehicle.

        everything  also what is not due
        """
        rows = np.concatenate((self._held, frames)) if len(self._held) else frames
        if not len(rows):
            return []
        rows = rows[np.argsort(rows["offset"], kind="stable")]
        vehicles = rows["offset"]
        starts = np.flatnonzero(np.diff(vehicles, prepend=-1))
        group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(rows)))
        status = rows["status"].astype(np.int64)
        before = np.roll(status, 1)
        before[starts] = self._status[vehicles[starts]]
        changed = status != before
        due = now_ms - rows["append_ms"][starts] >= self._flush_ms
        due |= self._json[vehicles[starts]]
        due |= np.bitwise_or.reduceat(changed, starts)
        if everything:
            due[:] = True
        chosen = due[group]
        self._held = rows[~chosen]
        if not chosen.any():
            return []
        out = rows[chosen]
        alert = (status & ~np.maximum(before, 0) & _ALERT_BITS) != 0
        parcels = self._pack(out, alert[chosen])
        last = np.flatnonzero(np.diff(out["offset"], append=-1))
        self._status[out["offset"][last]] = out["status"][last]
        return parcels

    def _pack(self, rows: NDArray[Any], alert: NDArray[np.bool_]) -> list[Parcel]:
        """Cut rows (sorted by vehicle, then time) into payloads and encode them."""
        vehicles, boots = rows["offset"], rows["boot_id"]
        first = np.diff(vehicles, prepend=-1) != 0
        alone = alert | self._json[vehicles] | (rows["implausible"] != 0)
        place = np.arange(len(rows)) - np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))
        cut = first | alone | np.roll(alone, 1) | (boots != np.roll(boots, 1)) | (place % MAX_FRAMES == 0)
        cut[0] = True
        begins = np.flatnonzero(cut)
        ends = np.append(begins[1:], len(rows)).astype(np.int64)
        payload, payload_ends = encode.encode_many(rows, ends)
        data, at = payload.tobytes(), 0
        parcels = []
        columns = zip(
            vehicles[begins].tolist(),
            boots[begins].tolist(),
            rows["seq"][begins].tolist(),
            rows["seq"][ends - 1].tolist(),
            rows["append_ms"][begins].tolist(),
            rows["append_ms"][ends - 1].tolist(),
            alert[begins].tolist(),
            begins.tolist(),
            payload_ends.tolist(),
            strict=True,
        )
        for vehicle, boot, first_seq, last_seq, oldest_ms, newest_ms, is_alert, row, end in columns:
            content = data[at:end]
            at = end
            kind = Kind.ALERT if is_alert else Kind.BATCH
            if self._json[vehicle]:
                kind = Kind.ALERT if is_alert else Kind.JSON
                content = encode.encode_json(rows[row])
            elif rows["implausible"][row]:
                content = wire.with_nan_speed(content)
            frames = last_seq - first_seq + 1
            parcels.append(
                Parcel(kind, vehicle, frames, boot, first_seq, last_seq, oldest_ms, newest_ms, content, self._device_ids[vehicle])
            )
        return parcels
