"""`fleetpulse bench quality --series | --telemetry | --imu FILE`: which of them is asked for. Each imports what it needs when it runs."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fleetpulse.config.settings import ConfigError


def main(
    scenario: str,
    *,
    series: Sequence[Path],
    telemetry: Path | None,
    imu: Path | None,
    out: Path | None,
    json_file: Path | None,
    imu_unit: str,
    imu_limit: float,
) -> int:
    """What the command line asks for. Raises ConfigError."""
    if scenario != "quality":
        raise ConfigError(f"--series, --telemetry and --imu belong to the scenario quality; got {scenario!r}")
    if sum((bool(series), telemetry is not None, imu is not None)) != 1:
        raise ConfigError("one of --series, --telemetry and --imu must be given, not several")
    if imu_unit not in ("g", "mps2", "auto"):
        raise ConfigError(f"--imu-unit must be g, mps2 or auto; got {imu_unit!r}")
    try:
        if telemetry is not None:
            from fleetpulse.bench.quality import own_telemetry  # noqa: PLC0415

            return own_telemetry.run(telemetry, json_file=json_file)
        if imu is not None:
            from fleetpulse.bench.quality import own_imu  # noqa: PLC0415

            return own_imu.run(imu, unit=imu_unit, limit_mps2=imu_limit)
        from fleetpulse.bench.quality import own_series  # noqa: PLC0415

        return own_series.run(series, out)
    except BrokenPipeError:  # the reader, `head` for example, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
