"""One process of one dataflow: builds it and runs it on Bytewax until its source ends or a signal asks it to stop.

Started by the supervisor as `python -m fleetpulse.flows.worker NAME --process I --addresses HOST:PORT,...`.
"""

import argparse
import ctypes
import importlib
import os
import signal
from datetime import timedelta
from pathlib import Path

from bytewax.run import cli_main
from prometheus_client import start_http_server

from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.log import configure
from fleetpulse.config.settings import load
from fleetpulse.flows import recovery, tuning
from fleetpulse.flows.stop import Stop
from fleetpulse.flows.supervisor import NAMES

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """The kernel kills this process when its supervisor dies, however that happens (Linux prctl)."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or parent == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(prog="fleetpulse.flows.worker")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--process", type=int, required=True)
    parser.add_argument("--addresses", required=True)
    parser.add_argument("--store", type=Path, required=True)
    arguments = parser.parse_args()
    die_with_parent()
    configure(f"flow.{arguments.name}")
    stop = Stop()
    stop.on_signals()
    settings = load()
    if settings.flow.metrics_port:
        port = settings.flow.metrics_port + NAMES.index(arguments.name) * settings.flow.processes + arguments.process
        start_http_server(port, addr="127.0.0.1")
    build = importlib.import_module(f"fleetpulse.flows.{arguments.name}").build
    addresses = arguments.addresses.split(",")
    flow = build(settings, load_fleet(), stop=stop)
    tuning.settle()
    cli_main(  # type: ignore[no-untyped-call]
        flow,
        process_id=arguments.process if len(addresses) > 1 else None,
        addresses=addresses if len(addresses) > 1 else None,
        epoch_interval=timedelta(seconds=settings.flow.epoch_s),
        recovery_config=recovery.config(arguments.store),
    )


if __name__ == "__main__":
    main()
