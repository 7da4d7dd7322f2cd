"""A start compiles nothing: a flow that did would not be back in 10 s."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
from numba.core import event
with event.install_recorder("numba:compile") as recorded:
    import fleetpulse.flows.worker, fleetpulse.flows.telemetry, fleetpulse.flows.detect, fleetpulse.flows.city
    from fleetpulse.config.fleet import load_fleet
    from fleetpulse.config.settings import Settings
    from tests.support.log import of_partition, simulated
    from tests.support.telemetry import expected
    settings = Settings.model_validate({"kafka": {"partitions": 4}})
    log = simulated(load_fleet(), vehicles=20, duration_s=90)
    assert expected(settings, [of_partition(log, p, 4) for p in range(4)])
print(sorted({str(e.data["dispatcher"]) for _, e in recorded.buffer}))
"""


def test_neither_start_nor_frames_compile_anything() -> None:
    """The first run is the set-up's, should the cache be old."""
    runs = [subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[1].stdout.splitlines()[-1] == "[]"
