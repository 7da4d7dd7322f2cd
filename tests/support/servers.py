"""Real servers for tests, or the reason why there are none: a skip, and a failure where a skip must not be (STRICT)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from fleetpulse.bench.apache_kafka import ApacheKafka
from fleetpulse.bench.maven import MissingToolError
from fleetpulse.bench.servers import Alertmanager, Mosquitto, Prometheus
from fleetpulse.flows.embedded import Broker

__all__ = ["STRICT", "Alertmanager", "ApacheKafka", "Mosquitto", "Prometheus", "running"]

STRICT = os.environ.get("CI", "") == "true"
"""Whether a server that cannot be had fails the test; what .ci/run asks for."""

B = TypeVar("B", bound=Broker)


@contextmanager
def running(server: B) -> Iterator[B]:
    """`server` started, and stopped at the end; the test is skipped, or fails if STRICT, where its program cannot be had."""
    try:
        server.start()
    except MissingToolError as error:
        reason = f"{server.what} cannot run here: {error}"
        if STRICT:
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield server
    finally:
        server.stop()
