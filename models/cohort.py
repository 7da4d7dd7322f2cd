"""The models of one cohort (city, vehicle model) of one shard, and their bytes. They learn from this shard's windows alone."""

import pickle

from fleetpulse.models.anomaly import AnomalyModel
from fleetpulse.models.consumption import RideConsumption, RideSpread, StandbyConsumption
from fleetpulse.models.features import Group
from fleetpulse.models.voltage import VoltageModel


class Cohort:
    """River models and small estimators. `touched()` after learning, so that the next snapshot makes new bytes."""

    def __init__(self, *, warm_up_windows: int) -> None:
        self.ride = RideConsumption()
        self.rides = RideSpread()
        self.standby = StandbyConsumption()
        self.voltage = VoltageModel()
        self.anomaly: dict[Group, AnomalyModel] = {
            group: AnomalyModel(group, warm_up_windows=warm_up_windows) for group in ("vibration", "powertrain")
        }
        self._stored: bytes | None = None

    def touched(self) -> None:
        self._stored = None

    def snapshot(self) -> bytes:
        """A pickle, kept until the models learn again. River promises nothing across versions: the owner stores River's beside it."""
        if self._stored is None:
            self._stored = pickle.dumps((self.ride, self.rides, self.standby, self.voltage, self.anomaly), protocol=pickle.HIGHEST_PROTOCOL)
        return self._stored

    @classmethod
    def restored(cls, stored: bytes) -> "Cohort":
        """`stored` must come out of our own recovery store, whose versions were checked."""
        cohort = cls.__new__(cls)
        cohort.ride, cohort.rides, cohort.standby, cohort.voltage, cohort.anomaly = pickle.loads(stored)  # noqa: S301  # nosec B301
        cohort._stored = stored
        return cohort
