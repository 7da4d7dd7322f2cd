"""Faults of the way between vehicle and broker: out of radio contact, doubled, reordered, and bytes that no vehicle should send.

The simulator makes frames and knows nothing of this; the agent asks here, by the deployment's clock.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleetpulse.vehicle_agent import wire
from fleetpulse.vehicle_agent.faults import BAD_PAYLOADS, Fault
from fleetpulse.vehicle_agent.parcel import Kind, Parcel


class Radio:
    """What befalls the messages of V vehicles.

    offline  (V,) now
    double   (V,) share of parcels sent twice
    hold_s   (V,) > 0: every other parcel is held back this long
    """

    def __init__(self, faults: NDArray[Any], device_ids: list[bytes], *, seed: int) -> None:
        count = len(device_ids)
        self._device_ids = device_ids
        self._seed = seed
        self._faults = faults[np.isin(faults["kind"], (Fault.OFFLINE, Fault.DUPLICATES, Fault.REORDERING))]
        self._bad = faults[np.isin(faults["kind"], BAD_PAYLOADS)]
        self._bad_sent = np.zeros(len(self._bad), dtype=np.int64)
        self._samples = dict.fromkeys(self._bad["vehicle"][self._bad["kind"] == Fault.TRUNCATED].tolist(), b"")
        self.offline = np.zeros(count, dtype=np.bool_)
        self.double = np.zeros(count)
        self.hold_s = np.zeros(count)

    def postpone(self, later_ms: int) -> None:
        """All faults this much later."""
        for faults in (self._faults, self._bad):
            faults["start_ms"] += later_ms
            faults["end_ms"] += later_ms

    def turn(self, now_ms: int) -> list[int]:
        """Bring the arrays to `now_ms`; the vehicles that have radio contact again."""
        now = self._faults[(self._faults["start_ms"] <= now_ms) & (now_ms < self._faults["end_ms"])]
        offline = now["vehicle"][now["kind"] == Fault.OFFLINE]
        back = np.setdiff1d(np.flatnonzero(self.offline), offline)
        self.offline[:] = False
        self.offline[offline] = True
        for values, kind in ((self.double, Fault.DUPLICATES), (self.hold_s, Fault.REORDERING)):
            rows = now[now["kind"] == kind]
            values[:] = 0.0
            values[rows["vehicle"]] = rows["a"]
        return [int(v) for v in back]

    def heal(self) -> list[int]:
        """No more faults; the vehicles that were offline."""
        back = np.flatnonzero(self.offline)
        for values in (self.offline, self.double, self.hold_s):
            values[:] = 0
        return [int(v) for v in back]

    def note(self, parcels: list[Parcel]) -> None:
        """Remember good payloads to be truncated."""
        if self._samples:
            for parcel in parcels:
                if parcel.vehicle in self._samples and parcel.payload is not None:
                    self._samples[parcel.vehicle] = parcel.payload

    def bad_payloads(self, now_ms: int) -> list[Parcel]:
        """Bad input that is due."""
        parcels = []
        active = (self._bad["start_ms"] <= now_ms) & (now_ms < self._bad["end_ms"])
        for k in np.flatnonzero(active):
            row = self._bad[k]
            vehicle, kind = int(row["vehicle"]), Fault(int(row["kind"]))
            due = 1 + int((now_ms - row["start_ms"]) // max(1, int(row["a"] * 1000)))
            sample = self._samples.get(vehicle, b"")
            if kind is Fault.TRUNCATED and len(sample) < 3:
                continue
            while self._bad_sent[k] < due:
                number = int(self._bad_sent[k])
                payload = wire.bad_payload(kind, self._device_ids[vehicle], sample, number, self._seed)
                parcels.append(Parcel(Kind.GARBAGE, vehicle, 0, 0, 0, 0, now_ms, now_ms, payload, self._device_ids[vehicle]))
                self._bad_sent[k] += 1
        return parcels
