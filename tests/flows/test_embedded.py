"""The embedded brokers say in one line why they cannot run, and leave nothing behind."""

import os
import socket
from pathlib import Path

import pytest

from fleetpulse.flows.embedded import EmbeddedError, EmbeddedKafka, EmbeddedMqtt, free_port


@pytest.mark.parametrize("broker", [EmbeddedKafka, EmbeddedMqtt])
def test_a_port_in_use_is_named(tmp_path: Path, broker: type[EmbeddedKafka] | type[EmbeddedMqtt]) -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(EmbeddedError, match=rf"needs port {port} on 127.0.0.1; got: Address already in use"):
            broker(tmp_path, port).start()


def test_a_stopped_broker_has_no_process(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path) as broker:
        pid = broker.pid
        assert broker.running
    assert not broker.running
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
