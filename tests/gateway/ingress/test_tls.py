"""The bridge speaks TLS 1.3 with its own certificate, and with no broker whose certificate it cannot trust."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fleetpulse.config.settings import Settings
from fleetpulse.flows import topics
from fleetpulse.flows.embedded import EmbeddedKafka, EmbeddedMqtt
from tests.support.ingress import running, until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the certificates of this test")


class _TlsMqtt(EmbeddedMqtt):
    """rumqttd with a server certificate."""

    def __init__(self, data_dir: Path, certificates: Path) -> None:
        super().__init__(data_dir)
        self._certificates = certificates

    def _settings(self) -> str:
        files = {"capath": "ca.pem", "certpath": "server.pem", "keypath": "server.key"}
        lines = [f'{key} = "{self._certificates / name}"' for key, name in files.items()]
        return "\n".join([super()._settings(), "[v5.1.tls]", *lines, ""])

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.2):
                return True
        except OSError:
            return False


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def _authority(folder: Path, name: str) -> None:
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl(folder, "req", "-x509", *curve, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj", f"/CN={name}")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, another.pem (not ours), and server and bridge certificates of ca."""
    folder = tmp_path_factory.mktemp("certificates")
    _authority(folder, "ca")
    _authority(folder, "another")
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("server", "bridge"):
        _openssl(folder, "req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/O=fleet/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions", "-days", "2")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    return folder


@pytest.fixture
def secured(tmp_path: Path, kafka: EmbeddedKafka, certificates: Path) -> Iterator[Settings]:
    with _TlsMqtt(tmp_path / "mqtt", certificates) as broker:
        files = {"ca_file": "ca.pem", "certificate_file": "bridge.pem", "key_file": "bridge.key"}
        settings = Settings.model_validate(
            {
                "deployment": {"name": "test", "data_dir": tmp_path / "var"},
                "kafka": {"bootstrap_servers": kafka.address, "partitions": 4},
                "mqtt": {"port": broker.port, **{key: certificates / name for key, name in files.items()}},
                "bridge": {"metrics_port": 0, "share_group": ""},
            }
        )
        topics.ensure(settings, limit_s=10)
        yield settings


def test_it_connects_with_its_certificate_over_tls_1_3(secured: Settings) -> None:
    with running(secured) as bridge:
        assert until(lambda: sum(bridge.levels().written) > 0), "ticks, which need the subscriptions"
        wire = bridge._link._client.wire
        assert wire is not None, "connected"
        assert isinstance(wire._socket, ssl.SSLSocket)
        assert wire._socket.version() == "TLSv1.3"


def test_a_broker_of_another_authority_is_not_spoken_to(secured: Settings, certificates: Path) -> None:
    wary = secured.model_copy(update={"mqtt": secured.mqtt.model_copy(update={"ca_file": certificates / "another.pem"})})
    with capture_logs() as logs, running(wary, connected=False) as bridge:
        assert until(lambda: any("certificate verify failed" in str(line.get("error")) for line in logs))
        assert not bridge.levels().mqtt_up
