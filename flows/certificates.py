"""`fleetpulse agent enroll | revoke | broker-config`: the authority's commands. What they do stands in vehicle_agent/authority.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from fleetpulse.config.settings import Settings

Run = Callable[[Path | None, Callable[[Settings], int]], None]

ConfigFile = Annotated[Path | None, typer.Option("--config", envvar="FLEETPULSE_CONFIG", help="Settings as TOML.")]
Folder = Annotated[Path | None, typer.Option(help="The authority's folder; by default `authority` in the data_dir.")]


def _folder(settings: Settings, given: Path | None) -> Path:
    return given or settings.deployment.data_dir / "authority"


def add(agent: typer.Typer, run: Run) -> None:
    """Put the commands into the group. `run` calls a part with the settings and ends with its exit code."""

    @agent.command()
    def enroll(
        device: Annotated[list[str] | None, typer.Argument(help="Device ids: a certificate and a key each.")] = None,
        bridge: Annotated[bool, typer.Option("--bridge", help="A certificate for the bridges.")] = False,
        server: Annotated[list[str] | None, typer.Option("--server", help="A broker's, by its host names and addresses.")] = None,
        days: Annotated[int | None, typer.Option(min=1, max=3650, help="Validity; by default agent.certificate_days.")] = None,
        authority: Folder = None,
        config: ConfigFile = None,
    ) -> None:
        """Issue certificates; the first call makes the authority. Prints the files."""

        def part(settings: Settings) -> int:
            from fleetpulse.vehicle_agent.authority import Authority  # noqa: PLC0415

            issuer, valid = Authority(_folder(settings, authority)), days or settings.agent.certificate_days
            made = [issuer.vehicle(device_id, days=valid) for device_id in device or ()]
            if bridge:
                made.append(issuer.bridge(days=valid))
            if server:
                made.append(issuer.server(server, days=valid))
            for file in (issuer.ca_file, *(file for files in made for file in files)):
                typer.echo(file)
            return 0

        run(config, part)

    @agent.command()
    def revoke(
        name: Annotated[str, typer.Argument(help="A device id, `bridge`, or a server's first name.")],
        authority: Folder = None,
        config: ConfigFile = None,
    ) -> None:
        """Revoke a certificate: the broker refuses it when it has read the list again. Prints the list's file."""

        def part(settings: Settings) -> int:
            from fleetpulse.vehicle_agent.authority import Authority  # noqa: PLC0415

            typer.echo(Authority(_folder(settings, authority)).revoke(name))
            return 0

        run(config, part)

    @agent.command()
    def broker_config(
        folder: Annotated[Path, typer.Argument(help="Where to write mosquitto.conf and mosquitto.acl.")],
        server: Annotated[str, typer.Option("--server", help="First name of the broker's certificate, as it was enrolled.")],
        host: Annotated[str, typer.Option(help="Address to listen on; empty: all.")] = "",
        vehicles_port: Annotated[int, typer.Option(min=1, max=65535)] = 8883,
        bridges_port: Annotated[int, typer.Option(min=1, max=65535)] = 8884,
        authority: Folder = None,
        config: ConfigFile = None,
    ) -> None:
        """Write Mosquitto's configuration and rules: certificates demanded, a vehicle on its own topics alone. Prints the file."""

        def part(settings: Settings) -> int:
            from fleetpulse.vehicle_agent import broker_config  # noqa: PLC0415
            from fleetpulse.vehicle_agent.authority import Authority  # noqa: PLC0415

            issuer = Authority(_folder(settings, authority))
            ports = {"vehicles_port": vehicles_port, "bridges_port": bridges_port}
            typer.echo(broker_config.write(issuer, folder, server=server, host=host, **ports))
            return 0

        run(config, part)
