"""`fleetpulse store show | backup | restore | reset | skip` and `fleetpulse dead-letters`: what an operator does by hand.

What the commands do to a store stands in backup.py and position.py.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fleetpulse.config.settings import ConfigError, Settings

Run = Callable[[Path | None, Callable[[Settings], int]], None]

ConfigFile = Annotated[Path | None, typer.Option("--config", envvar="FLEETPULSE_CONFIG", help="Settings as TOML.")]
FlowName = Annotated[str, typer.Argument(metavar="FLOW", help="telemetry, detect or city")]
MEBI = 1 << 20


def add(app: typer.Typer, run: Run) -> None:
    """Put the commands into the application. `run` calls a part with the settings and ends with its exit code."""
    group = typer.Typer(no_args_is_help=True, help="The recovery store of a flow: look, back up, restore, reset, skip.")
    app.add_typer(group, name="store")

    @group.command()
    def show(flow: FlowName, config: ConfigFile = None) -> None:
        """Where the flow stands: its last committed epoch; of each partition offset, Kafka's end, version and size of its state."""
        run(config, lambda settings: _show(settings, known(flow)))

    @group.command()
    def backup(flow: FlowName, folder: Annotated[Path, typer.Argument(help="New folder.")], config: ConfigFile = None) -> None:
        """Copy the store as it is at the last committed epoch; the flow may run."""

        def part(settings: Settings) -> int:
            from fleetpulse.flows import backup as copies  # noqa: PLC0415
            from fleetpulse.flows import recovery  # noqa: PLC0415

            epoch = copies.backup(recovery.folder_of(settings, known(flow)), folder)
            typer.echo(f"{flow}: epoch {epoch - 1} is in {folder}")
            return 0

        run(config, part)

    @group.command()
    def restore(flow: FlowName, folder: Annotated[Path, typer.Argument(help="A backup.")], config: ConfigFile = None) -> None:
        """Put a backup in the store's place; the flow must be stopped. It makes the events since then again, with the same ids."""

        def part(settings: Settings) -> int:
            from fleetpulse.flows import backup as copies  # noqa: PLC0415
            from fleetpulse.flows import position, recovery  # noqa: PLC0415

            partitions = position.partitions_of(settings, known(flow))
            aside = copies.restore(recovery.folder_of(settings, flow), folder, partitions)
            typer.echo(f"{flow}: restored from {folder}" + (f"; what was there is in {aside}" if aside else ""))
            return 0

        run(config, part)

    @group.command()
    def reset(flow: FlowName, config: ConfigFile = None) -> None:
        """Begin anew: the flow, which must be stopped, reads all that its topic still has. The old store is set aside."""

        def part(settings: Settings) -> int:
            from fleetpulse.flows import backup as copies  # noqa: PLC0415
            from fleetpulse.flows import recovery  # noqa: PLC0415

            aside = copies.reset(recovery.folder_of(settings, known(flow)))
            typer.echo(f"{flow}: begins anew" + (f"; what was there is in {aside}" if aside else ""))
            return 0

        run(config, part)

    @group.command()
    def skip(
        flow: FlowName,
        to: Annotated[str, typer.Option("--to", help="An offset, `first` (that Kafka still has) or `end`.")],
        partition: Annotated[list[int], typer.Option("--partition", min=0, help="May be given again.")],
        config: ConfigFile = None,
    ) -> None:
        """Leave records out: the flow, which must be stopped, goes on at a later offset with the state it has."""
        run(config, lambda settings: _skip(settings, known(flow), to, partition))

    @app.command("dead-letters")
    def dead_letters(
        last: Annotated[int, typer.Option(min=1, help="How many at most, the newest.")] = 20,
        reason: Annotated[str | None, typer.Option(help="Only of this reason.")] = None,
        config: ConfigFile = None,
    ) -> None:
        """What was not taken: one JSON object a line with reason, origin and the bytes in base64, oldest first."""

        def part(settings: Settings) -> int:
            from fleetpulse.flows import letters  # noqa: PLC0415

            for line in letters.newest(settings, last, reason):
                typer.echo(line)
            return 0

        run(config, part)


def known(flow: str) -> str:
    """The flow's name. Raises ConfigError."""
    from fleetpulse.flows.supervisor import NAMES  # noqa: PLC0415

    if flow not in NAMES:
        raise ConfigError(f"a flow must be one of {', '.join(NAMES)}; got {flow!r}")
    return flow


def _show(settings: Settings, flow: str) -> int:
    from confluent_kafka import KafkaException  # noqa: PLC0415

    from fleetpulse.flows import offsets, position, recovery  # noqa: PLC0415
    from fleetpulse.flows.keys import shard_of  # noqa: PLC0415

    partitions, folder = position.partitions_of(settings, flow), recovery.folder_of(settings, flow)
    files = recovery.files_of(folder)
    if not files:
        typer.echo(f"{flow}: no recovery store in {folder}; the flow would begin anew")
        return 0
    recovery.check(folder, partitions)
    with recovery.readable(folder), recovery.opened(files) as stores:
        epoch = recovery.resume_epoch(stores)
        at = recovery.source_offsets(stores)
        states = {shard_of(key): state for key, state in recovery.snapshots(stores, position.STEPS[flow]).items()}
    try:
        ends = offsets.ends(settings, position.INPUTS[flow], partitions)
    except (KafkaException, TimeoutError):
        typer.echo("Kafka does not answer: no ends", err=True)
        ends = {}
    written = datetime.fromtimestamp(max(file.stat().st_mtime for file in folder.glob("part-*")), UTC)
    size = sum(file.stat().st_size for file in folder.glob("part-*"))
    typer.echo(f"{flow}: epoch {epoch - 1}, written {written:%Y-%m-%d %H:%M:%S} UTC, {size / MEBI:.1f} MiB in {folder}")
    typer.echo(f"{'partition':>9} {'offset':>12} {'end':>12} {'behind':>10}  state")
    for partition in range(partitions):
        offset, end, state = at.get(partition, 0), ends.get(partition), states.get(partition)
        shown = f"{position.version_of(state)}, {len(state)} bytes" if isinstance(state, bytes) else "none"
        behind = "-" if end is None else str(end - offset)
        typer.echo(f"{partition:>9} {offset:>12} {'-' if end is None else end:>12} {behind:>10}  {shown}")
    return 0


def _skip(settings: Settings, flow: str, to: str, partitions: list[int]) -> int:
    from confluent_kafka import KafkaException  # noqa: PLC0415

    from fleetpulse.codecs.errors import RefusedError  # noqa: PLC0415
    from fleetpulse.flows import offsets, position, recovery  # noqa: PLC0415

    count, topic = position.partitions_of(settings, flow), position.INPUTS[flow]
    if (to not in ("first", "end") and not to.isdecimal()) or max(partitions) >= count:
        raise ConfigError(f"--to must be an offset, `first` or `end`, and --partition below {count}; got {to!r}, {partitions}")
    try:
        ends = offsets.ends(settings, topic, count)
        firsts = offsets.begins(settings, topic, count)
    except KafkaException as error:
        raise OSError(f"Kafka must say what {topic} holds; got: {error.args[0].str()}") from None
    wanted = {p: firsts[p] if to == "first" else ends[p] if to == "end" else int(to) for p in partitions}
    with recovery.RecoveryStore(recovery.folder_of(settings, flow)) as store:
        store.check(count)
        store.forget_uncommitted()
        with recovery.readable(store.folder), recovery.opened(recovery.files_of(store.folder)) as stores:
            at = recovery.source_offsets(stores)
            for p, offset in wanted.items():
                if not at.get(p, 0) <= offset <= ends[p]:
                    raise ConfigError(
                        f"partition {p} can be put to offsets {at.get(p, 0)}-{ends[p]}; got {offset}; to go back, restore or reset"
                    )
            try:
                position.move(stores, flow, wanted)
            except RefusedError as error:
                raise ConfigError(str(error)) from None
    for p, offset in sorted(wanted.items()):
        typer.echo(f"{flow}: partition {p} goes on at {offset}; {offset - at[p]} records are left out")
    return 0
