"""Our own commands as child processes of a test."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import psutil
from pydantic import SecretStr

from fleetpulse.config.settings import Settings
from fleetpulse.flows.child import Part


def environment(settings: Settings) -> dict[str, str]:
    """The settings as FLEETPULSE_* variables."""
    sections = settings.model_dump(exclude_defaults=True)
    return {f"FLEETPULSE_{s}__{k}".upper(): _text(v) for s, values in sections.items() for k, v in values.items()}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return orjson.dumps(value).decode() if isinstance(value, dict | list | tuple) else str(value)


@contextmanager
def part(settings: Settings, folder: Path, *arguments: str) -> Iterator[Part]:
    """`fleetpulse ARGUMENTS` for as long as the context lasts."""
    child = Part(list(arguments), folder, environment(settings))
    try:
        yield child
    finally:
        child.end(limit_s=15)


def workers(parent: Part) -> list[psutil.Process]:
    """The Bytewax processes that a flow's supervisor has now."""
    try:
        children = psutil.Process(parent.process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [child for child in children if child.is_running()]


def wait_for(condition: Callable[[], bool], *, limit_s: float = 60.0, what: str) -> None:
    """Fails with `what` when the condition does not hold within the limit."""
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, f"within {limit_s:g} s: {what}"
        time.sleep(0.05)


def said(child: Part, text: str) -> bool:
    """Whether the part has logged a line with this text."""
    return text in child.log_file.read_text(encoding="utf-8", errors="replace")
