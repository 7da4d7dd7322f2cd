"""A wrong setting or a port in use ends a command with its exit code and one clear line, and nothing else."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fleetpulse.config.settings import Gateway
from fleetpulse.flows.embedded import free_port
from fleetpulse.gateway.egress.auth import Tokens


def fleetpulse(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fleetpulse.flows.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **env}, check=False)


@pytest.mark.parametrize("command", [["gateway"], ["bridge"], ["flow", "telemetry"], ["demo"], ["agent"]])
def test_a_wrong_setting_is_one_line_and_exit_code_2(command: list[str]) -> None:
    done = fleetpulse(*command, FLEETPULSE_RULES__LOW_BATTERY_PCT="150")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "fleetpulse: ConfigError: rules.low_battery_pct: Input should be less than or equal to 100; got '150' "
        "(environment variable FLEETPULSE_RULES__LOW_BATTERY_PCT)"
    ]


def test_an_absent_settings_file_is_named(tmp_path: Path) -> None:
    done = fleetpulse("gateway", "--config", str(tmp_path / "none.toml"))
    assert done.returncode == 2
    assert "none.toml" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_flow_names_the_known_ones() -> None:
    done = fleetpulse("flow", "weather")
    assert (done.returncode, done.stderr) == (2, "fleetpulse: ConfigError: a flow must be one of telemetry, detect, city; got 'weather'\n")


@pytest.mark.parametrize(("flow", "processes", "partitions"), [("telemetry", "3", 16), ("city", "8", 4)])
def test_processes_must_divide_partitions(flow: str, processes: str, partitions: int) -> None:
    done = fleetpulse("flow", flow, FLEETPULSE_FLOW__PROCESSES=processes)
    assert done.returncode == 2
    assert f"flow.processes must divide the {partitions} partitions that {flow} reads; got {processes}" in done.stderr


def test_a_key_pair_and_a_token_are_made_that_the_gateway_takes(tmp_path: Path) -> None:
    made = fleetpulse("token", "keys", str(tmp_path))
    assert made.stdout.splitlines() == [str(tmp_path / "gateway.key"), str(tmp_path / "gateway.pub")]
    issued = fleetpulse("token", "issue", "--key", str(tmp_path / "gateway.key"), "--sub", "anna", "--role", "operator")
    tokens = Tokens(Gateway.model_validate({"auth": "jwt", "jwt_public_key_file": tmp_path / "gateway.pub"}))
    caller = tokens.caller(issued.stdout.strip())
    assert (caller.subject, caller.roles) == ("anna", ("operator",))
    refused = fleetpulse("token", "issue", "--key", str(tmp_path / "gateway.key"), "--sub", "anna", "--role", "root")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("fleetpulse: ConfigError: a role must be one of viewer")
    assert fleetpulse("token", "keys", str(tmp_path)).returncode == 2


@pytest.mark.parametrize("command", ["gateway", "demo"])
def test_a_port_in_use_is_one_line_and_exit_code_1(command: str, tmp_path: Path) -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        option = ["--port", str(port)] if command == "demo" else []
        env = {"FLEETPULSE_GATEWAY__PORT": str(port), "FLEETPULSE_DEPLOYMENT__DATA_DIR": str(tmp_path)}
        done = fleetpulse(command, *option, **env)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("fleetpulse: the gateway needs ")
    assert f"{port}" in line
    assert "got: Address already in use" in line
