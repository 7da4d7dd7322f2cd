"""`fleetpulse token keys | issue`: the commands. What they do stands in gateway/egress/issuer.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from fleetpulse.config.settings import Settings

Run = Callable[[Path | None, Callable[[Settings], int]], None]

app = typer.Typer(no_args_is_help=True, help='Keys and tokens for gateway.auth = "jwt".')


def add(parent: typer.Typer, run: Run) -> None:
    """Put the group `token` into the command line. `run` calls a part with the settings and ends with its exit code."""

    @app.command()
    def keys(folder: Annotated[Path, typer.Argument(help="Where to write gateway.key and gateway.pub.")]) -> None:
        """Make an Ed25519 key pair. The gateway reads the public one, gateway.jwt_public_key_file."""

        def part(_: Settings) -> int:
            from fleetpulse.gateway.egress.issuer import make_keys  # noqa: PLC0415

            for file in make_keys(folder):
                typer.echo(file)
            return 0

        run(None, part)

    @app.command("issue")
    def issue_one(
        key: Annotated[Path, typer.Option(help="The private key (PEM).")],
        sub: Annotated[str, typer.Option(help="Who it is for: stands in operations as `by`.")],
        role: Annotated[str, typer.Option(help="viewer, operator, service or admin")] = "viewer",
        hours: Annotated[float, typer.Option(min=0.001, max=8760, help="How long it holds.")] = 12.0,
    ) -> None:
        """Print a token; issuer and audience are those of the settings."""

        def part(settings: Settings) -> int:
            from fleetpulse.gateway.egress.issuer import issue  # noqa: PLC0415

            gateway = settings.gateway
            typer.echo(issue(key, subject=sub, role=role, hours=hours, issuer=gateway.jwt_issuer, audience=gateway.jwt_audience))
            return 0

        run(None, part)

    parent.add_typer(app, name="token")
