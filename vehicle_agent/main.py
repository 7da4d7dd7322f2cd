"""`fleetpulse agent`: simulated vehicles against the MQTT broker of the settings, until a signal or for a duration."""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

import structlog

from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.settings import Settings
from fleetpulse.vehicle_agent.agent import Agent, Fleetload
from fleetpulse.vehicle_agent.scenario import named

log = structlog.get_logger()


@dataclass(frozen=True)
class Options:
    """What the command line gives.

    ledger_dir  ledger, boots, labels and store are written here; None: `agent` in the deployment's data_dir
    duration_s  on the wall; None: until SIGTERM or SIGINT
    """

    vehicles: int = 500
    seed: int = 1
    scenario: str = "mixed"
    ledger_dir: Path | None = None
    duration_s: float | None = None


def main(settings: Settings, options: Options) -> int:
    """Run the vehicles; 0 when they were ended as asked. Raises ConfigError, and OSError when the store is in use."""
    asyncio.run(_run(settings, options))
    return 0


async def _run(settings: Settings, options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    folder = options.ledger_dir or settings.deployment.data_dir / "agent"
    load = Fleetload(options.vehicles, options.seed, named(options.scenario), folder)
    agent = Agent(settings, load, load_fleet())
    if options.duration_s is not None:
        loop.call_later(options.duration_s, stop.set)
    log.info("vehicles run", vehicles=options.vehicles, scenario=options.scenario, ledger=str(folder))
    ledger = await agent.run(stop)
    log.info("vehicles stopped", **{key: ledger[key] for key in ("frames", "garbage", "duplicates", "pending", "dropped")})


if __name__ == "__main__":
    from fleetpulse.config.log import configure
    from fleetpulse.config.settings import load

    configure("agent")
    raise SystemExit(main(load(), Options()))
