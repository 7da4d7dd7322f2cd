"""The models of one shard at work: closed windows in the log's order to findings. Every model scores a window, then learns it.

The result depends on the windows' order alone. A window that is not newer than the last one scored of its vehicle is dropped,
so windows that are delivered again change nothing.
"""

from importlib.metadata import version
from typing import Any

from numpy.typing import NDArray

from fleetpulse.models import features, foresight, slow, store
from fleetpulse.models.cohort import Cohort
from fleetpulse.models.findings import Finding
from fleetpulse.models.foresight import Foresight
from fleetpulse.models.judge import Judge, Moment
from fleetpulse.models.parameters import VERSIONS, DetectParameters
from fleetpulse.models.vehicles import FORGET_MS, VehicleTable

_DAY_MS = 86_400_000
RIVER = version("river")
_MAGIC, _VERSION = b"DETE", 3


class Detector:
    """All cohorts and vehicles of a shard. Not thread-safe.

    20-100 us a window, most of it River (bench: see docs); parked windows cost about a tenth of riding ones.
    """

    def __init__(self, shard: int, parameters: DetectParameters) -> None:
        self.shard = shard
        self._parameters = parameters
        self._cohorts: dict[tuple[int, int], Cohort] = {}
        self._vehicles = VehicleTable()
        self._newest_ms = 0
        self._judge = Judge(parameters)
        self.foresight = Foresight(parameters)

    @property
    def vehicles(self) -> int:
        return self._vehicles.count

    def run(self, windows: NDArray[Any]) -> list[Finding]:
        """(N,) tables.WINDOW rows of this shard, in the log's order; what they lead to, in that order."""
        found: list[Finding] = []
        extracted, signals = features.extract(windows), slow.extract(windows)
        devices = list(zip(windows["device_hi"].tolist(), windows["device_lo"].tolist(), strict=True))
        cohorts = list(zip(windows["city"].tolist(), windows["vehicle_model"].tolist(), strict=True))
        ends = windows["window_end_ms"].tolist()
        for i, end_ms in enumerate(ends):
            self._sweep(end_ms)
            row = self._vehicles.row(devices[i])
            vehicle = self._vehicles.load(row)
            if end_ms <= vehicle.end_ms:
                continue
            cohort = self._cohorts.get(cohorts[i])
            if cohort is None:
                cohort = self._cohorts[cohorts[i]] = Cohort(warm_up_windows=self._parameters.warm_up_windows)
            cohort.touched()
            found.extend(self._judge.judge(cohort, vehicle, Moment(extracted, i, windows)))
            self._vehicles.store(row, vehicle)
            found.extend(self.foresight.run(devices[i], foresight.Moment(signals, i, windows)))
        return found

    def _sweep(self, end_ms: int) -> None:
        """Once a day of the windows' time, forget the vehicles that were long unseen."""
        if end_ms // _DAY_MS > self._newest_ms // _DAY_MS:
            self._vehicles.forget(end_ms - FORGET_MS)
            self.foresight.forget(end_ms - FORGET_MS)
        self._newest_ms = max(self._newest_ms, end_ms)

    def snapshot(self) -> bytes:
        """Versioned bytes, a copy. The inverse is restore."""
        keys = sorted(self._cohorts)
        header = {"shard": self.shard, "river": RIVER, "models": VERSIONS, "newest_ms": self._newest_ms, "cohorts": keys}
        parts = [self._vehicles.snapshot(), self.foresight.snapshot(), *(self._cohorts[key].snapshot() for key in keys)]
        return store.pack(_MAGIC, _VERSION, header, parts)

    def restore(self, stored: bytes) -> None:
        """Take over a snapshot of this shard. Raises StoredStateError when it is of another layout, River or model version."""
        header, (vehicles, forecasts, *cohorts) = store.unpack(stored, _MAGIC, _VERSION, flow="detect")
        for name, wanted in (("shard", self.shard), ("river", RIVER), ("models", VERSIONS)):
            if header[name] != wanted:
                raise store.refused(f"of {name} {wanted}", f"{name} {header[name]}", flow="detect")
        self._newest_ms = header["newest_ms"]
        self._vehicles.restore(vehicles)
        self.foresight.restore(forecasts)
        self._cohorts = {(c, m): Cohort.restored(data) for (c, m), data in zip(header["cohorts"], cohorts, strict=True)}
