"""One open window of one vehicle as a list of its frames, folded when it closes. The twin of state/windows.py."""

from typing import Any

Frame = dict[str, Any]
MEANS = {
    "speed_mean_mps": "speed_mps",
    "voltage_mean_v": "battery_voltage_v",
    "current_mean_a": "battery_current_a",
    "battery_temperature_mean_c": "battery_temperature_c",
    "ambient_temperature_mean_c": "ambient_temperature_c",
    "accel_rms_mean_mps2": "accel_rms_mps2",
    **{f"vibration_band{i}_mean_mps2": f"vibration_band{i}_rms_mps2" for i in range(1, 5)},
}
LOWEST = {"soc_min_pct": "battery_soc_pct", "voltage_min_v": "battery_voltage_v", "current_min_a": "battery_current_a"}
HIGHEST = {"speed_max_mps": "speed_mps", "battery_temperature_max_c": "battery_temperature_c"}
LAST = {"soc_last_pct": "battery_soc_pct", "soh_pct": "battery_soh_pct", "cycles": "battery_cycles"}
TYRES = [f"tyre_pressure_{end}_{side}_kpa" for side in ("left", "right") for end in ("front", "rear")]
BETWEEN = ("distance_m", "climb_m", "in_use_s", "charging_s", "moving_s", "energy_out_wh")


class Minute:
    """Frames in the order of arrival with their event times, and what lies between frames."""

    def __init__(self, start_ms: int) -> None:
        self.start_ms = start_ms
        self.frames: list[tuple[int, Frame]] = []
        self.between = dict.fromkeys(BETWEEN, 0.0)

    def latest(self) -> list[Frame]:
        """The frames that were the latest of the window when they came, in the order of arrival."""
        result: list[Frame] = []
        newest = -1
        for time_ms, frame in self.frames:
            if time_ms >= newest:
                newest = time_ms
                result.append(frame)
        return result

    def row(self, window_ms: int) -> dict[str, Any]:
        """Columns of tables.WINDOW that the window alone decides; None: no sample."""

        def values(name: str, frames: list[Frame]) -> list[Any]:
            return [frame[name] for frame in frames if frame[name] is not None]

        everyone = [frame for _, frame in self.frames]
        latest = self.latest()
        row: dict[str, Any] = dict(self.between)
        row["window_start_ms"], row["window_end_ms"] = self.start_ms, self.start_ms + window_ms
        row["frames"] = len(everyone)
        row["first_offset"], row["last_offset"] = min(f["offset"] for f in everyone), max(f["offset"] for f in everyone)
        row["boot_id"], row["seq"] = latest[-1]["boot_id"], latest[-1]["seq"]
        placed = [f for f in latest if f["latitude_e7"] is not None and f["longitude_e7"] is not None]
        row["latitude_deg"] = placed[-1]["latitude_e7"] / 1e7 if placed else None
        row["longitude_deg"] = placed[-1]["longitude_e7"] / 1e7 if placed else None
        for column, name in MEANS.items():
            samples = values(name, everyone)
            row[column] = sum(samples) / len(samples) if samples else None
        for column, name in LOWEST.items():
            row[column] = min(values(name, everyone), default=None)
        for column, name in HIGHEST.items():
            row[column] = max(values(name, everyone), default=None)
        row["tyre_pressure_min_kpa"] = min((x for name in TYRES for x in values(name, everyone)), default=None)
        for column, name in LAST.items():
            row[column] = (values(name, latest) or [None])[-1]
        charges = [(time_ms, i, f["battery_soc_pct"]) for i, (time_ms, f) in enumerate(self.frames) if f["battery_soc_pct"] is not None]
        row["soc_first_pct"] = min(charges)[2] if charges else None
        return row
