"""Scenario `chaos`: everything is killed, stalled, cut off and filled up under load; then the events are those of an undisturbed run.

Names: `chaos.events.lost`, `chaos.events.doubled` (distinct contents under one id, or a cause under two ids) against fresh flows over the
final log; `chaos.frames.lost` of the vehicles' ledgers; `chaos.operations.lost` of those the gateway accepted; `chaos.recovery_s.max`
from a kill to caught up, `chaos.recovery_s.{target}`; `chaos.kills`, `chaos.kills.{target}`, `chaos.disturbances.{kind}`;
`chaos.events.{flow}`, `chaos.frames`; `chaos.memory.{target}` peak. Part `restart`: `chaos.restart.caught_up_s`, after a kill of the
telemetry worker at 50,000 frames/s.
"""

import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from fleetpulse.bench import plot
from fleetpulse.bench.chaos import disk, outcome, reference, restart
from fleetpulse.bench.chaos.attack import Attack
from fleetpulse.bench.chaos.people import People
from fleetpulse.bench.chaos.plan import FLOWS, plan
from fleetpulse.bench.chaos.recovery import usual
from fleetpulse.bench.chaos.system import AttackError, Load, System
from fleetpulse.bench.chaos.watch import Watch
from fleetpulse.bench.options import Options
from fleetpulse.bench.report import Report

KILLS = 20
VEHICLES = 200
READY_S = 90.0
CALM_S = 8.0
CALM_SAMPLES = 30
"""How long the undisturbed system is looked at before the first strike."""


def run(options: Options, report: Report) -> None:
    """Raises AttackError when the system does not start, or does not come back."""
    if options.wants("kills"):
        _kills(options, report)
    if options.wants("restart"):
        restart.run(options, report)


def _kills(options: Options, report: Report) -> None:
    kills = options.kills or KILLS
    report.notes["chaos"] = f"replay with: fleetpulse bench chaos --only kills --kills {kills} --seed {options.seed}"
    folder = options.scratch / "chaos"
    try:
        _attacked(kills, folder, options, report)
    except Exception:  # whatever it is, its reason stands in the logs
        _keep(folder, options, report)
        raise
    if not all(report.checks.values()):
        _keep(folder, options, report)


def _keep(folder: Path, options: Options, report: Report) -> None:
    """The logs of all parts and brokers, for whoever must find out why."""
    kept = options.cache / f"chaos-{options.seed}"
    shutil.rmtree(kept, ignore_errors=True)
    for file in (*folder.glob("logs/*/*.log"), *folder.glob("*/*.log"), *folder.glob("reference/logs/*.log")):
        target = kept / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    report.notes["chaos.logs"] = str(kept)


def _attacked(kills: int, folder: Path, options: Options, report: Report) -> None:
    with ExitStack() as stack:
        system = System(folder, Load(VEHICLES, options.seed))
        stores: Path | None = system.data_dir / "recovery"
        try:
            stack.enter_context(disk.mounted(system.data_dir / "recovery"))
        except disk.NoDiskError as error:
            stores = None
            report.skipped["chaos.disturbances.full"] = str(error)
        stack.enter_context(system)
        with Watch(system) as watch:
            with People(system.gateway_port, system.ledger, options.seed) as people:
                _start(system, watch, options)
                calm = [s for s in watch.samples if s.frames and s.ends is not None]
                attack = Attack(system, watch, usual(calm[-CALM_SAMPLES:]), stores, options.say)
                attack.run(plan(kills, options.seed))
            options.say("draining")
            _drain(system, watch, report)
        outcome.attacked(attack, report)
        outcome.memory(watch, report)
        options.say("an undisturbed run over the same log")
        with reference.run(system.kafka.address, folder / "reference", wall_ms=system.wall_ms) as undisturbed:
            options.say("comparing")
            outcome.compare(system, undisturbed, people, report)
        if options.plots:
            report.plots += plot.chaos(watch.samples, attack.struck, options.plots)


def _start(system: System, watch: Watch, options: Options) -> None:
    options.say("starting")
    system.start()
    until = time.monotonic() + READY_S
    while not ((sample := watch.latest()) and sample.ready and None not in [sample.lag(flow) for flow in FLOWS]):
        if time.monotonic() > until:
            raise AttackError(f"flows and gateway must run within {READY_S:g} s; they do not")
        time.sleep(0.2)
    system.start_vehicles()
    while not (
        (sample := watch.latest()) and sample.frames and (sample.ends or {}).get("city") and any((sample.ends or {})["city"].values())
    ):
        if time.monotonic() > until:
            raise AttackError(f"the vehicles must run within {READY_S:g} s; they do not")
        time.sleep(0.2)
    time.sleep(CALM_S)
    if system.ended:
        raise AttackError(f"nothing must end by itself; {system.ended[0]}")


def _drain(system: System, watch: Watch, report: Report) -> None:
    """Everything on its way arrives; then nothing runs but Kafka."""
    system.look_after()
    codes = {name: system.end(name) for name in ("agent", "bridge")}
    reference.finish({flow: system.parts[f"{flow} supervisor"] for flow in FLOWS}, lambda flow: watch.fresh().lag(flow))
    for flow in FLOWS:
        codes[flow] = system.end(f"{flow} supervisor")
    codes["gateway"] = system.end("gateway")
    report.checks["chaos: every part ends in order when it is asked to"] = not any(codes.values())
    report.checks["chaos: no part ends unasked"] = not system.ended
    if any(codes.values()) or system.ended:
        report.notes["chaos.ends"] = "; ".join([f"{name}: exit code {code}" for name, code in codes.items() if code] + system.ended)
