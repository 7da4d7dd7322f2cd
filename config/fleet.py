"""The fleet's fixed facts: vehicle models (models.toml) and cities with their zones (cities/*.geojson). Loading and checking only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleetpulse.config.settings import CONFIG_DIR, ConfigError, one_line, read_toml

Mode = Literal["micromobility", "car_share"]
ZoneKind = Literal["jurisdiction", "service_area", "no_go"]


class VehicleModel(BaseModel):
    """One vehicle model. Units in the names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    id: int = Field(ge=1, le=255)
    vehicle_type: Literal["scooter", "bicycle", "car"]
    mode: Mode
    battery_wh: float = Field(gt=0)
    nominal_voltage_v: float = Field(gt=0)
    cells_in_series: int = Field(ge=1)
    range_m: float = Field(gt=0)
    mass_kg: float = Field(gt=0)
    max_speed_mps: float = Field(gt=0, le=90)
    wheels: Literal[2, 4]
    tyre_pressure_nominal_kpa: float = Field(gt=0)
    tyre_pressure_limit_kpa: float = Field(gt=0)
    battery_temperature_limit_c: float = Field(ge=-20, le=200)
    battery_temperature_clear_c: float = Field(ge=-20, le=200)
    battery_voltage_limit_v: float = Field(gt=0)
    crash_limit_mps2: float = Field(gt=0)
    swappable: bool


@dataclass(frozen=True)
class Zone:
    """A polygon of a city.

    ring           ((longitude_deg, latitude_deg), ...), closed, outer ring only
    vehicle_types  to which it applies; empty: all
    """

    name: str
    kind: ZoneKind
    ring: tuple[tuple[float, float], ...]
    vehicle_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class City:
    """A city. `code` (from 1, by file name) is its code in tables."""

    code: int
    name: str
    timezone: str
    centre_longitude_deg: float
    centre_latitude_deg: float
    zones: tuple[Zone, ...]


@dataclass(frozen=True)
class Fleet:
    """Models by code (index 0 is None: unknown) and cities by code (index 0 is None: in no city)."""

    models: tuple[VehicleModel | None, ...]
    cities: tuple[City | None, ...]

    @property
    def model_names(self) -> tuple[str, ...]:
        return tuple(m.name if m else "" for m in self.models)

    @property
    def city_names(self) -> tuple[str, ...]:
        return tuple(c.name if c else "" for c in self.cities)


def _models(file: Path) -> tuple[VehicleModel | None, ...]:
    try:
        models = [VehicleModel(name=name, **values) for name, values in read_toml(file).items()]
    except ValidationError as error:
        raise one_line(error, file) from None
    table: list[VehicleModel | None] = [None] * (max(m.id for m in models) + 1)
    for model in models:
        if table[model.id] is not None:
            raise ConfigError(f"models.{model.name}.id must be unique; got {model.id} again ({file})")
        table[model.id] = model
    return tuple(table)


def _city(file: Path, code: int) -> City:
    try:
        content: dict[str, Any] = orjson.loads(file.read_bytes())
        head = content["properties"]
        zones = tuple(
            Zone(
                name=feature["properties"]["name"],
                kind=feature["properties"]["kind"],
                ring=tuple((float(x), float(y)) for x, y in feature["geometry"]["coordinates"][0]),
                vehicle_types=tuple(feature["properties"].get("vehicle_types", ())),
            )
            for feature in content["features"]
        )
        city = City(code, head["name"], head["timezone"], float(head["centre"][0]), float(head["centre"][1]), zones)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"a city must be a GeoJSON FeatureCollection of polygons with name and kind; got {error!r} ({file})") from None
    kinds = [zone.kind for zone in zones]
    if kinds.count("jurisdiction") != 1 or "service_area" not in kinds:
        raise ConfigError(f"a city must have one jurisdiction and a service_area; got {kinds} ({file})")
    for zone in zones:
        if zone.kind not in ("jurisdiction", "service_area", "no_go") or len(zone.ring) < 4 or zone.ring[0] != zone.ring[-1]:
            raise ConfigError(f"zones.{zone.name} must be a closed ring of a known kind; got {zone.kind}, {len(zone.ring)} points ({file})")
    return city


def load_fleet(folder: Path = CONFIG_DIR) -> Fleet:
    """Models and cities of a configuration folder. Raises ConfigError."""
    files = sorted((folder / "cities").glob("*.geojson"))
    if not files:
        raise ConfigError(f"at least one city must be configured; got none ({folder / 'cities'})")
    return Fleet(_models(folder / "models.toml"), (None, *(_city(f, i) for i, f in enumerate(files, 1))))
