"""Apache Kafka behind TLS and SASL (SCRAM-SHA-256), with certificates of our own authority, beside its open port for the test itself."""

from pathlib import Path
from typing import Self

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from fleetpulse.flows.embedded import HOST, free_port
from fleetpulse.vehicle_agent.authority import Authority
from tests.support.servers import ApacheKafka

USER = "fleetpulse"
SERVER = "localhost"
_TIMEOUT_S = 20.0


class SecureKafka(ApacheKafka):
    """`secure_port` is the one behind the doors. The authority needs a certificate of SERVER."""

    def __init__(self, data_dir: Path, authority: Authority, *, password: str) -> None:
        super().__init__(data_dir, heap="512m")
        self._authority = authority
        self._password = password
        self._secure_port = free_port()

    @property
    def secure_address(self) -> str:
        return f"{SERVER}:{self._secure_port}"

    def start(self) -> Self:
        super().start()
        self.set_password(self._password)
        return self

    def set_password(self, password: str) -> None:
        """From the next connection on."""
        self._password = password
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        (done,) = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, info, password.encode())]).values()
        done.result(_TIMEOUT_S)

    def options(self, **others: str) -> dict[str, str]:
        """What a client of ours has in `kafka.options`; `others` win, `_` for `.` in their names."""
        right = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": USER,
            "sasl.password": self._password,
            "ssl.ca.location": str(self._authority.ca_file),
        }
        return right | {name.replace("_", "."): value for name, value in others.items()}

    def _settings(self) -> str:
        settings = super()._settings()
        found = dict(line.split("=", 1) for line in settings.splitlines())
        certificate, key = self._authority.files(SERVER)
        keystore = self._data_dir / "keystore.pem"
        keystore.write_bytes(key.read_bytes() + certificate.read_bytes())
        address, listener = f"SECURE://{HOST}:{self._secure_port}", "listener.name.secure"
        more = {
            "listeners": f"{found['listeners']},{address}",
            "advertised.listeners": f"{found['advertised.listeners']},SECURE://{self.secure_address}",
            "listener.security.protocol.map": f"{found['listener.security.protocol.map']},SECURE:SASL_SSL",
            f"{listener}.sasl.enabled.mechanisms": "SCRAM-SHA-256",
            f"{listener}.scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            f"{listener}.ssl.keystore.type": "PEM",
            f"{listener}.ssl.keystore.location": str(keystore),
            f"{listener}.ssl.enabled.protocols": "TLSv1.3",
        }
        return settings + "".join(f"{name}={value}\n" for name, value in more.items())  # of two equal names the last wins
