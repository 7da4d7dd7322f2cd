"""The models of one cohort (city, vehicle model) of one shard, and their bytes. They learn from this shard's windows alone."""

import pickle
from collections.abc import Callable, Collection
from typing import Any

from fleetpulse.models.anomaly import AnomalyModel
from fleetpulse.models.consumption import RideConsumption, RideSpread, StandbyConsumption
from fleetpulse.models.features import Group
from fleetpulse.models.voltage import VoltageModel

NAMES = ("drain", "powertrain", "vibration")
"""Each stands in the bytes by itself, so that one that cannot be loaded leaves the others as they are."""


class Cohort:
    """River models and small estimators. `touched()` after learning, so that the next snapshot makes new bytes.

    renewed  names of the models that failed or could not be loaded, and have not learned enough since to decide
    """

    ride: RideConsumption
    rides: RideSpread
    standby: StandbyConsumption
    voltage: VoltageModel

    def __init__(self, *, warm_up_windows: int) -> None:
        self._warm_up_windows = warm_up_windows
        self.anomaly: dict[Group, AnomalyModel] = {}
        self.renewed: set[str] = set()
        self._stored: bytes | None = None
        for name in NAMES:
            self._make(name)

    def _make(self, name: str) -> None:
        if name == "drain":
            self.ride, self.rides, self.standby = RideConsumption(), RideSpread(), StandbyConsumption()
        elif name == "powertrain":
            self.voltage = VoltageModel()
            self.anomaly["powertrain"] = AnomalyModel("powertrain", warm_up_windows=self._warm_up_windows)
        else:
            self.anomaly["vibration"] = AnomalyModel("vibration", warm_up_windows=self._warm_up_windows)

    def renew(self, name: str) -> None:
        """Begin a model anew."""
        self._make(name)
        self.renewed.add(name)
        self.touched()

    def decides(self, name: str) -> bool:
        """Whether the model can: it never failed, or has learned enough since."""
        if name in self.renewed:
            learned = self.anomaly["vibration"].count if name == "vibration" else self.anomaly["powertrain"].count
            if (self.ride.count if name == "drain" else learned) < self._warm_up_windows:
                return False
            self.renewed.discard(name)
        return True

    def touched(self) -> None:
        self._stored = None

    def snapshot(self) -> bytes:
        """Pickles, kept until the models learn again. River promises nothing across versions: the owner stores River's beside it."""
        if self._stored is None:
            models: dict[str, Any] = {
                "drain": (self.ride, self.rides, self.standby),
                "powertrain": (self.voltage, self.anomaly["powertrain"]),
                "vibration": self.anomaly["vibration"],
            }
            parts = {name: pickle.dumps(model, protocol=pickle.HIGHEST_PROTOCOL) for name, model in models.items()}
            self._stored = pickle.dumps((parts, sorted(self.renewed)), protocol=pickle.HIGHEST_PROTOCOL)
        return self._stored

    @classmethod
    def restored(
        cls, stored: bytes, *, warm_up_windows: int, other: Collection[str] = (), failed: Callable[[str, Exception], None]
    ) -> "Cohort":
        """`stored` must come out of our own recovery store, whose version of River was checked.

        other   names of models that are of another version: they begin anew
        failed  told of each that begins anew
        """
        cohort = cls(warm_up_windows=warm_up_windows)
        parts, renewed = pickle.loads(stored)  # noqa: S301  # nosec B301
        cohort.renewed = set(renewed)
        for name in NAMES:
            try:
                if name in other:
                    raise ValueError(f"the snapshot holds another version of model {name}")
                cohort._take(name, pickle.loads(parts[name]))  # noqa: S301  # nosec B301
            except Exception as error:  # a model that cannot be loaded begins anew, whatever the reason
                cohort.renew(name)
                failed(name, error)
        return cohort

    def _take(self, name: str, model: Any) -> None:
        if name == "drain":
            self.ride, self.rides, self.standby = model
        elif name == "powertrain":
            self.voltage, self.anomaly["powertrain"] = model
        else:
            self.anomaly["vibration"] = model
