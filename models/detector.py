"""The models of one shard at work: closed windows in the log's order to findings. Every model scores a window, then learns it.

The result depends on the windows' order alone. A window that is not newer than the last one scored of its vehicle is dropped,
so windows that are delivered again change nothing.
"""

from functools import partial
from importlib.metadata import version
from typing import Any

from numpy.typing import NDArray

from fleetpulse.models import features, foresight, slow, store
from fleetpulse.models.cohort import NAMES, Cohort
from fleetpulse.models.findings import Finding
from fleetpulse.models.foresight import Foresight
from fleetpulse.models.inputs import Inputs
from fleetpulse.models.judge import Judge, Moment
from fleetpulse.models.parameters import VERSIONS, DetectParameters
from fleetpulse.models.parts import PartBoard
from fleetpulse.models.vehicles import FORGET_MS, VehicleTable

_DAY_MS = 86_400_000
RIVER = version("river")
_MAGIC, _VERSION = b"DETE", 4


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
        self.board = PartBoard()
        self.inputs = Inputs()
        self._judge = Judge(parameters, self.board)
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
        fresh = []
        for i, end_ms in enumerate(ends):
            self._sweep(end_ms)
            row = self._vehicles.row(devices[i])
            vehicle = self._vehicles.load(row)
            if end_ms <= vehicle.end_ms:
                continue
            cohort = self._cohorts.get(cohorts[i])
            if cohort is None:
                cohort = self._cohorts[cohorts[i]] = Cohort(warm_up_windows=self._parameters.warm_up_windows)
            fresh.append(i)
            cohort.touched()
            found.extend(self._judge.judge(cohorts[i], cohort, vehicle, Moment(extracted, i, windows)))
            self._vehicles.store(row, vehicle)
            found.extend(self._foresee(devices[i], cohorts[i], foresight.Moment(signals, i, windows)))
        self.inputs.take(windows[fresh])
        return found

    def _foresee(self, device: tuple[int, int], key: tuple[int, int], m: foresight.Moment) -> list[Finding]:
        """What the forecasts say; nothing when they fail: then the rules of flow telemetry hold."""
        try:
            return self.foresight.run(device, m)
        except Exception as error:  # whatever a model does, the flow goes on
            self.board.failed("forecasts", key, error)
            return []

    def standing_in(self) -> dict[str, int]:
        """Cohorts in which a fixed rule decides because the model failed or was not loaded, by model."""
        cohorts = list(dict(self._cohorts).values())
        return {name: sum(name in cohort.renewed for cohort in cohorts) for name in NAMES}

    def _sweep(self, end_ms: int) -> None:
        """Once a day of the windows' time, forget the vehicles that were long unseen."""
        if end_ms // _DAY_MS > self._newest_ms // _DAY_MS:
            self._vehicles.forget(end_ms - FORGET_MS)
            self.foresight.forget(end_ms - FORGET_MS)
        self._newest_ms = max(self._newest_ms, end_ms)

    def snapshot(self) -> bytes:
        """Versioned bytes, a copy. The inverse is restore."""
        keys = sorted(self._cohorts)
        header = {
            **{"shard": self.shard, "river": RIVER, "models": VERSIONS, "newest_ms": self._newest_ms, "cohorts": keys},
            **{"board": self.board.stored(), "inputs": self.inputs.stored()},
        }
        parts = [self._vehicles.snapshot(), self.foresight.snapshot(), *(self._cohorts[key].snapshot() for key in keys)]
        return store.pack(_MAGIC, _VERSION, header, parts)

    def restore(self, stored: bytes) -> None:
        """Take over a snapshot of this shard. A model of another version, or that cannot be loaded, begins anew.

        Raises StoredStateError when the snapshot is of another layout, shard, River or version of a forecast.
        """
        header, (vehicles, forecasts, *cohorts) = store.unpack(stored, _MAGIC, _VERSION, flow="detect")
        models = header["models"]
        for name, wanted, got in (
            ("shard", self.shard, header["shard"]),
            ("river", RIVER, header["river"]),
            *((f"model {name}", VERSIONS[name], models.get(name)) for name in VERSIONS if name not in NAMES),
        ):
            if got != wanted:
                raise store.refused(f"of {name} {wanted}", f"{name} {got}", flow="detect")
        other = [name for name in NAMES if models.get(name) != VERSIONS[name]]
        self._newest_ms = header["newest_ms"]
        self.board, self.inputs = PartBoard.of(header["board"]), Inputs.of(header["inputs"])
        self._judge = Judge(self._parameters, self.board)
        self._vehicles.restore(vehicles)
        self.foresight.restore(forecasts)
        warm_up = self._parameters.warm_up_windows
        self._cohorts = {}
        for (city, model), data in zip(header["cohorts"], cohorts, strict=True):
            failed = partial(self._not_loaded, (city, model))
            self._cohorts[city, model] = Cohort.restored(data, warm_up_windows=warm_up, other=other, failed=failed)

    def _not_loaded(self, key: tuple[int, int], name: str, error: Exception) -> None:
        self.board.failed(name, key, error)
