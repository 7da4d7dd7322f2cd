"""Air temperature and demand for rides of each city, by the second: functions of time and place alone, so no draw and no state."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from fleetpulse.config.fleet import Fleet

_WORKDAY = (2, 1, 1, 1, 1, 3, 9, 20, 26, 17, 14, 16, 19, 17, 15, 17, 22, 28, 26, 20, 15, 11, 7, 4)
_WEEKEND = (6, 5, 4, 3, 2, 2, 3, 5, 9, 13, 17, 20, 22, 23, 23, 22, 21, 20, 19, 17, 15, 13, 11, 8)
"""Rides begun by hour of local time, relative."""


def _relative(hours: tuple[int, ...]) -> NDArray[np.float64]:
    values = np.array(hours, dtype=np.float64)
    relative: NDArray[np.float64] = values / values.mean()
    return relative


_DEMAND = np.array([_relative(_WORKDAY)] * 5 + [_relative(_WEEKEND)] * 2)


@lru_cache(maxsize=4096)
def _hour(timezone: str, hour: int) -> tuple[float, float]:
    """(demand, mean air temperature in degC of the day) of the hour that begins `hour` hours after 1970."""
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)).astimezone(ZoneInfo(timezone))
    season = np.cos(2.0 * np.pi * (local.timetuple().tm_yday - 200) / 365.25)
    return float(_DEMAND[local.weekday(), local.hour]), float(11.0 + 9.0 * season)


def conditions(fleet: Fleet, first_s: int, seconds: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """(C+1, S) air temperature in degC and demand (1 = the day's mean) of each city from second `first_s` on."""
    times = np.arange(first_s, first_s + seconds)
    ambient = np.zeros((len(fleet.cities), seconds))
    demand = np.ones((len(fleet.cities), seconds))
    for city in fleet.cities[1:]:
        assert city is not None
        solar_s = times + city.centre_longitude_deg * 240.0
        day = 5.0 * np.cos(2.0 * np.pi * (solar_s / 86400.0 - 15.0 / 24.0))
        for hour in range(first_s // 3600, (first_s + seconds - 1) // 3600 + 1):
            rides, mean_c = _hour(city.timezone, hour)
            within = times // 3600 == hour
            demand[city.code, within] = rides
            ambient[city.code, within] = mean_c
        ambient[city.code] += day
    return ambient, demand
