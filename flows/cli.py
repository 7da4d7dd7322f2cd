"""The command line: `fleetpulse demo | bridge | flow NAME | gateway | agent | replay | explain | bench`.

Each command imports what it needs when it runs, so that `--help` and a wrong setting answer at once. A wrong setting, a port in
use or a missing part: exit code 2 or 1 and one clear line.
"""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from fleetpulse.config.settings import ConfigError, Settings, load
from fleetpulse.flows import certificates, operations, tokens

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__.splitlines()[0])

ConfigFile = Annotated[Path | None, typer.Option("--config", envvar="FLEETPULSE_CONFIG", help="Settings as TOML.")]


def _fail(message: object, code: int) -> NoReturn:
    typer.echo(f"fleetpulse: {message}", err=True)
    raise typer.Exit(code)


def _run(config: Path | None, part: Callable[[Settings], int]) -> None:
    """Runs one part with the settings; its exit code is ours."""
    from fleetpulse.config.log import configure  # noqa: PLC0415

    if config is not None:
        os.environ["FLEETPULSE_CONFIG"] = str(config.resolve())
    try:
        settings = load()
        configure(sys.argv[1] if len(sys.argv) > 1 else "fleetpulse")
        code = part(settings)
    except ConfigError as error:
        _fail(f"{type(error).__name__}: {error}", 2)
    except ModuleNotFoundError as error:
        _fail(f"a package is missing: {error.name}; run `make setup`", 1)
    except OSError as error:
        _fail(error, 1)
    raise typer.Exit(code)


@app.command()
def demo(
    vehicles: Annotated[int, typer.Option(min=1, max=20_000, help="How many vehicles to simulate.")] = 500,
    duration: Annotated[float | None, typer.Option(min=5, help="Seconds on the wall; without it until Ctrl-C.")] = None,
    speed: Annotated[float, typer.Option(min=1, max=60, help="How many times real time.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Seed of the simulated fleet.")] = 1,
    report: Annotated[Path | None, typer.Option(help="Write the report (JSON) here on exit.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Gateway port; 0: any free one.")] = 8080,
    config: ConfigFile = None,
) -> None:
    """Everything on one machine: simulated fleet, MQTT, Kafka, flows, gateway; with a live view."""

    def part(settings: Settings) -> int:
        from fleetpulse.flows import demo as module  # noqa: PLC0415

        options = module.Options(vehicles=vehicles, duration_s=duration, speed=speed, seed=seed, report=report, port=port)
        return module.run(settings, options)

    _run(config, part)


@app.command()
def bridge(config: ConfigFile = None) -> None:
    """MQTT to Kafka."""

    def part(settings: Settings) -> int:
        from fleetpulse.flows import topics  # noqa: PLC0415
        from fleetpulse.gateway.ingress.bridge import main  # noqa: PLC0415

        topics.ensure(settings)
        return main(settings)

    _run(config, part)


@app.command()
def flow(name: Annotated[str, typer.Argument(help="telemetry, detect or city")], config: ConfigFile = None) -> None:
    """One dataflow: all its processes, restarted when one dies."""

    def part(settings: Settings) -> int:
        from fleetpulse.flows import topics  # noqa: PLC0415
        from fleetpulse.flows.stop import Stop  # noqa: PLC0415
        from fleetpulse.flows.supervisor import NAMES, Supervisor  # noqa: PLC0415

        if name not in NAMES:
            raise ConfigError(f"a flow must be one of {', '.join(NAMES)}; got {name!r}")
        partitions = topics.ZONE_PARTITIONS if name == "city" else settings.kafka.partitions
        if partitions % settings.flow.processes:
            raise ConfigError(f"flow.processes must divide the {partitions} partitions that {name} reads; got {settings.flow.processes}")
        stop = Stop()
        stop.on_signals()
        topics.ensure(settings, stopped=lambda: bool(stop))
        return 0 if stop else Supervisor(name, settings, stop).run(partitions=partitions)

    _run(config, part)


@app.command()
def gateway(config: ConfigFile = None) -> None:
    """HTTP, WebSocket, SSE and the console page."""

    def part(settings: Settings) -> int:
        from fleetpulse.gateway.egress.main import main  # noqa: PLC0415

        return main(settings)

    _run(config, part)


agent_app = typer.Typer(invoke_without_command=True)
certificates.add(agent_app, _run)
app.add_typer(agent_app, name="agent")
tokens.add(app, _run)


@agent_app.callback()
def agent(
    context: typer.Context,
    vehicles: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many vehicles to simulate.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the simulated fleet.")] = 1,
    scenario: Annotated[str, typer.Option(help="Faults and bad input: calm, faults or mixed.")] = "mixed",
    ledger: Annotated[Path | None, typer.Option(help="Folder of ledger, labels and store; by default `agent` in the data_dir.")] = None,
    duration: Annotated[float | None, typer.Option(min=1, help="Seconds on the wall; without it until Ctrl-C.")] = None,
    config: ConfigFile = None,
) -> None:
    """Simulated vehicles, publishing over MQTT; the subcommands make certificates for real ones."""
    if context.invoked_subcommand is not None:
        return

    def part(settings: Settings) -> int:
        from fleetpulse.vehicle_agent.main import Options, main  # noqa: PLC0415

        return main(settings, Options(vehicles=vehicles, seed=seed, scenario=scenario, ledger_dir=ledger, duration_s=duration))

    _run(config, part)


operations.add(app, _run)


@app.command()
def replay(
    partition: Annotated[int, typer.Option("--partition", min=0)],
    first: Annotated[int, typer.Option("--from", min=0, help="First offset of the range.")],
    last: Annotated[int, typer.Option("--to", min=0, help="Last offset of the range.")],
    config: ConfigFile = None,
) -> None:
    """Run a range of the raw topic again and print the events of that range, one JSON object a line."""

    def part(settings: Settings) -> int:
        from fleetpulse.flows.replay import main  # noqa: PLC0415

        return main(settings, partition=partition, first=first, last=last)

    _run(config, part)


@app.command()
def explain(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="The id of any event, as in its CloudEvents attribute.")],
    config: ConfigFile = None,
) -> None:
    """Why an event came: what fired, values and limits, what else happened to its subject, and the signals around it."""

    def part(settings: Settings) -> int:
        from fleetpulse.flows.explain import main  # noqa: PLC0415

        return main(settings, event_id)

    _run(config, part)


@app.command()
def bench(
    scenario: Annotated[
        str, typer.Argument(help="all, codec, source, state, snapshot, flow, latency, memory, rivals, chaos, quality or fuzz")
    ],
    json: Annotated[Path | None, typer.Option("--json", help="Write the report (JSON) here.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for plots (PNG).")] = None,
    scale: Annotated[float, typer.Option(min=0.001, max=10, help="Share of the full size; below 1 only to see that it runs.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the workloads.")] = 1,
    only: Annotated[list[str] | None, typer.Option("--only", help="Part of a scenario; may be given again (bench/README.md).")] = None,
    tuning: Annotated[bool, typer.Option("--tuning", help="Of `quality`: seeds and strengths that thresholds may be chosen on.")] = False,
    series: Annotated[list[Path] | None, typer.Option(help="Of `quality`: CSV of timestamp, value; prints one score a row.")] = None,
    telemetry: Annotated[Path | None, typer.Option(help="Of `quality`: CSV of frames by field name; prints the events.")] = None,
    imu: Annotated[Path | None, typer.Option(help="Of `quality`: CSV of time and three axes; prints the crashes.")] = None,
    more: Annotated[list[Path] | None, typer.Argument(help="More files for --series.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the scores of --series; without it stdout.")] = None,
    imu_unit: Annotated[str, typer.Option(help="Of --imu: g, mps2 or auto.")] = "auto",
    imu_limit: Annotated[float, typer.Option(min=10, help="Of --imu: least peak of a crash in m/s2.")] = 60.0,
    accept: Annotated[bool, typer.Option("--accept", help="Store the measured ratios as the expected ones.")] = False,
    kills: Annotated[int, typer.Option(min=0, help="Kills of `chaos`; 0: 20.")] = 0,
    config: ConfigFile = None,
) -> None:
    """One load or quality benchmark: a table, a report, and exit code 1 when a check does not hold. Or your own data through it."""

    def part(settings: Settings) -> int:
        if series or telemetry or imu or more:
            own = importlib.import_module("fleetpulse.bench.quality.own_data")
            ended: int = own.main(
                scenario,
                series=[*(series or ()), *(more or ())],
                telemetry=telemetry,
                imu=imu,
                out=out,
                json_file=json,
                imu_unit=imu_unit,
                imu_limit=imu_limit,
            )
            return ended
        module = importlib.import_module("fleetpulse.bench.main")  # by name: flows stands below bench
        code: int = module.main(
            scenario, json_file=json, plots=plots, scale=scale, seed=seed, only=only or (), accept=accept, kills=kills, tuning=tuning
        )
        return code

    _run(config, part)


if __name__ == "__main__":
    app()
