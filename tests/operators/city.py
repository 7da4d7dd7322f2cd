"""Zone reports of an invented city, for tests of step rebalance: vehicles with places, dealt to shards. Seeded."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import h3.api.basic_int as h3
import numpy as np

from fleetpulse.alerts.states import VehicleState
from fleetpulse.codecs import tables
from fleetpulse.config.fleet import load_fleet

FLEET = load_fleet()
NAMES = {"city": FLEET.city_names, "vehicle_model": FLEET.model_names}
CITY = "berlin"
INTERVAL_MS = 900_000
START_MS = 1_750_000_000_000 // INTERVAL_MS * INTERVAL_MS
HOME = h3.latlng_to_cell(52.52, 13.405, 8)
RING = tuple(sorted(h3.grid_ring(HOME, 1)))
"""The six neighbours of HOME; their centres are about 900 m away."""


@dataclass(frozen=True)
class Stands:
    """A vehicle at an interval's end. `east_m` moves it off the centre of its cell."""

    number: int
    cell: int = HOME
    soc_pct: float = 80.0
    state: VehicleState = VehicleState.AVAILABLE
    model: int = 1
    east_m: float = 0.0


@dataclass
class Told:
    """What all shards report at the end of interval `i` (from 0).

    starts  (cell, trips that started there), of vehicle model `starts_model`
    """

    i: int = 0
    vehicles: Sequence[Stands] = ()
    starts: Sequence[tuple[int, int]] = ()
    starts_model: int = 1
    shards: int = 4
    city: str = CITY
    absent: set[int] = field(default_factory=set)

    @property
    def end_ms(self) -> int:
        return START_MS + (self.i + 1) * INTERVAL_MS

    def records(self, shard: int) -> list[bytes]:
        """The shard's two records; none when it is absent."""
        if shard in self.absent:
            return []
        code = NAMES["city"].index(self.city)
        mine = [v for v in self.vehicles if v.number % self.shards == shard]
        trips = [(cell, n // self.shards + (shard < n % self.shards)) for cell, n in self.starts]
        counts = np.zeros(len(mine) + len(trips), dtype=tables.ZONE)
        candidates = np.zeros(len(mine), dtype=tables.CANDIDATE)
        for row, v in enumerate(mine):
            band = 3 if np.isnan(v.soc_pct) else int(v.soc_pct >= 20) + int(v.soc_pct >= 50)
            counts[row] = (v.cell, code, v.state, v.model, band, 1, 0, 0)
            latitude, longitude = h3.cell_to_latlng(v.cell)
            longitude += v.east_m / 67_700
            candidates[row] = (7, v.number, v.cell, code, v.state, v.model, latitude, longitude, v.soc_pct, 0)
        for row, (cell, n) in enumerate(trips, len(mine)):
            counts[row] = (cell, code, 255, self.starts_model, 1, 0, n, 0)
        movable = np.isin(candidates["vehicle_state"], (VehicleState.AVAILABLE, VehicleState.NON_OPERATIONAL))
        metadata = {"city": self.city, "shard": str(shard), "shards": str(self.shards), "interval_end_ms": str(self.end_ms)}
        return [
            tables.encode(rows, NAMES, metadata={**metadata, "table": table})
            for table, rows in (("counts", counts), ("candidates", candidates[movable]))
        ]

    def all_records(self) -> list[bytes]:
        return [record for shard in range(self.shards) for record in self.records(shard)]


def rhythm(intervals: int, *, seed: int = 1, vehicles: int = 60, shards: int = 4) -> list[Told]:
    """A city where trips start in HOME and its neighbours and vehicles pile up two rings out."""
    rng = np.random.default_rng(seed)
    cells = sorted(h3.grid_disk(HOME, 2))
    places = rng.choice(len(cells), vehicles)
    charge = rng.uniform(5, 60, vehicles)
    told = []
    for i in range(intervals):
        moved = rng.random(vehicles) < 0.2
        places = np.where(moved, rng.choice(len(cells), vehicles), places)
        charge = np.where(charge < 8, 90, charge - rng.uniform(0, 4, vehicles))
        stands = [
            Stands(
                number=n,
                cell=cells[places[n]],
                soc_pct=round(float(charge[n]), 1),
                state=VehicleState.ON_TRIP if moved[n] else VehicleState.AVAILABLE if charge[n] >= 10 else VehicleState.NON_OPERATIONAL,
                model=1 + n % 3,
                east_m=float(rng.uniform(-200, 200)),
            )
            for n in range(vehicles)
        ]
        starts = [(cell, int(rng.poisson(1.5))) for cell in (HOME, *RING)]
        told.append(Told(i=i, vehicles=stands, starts=starts, shards=shards))
    return told
