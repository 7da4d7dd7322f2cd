"""How long a killed flow needs until it is as close behind a live load as before: `chaos.restart.caught_up_s`.

50,000 frames/s of 50,000 vehicles into 16 partitions, epochs of 10 s as in production; the worker of `telemetry` is killed in different
moments of an epoch, the last just before its end, when most must be read again. Its position is what it exports, not what it has committed.
"""

import sys
import time
from contextlib import ExitStack
from pathlib import Path

import orjson
import psutil
from confluent_kafka import Consumer

from fleetpulse.bench import deployment
from fleetpulse.bench.brokers import broker
from fleetpulse.bench.chaos.positions import ends, taken
from fleetpulse.bench.chaos.stores import until_written
from fleetpulse.bench.chaos.system import AttackError
from fleetpulse.bench.load import TICK_MS
from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report
from fleetpulse.config import kafka
from fleetpulse.flows.child import Part, end, spawn
from fleetpulse.flows.embedded import free_port
from fleetpulse.flows.topics import TELEMETRY

RATE, VEHICLES = 50_000, 50_000
WARM_S = 12.0
EPOCH_S = 10.0
MOMENTS_S = (3.0, 6.5, 9.5)
"""Of the kills, since the store was written."""
LIMIT_S = 60.0
WANTED_S = 10.0
USUAL_S = 0.25
"""Of the load: a flow that is this close behind has caught up."""
_LOOK_S = 0.05


def run(options: Options, report: Report) -> None:
    """Raises AttackError when the flow does not run or does not come back."""
    folder = options.scratch / "restart"
    with ExitStack() as stack:
        server = stack.enter_context(broker(folder / "kafka", report))
        settings = deployment.settings(server.address, folder)
        deployment.create_topics(settings, append_time=False)
        port = free_port()
        variables = deployment.environment(server.address, folder, epoch_s=EPOCH_S)
        flow = Part(["flow", "telemetry"], folder, {**variables, "FLEETPULSE_FLOW__METRICS_PORT": str(port)})
        stack.callback(flow.end, limit_s=15.0)
        consumer = Consumer(kafka.consumer(settings, group="bench.restart"))
        stack.callback(consumer.close)
        lag = _Lag(consumer, port, flow)
        seconds = WARM_S + len(MOMENTS_S) * (2 * EPOCH_S + WANTED_S)
        command = [sys.executable, "-m", "fleetpulse.bench.load", "--address", server.address, "--rate", str(RATE)]
        command += ["--vehicles", str(VEHICLES), "--seconds", str(seconds), "--partitions", str(deployment.PARTITIONS)]
        options.say(f"restart: {RATE} frames/s for {seconds:.0f} s")
        generator = spawn([*command, "--seed", str(options.seed)], folder / "load.log")
        stack.callback(end, generator, limit_s=1.0)
        time.sleep(WARM_S)
        lag.until_close()
        runs = []
        for moment_s in MOMENTS_S:
            until_written(folder / "recovery" / "telemetry", limit_s=2 * EPOCH_S)
            time.sleep(moment_s)
            killed_s = time.monotonic()
            psutil.Process(flow.process.pid).children()[0].kill()
            runs.append(lag.until_close() - killed_s)
            if generator.poll() is not None:
                raise AttackError("the load must outlast the kills; it ended before")
        report.add("chaos.restart.caught_up_s", "s", runs)
        report.checks[f"chaos.restart.caught_up_s <= {WANTED_S:g}"] = max(runs) <= WANTED_S
        generator.wait(seconds)
        _say_rate(folder / "load.log", report)


def _say_rate(log: Path, report: Report) -> None:
    told = orjson.loads(log.read_bytes().splitlines()[-1])
    report.add("chaos.restart.rate", "frames/s", [told["rate"]])


class _Lag:
    """How many records the flow is behind."""

    def __init__(self, consumer: Consumer, port: int, flow: Part) -> None:
        self._consumer = consumer
        self._port = port
        self._flow = flow

    def until_close(self) -> float:
        """The time (monotonic) at which the flow is as close behind as usual. Raises AttackError."""
        until = time.monotonic() + LIMIT_S
        while True:
            at_s = time.monotonic()
            positions = taken(self._port)
            if len(positions) == deployment.PARTITIONS:
                end = sum(ends(self._consumer, TELEMETRY, deployment.PARTITIONS, limit_s=LIMIT_S).values())
                if end - sum(positions.values()) <= USUAL_S * deployment.PARTITIONS * 1000 / TICK_MS:
                    return at_s
            if at_s > until:
                raise AttackError(f"the flow must catch up within {LIMIT_S:g} s; it does not: {self._flow.last_line()}")
            time.sleep(_LOOK_S)
