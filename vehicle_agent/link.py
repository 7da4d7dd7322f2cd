"""How a vehicle speaks MQTT 5: topics, properties, TLS, the client of aiomqtt. No queue and no retry here; that is session.py."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fleetpulse.codecs import presence
from fleetpulse.codecs.presence import Presence
from fleetpulse.config.settings import ConfigError, Mqtt
from fleetpulse.vehicle_agent.parcel import Kind

KEEP_ALIVE_S = 60
CONNECT_S = 5.0
"""How long connecting, subscribing and leaving may take."""
PUBLISH_S = 30.0
"""How long the broker may take to acknowledge; then the connection counts as broken."""
_PENDING_CALLS = 1000

_quiet = logging.getLogger("fleetpulse.mqtt")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


def tls(mqtt: Mqtt, certificate_dir: Path | None = None, device_id: bytes = b"") -> ssl.SSLContext | None:
    """TLS 1.3 with the deployment's CA and, for mTLS, a certificate; None when no CA is set. Raises ConfigError.

    certificate_dir  where each vehicle has one of its own, named by `device_id`; None: mqtt.certificate_file
    """
    if mqtt.ca_file is None:
        if certificate_dir is not None:
            raise ConfigError("agent.certificate_dir needs mqtt.ca_file, the authority that the broker's certificate is of; it is not set")
        return None
    certificate, key = mqtt.certificate_file, mqtt.key_file
    if certificate_dir is not None:
        name = str(UUID(bytes=device_id))
        certificate, key = certificate_dir / f"{name}.pem", certificate_dir / f"{name}.key"
    try:
        context = ssl.create_default_context(cafile=str(mqtt.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except OSError as error:  # SSLError is one
        files = ", ".join(str(file) for file in (mqtt.ca_file, certificate, key) if file is not None)
        raise ConfigError(f"mqtt.ca_file, certificate_file and key_file must be readable PEM; got {error} ({files})") from None
    return context


class Vehicle:
    """A vehicle's topics, and the properties of its publishes: made once, because making them costs more than sending."""

    def __init__(self, device_id: bytes) -> None:
        self.device_id = device_id
        self.name = str(UUID(bytes=device_id))
        self.ack_topic = f"ack/{self.name}"
        self.status_topic = f"status/{self.name}"
        self._telemetry_topic = f"telemetry/{self.name}"
        self._alert_topic = f"alert/{self.name}"
        self._properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        self._properties.ResponseTopic = self.ack_topic

    def topic(self, kind: Kind) -> str:
        return self._alert_topic if kind is Kind.ALERT else self._telemetry_topic

    def properties(self, correlation: bytes) -> Properties:
        """For the next publish alone: paho packs them within publish() while its in-flight bound is not reached."""
        self._properties.CorrelationData = correlation
        return self._properties


def _answers(take: Callable[[bytes], None]) -> type[asyncio.Queue[aiomqtt.Message]]:
    """A queue for aiomqtt that hands Correlation Data over on receipt: a task a message would cost more than all the rest."""

    class Answers(asyncio.Queue[aiomqtt.Message]):
        def put_nowait(self, item: aiomqtt.Message) -> None:
            correlation = getattr(item.properties, "CorrelationData", None)
            if correlation is not None:
                take(correlation)

    return Answers


def client(
    mqtt: Mqtt, context: ssl.SSLContext | None, vehicles: list[Vehicle], will: Presence, take: Callable[[bytes], None]
) -> aiomqtt.Client:
    """A connection, not yet made, of these vehicles. One will a connection: the first vehicle's.

    take  called in the event loop with the Correlation Data of each answer of the bridge; must not block
    """
    connection = aiomqtt.Client(
        mqtt.host,
        mqtt.port,
        username=mqtt.username,
        password=mqtt.password.get_secret_value() if mqtt.password else None,
        identifier=f"vehicle-{vehicles[0].name}",
        protocol=aiomqtt.ProtocolVersion.V5,
        will=aiomqtt.Will(vehicles[0].status_topic, presence.encode(will), qos=1, retain=True),
        keepalive=KEEP_ALIVE_S,
        timeout=CONNECT_S,
        tls_context=context,
        queue_type=_answers(take),
        max_inflight_messages=_PENDING_CALLS,
        logger=_quiet,
    )
    connection.pending_calls_threshold = _PENDING_CALLS
    return connection
