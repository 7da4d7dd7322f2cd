"""What the life cycle must be told about the fleet. Plain values by code; who knows the configuration builds it."""

from dataclasses import dataclass, field

from fleetpulse.alerts.availability import Mode
from fleetpulse.alerts.policy import AlertPolicy


@dataclass(frozen=True)
class LifecycleParameters:
    """Names and facts by the codes that stand in facts, and the thresholds of this step.

    modes        by vehicle-model code; a code beyond the end: micromobility
    model_names  by vehicle-model code, "" for the unknown one
    city_names   by city code, "" for none
    zone_names   by zone code (the `zone` value of geofence facts), "" for none: ("", *geofence.names)
    swappable    by vehicle-model code: the battery can be swapped on the street
    policy       how alerts behave in time and towards each other
    window_s     length of the windows that facts of cause WINDOW rest on
    """

    modes: tuple[Mode, ...] = ()
    model_names: tuple[str, ...] = ()
    city_names: tuple[str, ...] = ()
    zone_names: tuple[str, ...] = ()
    swappable: tuple[bool, ...] = ()
    policy: AlertPolicy = field(default_factory=AlertPolicy)
    window_s: int = 60

    def mode(self, vehicle_model: int) -> Mode:
        """The mode of a vehicle model."""
        return self.modes[vehicle_model] if vehicle_model < len(self.modes) else "micromobility"

    def model_name(self, vehicle_model: int) -> str:
        """Its name, "" for an unknown one."""
        return self.model_names[vehicle_model] if vehicle_model < len(self.model_names) else ""

    def city_name(self, city: int) -> str:
        """Its name, "" for none."""
        return self.city_names[city] if city < len(self.city_names) else ""

    def zone_name(self, zone: int) -> str:
        """Its name, "" for none."""
        return self.zone_names[zone] if 0 <= zone < len(self.zone_names) else ""

    def can_swap(self, vehicle_model: int) -> bool:
        """Whether its battery can be swapped on the street."""
        return vehicle_model < len(self.swappable) and self.swappable[vehicle_model]
