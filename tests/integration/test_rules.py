"""The alert rules of the pages are rules that Prometheus takes."""

import subprocess
from pathlib import Path

import pytest

from fleetpulse.bench import debian
from fleetpulse.bench.maven import MissingToolError
from tests.support.servers import STRICT

RULES = Path(__file__).resolve().parents[2] / "docs" / "prometheus-rules.yml"


def test_prometheus_takes_the_alert_rules() -> None:
    try:
        promtool = debian.command("promtool")
    except MissingToolError as error:
        if STRICT:
            pytest.fail(f"promtool cannot run here: {error}")
        pytest.skip(f"promtool cannot run here: {error}")
    done = subprocess.run([*promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 rules found" in done.stdout
