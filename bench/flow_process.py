"""A real flow in a process of its own, from the beginning of the topic to given ends; says what it spent.

`python -m fleetpulse.bench.flow_process [--flow NAME] --ends JSON --store FOLDER [--process I --addresses ...]`, settings from the
environment as everywhere. Prints one JSON line: wall and CPU seconds of the run (imports and building the flow not included, the
last snapshot and the sink's acknowledgements included), peak memory, counters summed over the process's shards.
"""

import argparse
import importlib
import time
from datetime import timedelta
from pathlib import Path

import orjson
from bytewax.run import cli_main

from fleetpulse.bench.measure import peak_rss_bytes
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.log import configure
from fleetpulse.config.settings import load
from fleetpulse.flows import metrics, recovery, tuning
from fleetpulse.flows.stop import Stop
from fleetpulse.flows.supervisor import NAMES


def main() -> None:
    parser = argparse.ArgumentParser(prog="fleetpulse.bench.flow_process")
    parser.add_argument("--flow", choices=NAMES, default="telemetry")
    parser.add_argument("--ends", required=True)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--addresses", default="")
    arguments = parser.parse_args()
    configure("bench.flow")
    build = importlib.import_module(f"fleetpulse.flows.{arguments.flow}").build
    settings = load()
    ends = {int(partition): end for partition, end in orjson.loads(arguments.ends).items()}
    stop = Stop()
    flow = build(settings, load_fleet(), stop=stop, ends=ends)
    tuning.settle()
    addresses = arguments.addresses.split(",") if arguments.addresses else None
    wall, cpu = time.perf_counter(), time.process_time()
    cli_main(  # type: ignore[no-untyped-call]
        flow,
        process_id=arguments.process if addresses else None,
        addresses=addresses,
        epoch_interval=timedelta(seconds=settings.flow.epoch_s),
        recovery_config=recovery.config(arguments.store) if arguments.store else None,
    )
    spent = {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "rss_bytes": peak_rss_bytes(),
        "counters": metrics.exported().sums(),
    }
    print(orjson.dumps(spent).decode(), flush=True)


if __name__ == "__main__":
    main()
