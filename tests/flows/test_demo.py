"""The main job: vehicles to events in one command, with every frame accounted for and nothing left running."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import psutil

from tests.support.processes import wait_for


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fleetpulse.flows.cli", "demo", "--port", "0", *arguments]
    env = {**os.environ, "FLEETPULSE_DEPLOYMENT__DATA_DIR": str(folder / "var")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)


def finish(demo: subprocess.Popen[str], report: Path) -> dict[str, Any]:
    output = demo.communicate(timeout=200)[0]
    assert demo.returncode == 0, output
    content: dict[str, Any] = orjson.loads(report.read_bytes())
    return content


def left_running(folder: Path) -> list[str]:
    return [" ".join(p.info["cmdline"]) for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])]


def check(report: dict[str, Any]) -> None:
    frames = report["frames"]
    parts = ("processed", "duplicate", "late", "quarantined", "dead_lettered")
    assert frames["received"] == sum(frames[name] for name in parts), frames
    assert frames["sent"] == frames["received"] - frames["duplicate"] + frames["missing"], frames
    assert frames["missing"] == 0, frames
    assert min(frames["processed"], frames["dead_lettered"], frames["quarantined"]) > 0, frames


def test_a_minute_of_the_fleet_gives_every_kind_of_event_and_accounts_for_every_frame(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    report = finish(start(tmp_path, "--vehicles", "300", "--duration", "62", "--report", str(file)), file)
    check(report)
    assert min(report["events"].values()) > 0, report["events"]
    assert report["vehicles"] >= 300
    assert left_running(tmp_path) == []


def test_ctrl_c_drains_writes_the_report_and_leaves_nothing_running(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    demo = start(tmp_path, "--vehicles", "50", "--report", str(file))
    wait_for(lambda: bool(list(tmp_path.glob("var/demo-*/ledger/ledger.json"))), limit_s=120, what="the fleet must start")
    demo.send_signal(signal.SIGINT)
    frames = finish(demo, file)["frames"]
    assert frames["sent"] == frames["received"] - frames["duplicate"] + frames["missing"], frames
    assert frames["missing"] == 0, frames
    assert left_running(tmp_path) == []
