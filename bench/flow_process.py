"""A real flow in a process of its own, from the beginning of the topic to given ends; says what it spent.

`python -m fleetpulse.bench.flow_process [--flow NAME] --ends JSON --store FOLDER [--warm N] [--process I --addresses ...]`, settings from
the environment as everywhere. Prints one JSON line: wall and CPU seconds of the run (imports and building the flow not included, the
last snapshot and the sink's acknowledgements included), peak memory, counters summed over the process's shards;
and frames, wall and CPU seconds up to the moment when this process had received N frames.
"""

import argparse
import importlib
import threading
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

LOOK_S = 0.02


class _WarmUp:
    """A thread that notes when `frames` frames are received, and what was spent until then."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        self.spent = {"frames": 0, "wall_s": 0.0, "cpu_s": 0.0}
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while (received := metrics.exported().sums().get("received", 0)) < self._frames:
            time.sleep(LOOK_S)
        wall_s, cpu_s = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self.spent = {"frames": received, "wall_s": wall_s, "cpu_s": cpu_s}


def main() -> None:
    parser = argparse.ArgumentParser(prog="fleetpulse.bench.flow_process")
    parser.add_argument("--flow", choices=NAMES, default="telemetry")
    parser.add_argument("--ends", required=True)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--warm", type=int, default=0)
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
    warm_up = _WarmUp(arguments.warm)
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
        "warm_up": warm_up.spent,
    }
    print(orjson.dumps(spent).decode(), flush=True)


if __name__ == "__main__":
    main()
