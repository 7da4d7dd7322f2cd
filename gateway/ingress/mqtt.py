"""The bridge's connection to the MQTT broker: paho behind one small class. Nothing is known here of payloads, Kafka or vehicles.

One thread drives it: `turn` waits for the socket, reads, reconnects. Messages are not acknowledged by themselves: `ack` does it,
in the order of receipt, as MQTT 5 (section 4.6) and brokers demand. Two of paho's private methods are overridden, because its own
way costs 84 us an answered message (README.md beside this file has the figures): `_create_socket`, to read and write in bulk, and
`_handle_publish`. paho is pinned, and each test of this folder that receives a message fails if a new version moves them.
"""

import random
import select
import socket
import ssl
import time
from collections.abc import Callable, Sequence

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from fleetpulse.config.settings import ConfigError, Mqtt
from fleetpulse.gateway.ingress.packets import PacketError, Publish, decode_publish, encode_puback

log = structlog.get_logger()

KEEPALIVE_S = 30
CONNECT_S = 3.0
"""How long a connection attempt may take, and as long again for the broker's CONNACK and SUBACK."""
BACKOFF_S = (0.2, 10.0)
SESSION_S = 3600
"""How long the broker keeps what this bridge has not acknowledged while the bridge is away."""
READ_BYTES = 256 << 10
TURN_MESSAGES = 500
"""Messages taken in one turn, so that Kafka and the acknowledgements have their turn too."""
_SEND_RETAINED_TO_NEW = 1
"""MQTT 5 retain handling: retained messages come with a new subscription only, not with every reconnection."""


class _Wire:
    """paho's socket, with reads and writes in bulk. `dry` after a read that would have had to wait."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._read = b""
        self._at = 0
        self.out = bytearray()
        self.dry = False

    def recv(self, size: int) -> bytes:
        if self._at == len(self._read):
            try:
                self._read = self._socket.recv(READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                self.dry = True
                raise
            self._at = 0
        chunk = self._read[self._at : self._at + size]
        self._at += len(chunk)
        return chunk

    def send(self, data: bytes | bytearray) -> int:
        self.out += data
        return len(data)

    def flush(self) -> None:
        """Write what the socket takes now. A broken connection shows at the next read."""
        try:
            while self.out:
                sent = self._socket.send(self.out)
                del self.out[:sent]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except OSError:
            self.out.clear()

    def fileno(self) -> int:
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        self._socket.setblocking(flag)

    def close(self) -> None:
        """What was received and not yet taken is gone, too: the next read must find the end."""
        self.flush()
        self._socket.close()
        self._read, self._at = b"", 0


class _Client(paho.Client):
    """paho with the fast path in place of its own for sockets and PUBLISH."""

    def __init__(self, client_id: str, settings: Mqtt, take: Callable[[Publish], None]) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5, manual_ack=True)
        self.wire: _Wire | None = None
        self._address = (settings.host, settings.port)
        self._tls = tls_context(settings)
        self._take_publish = take

    def _create_socket(self) -> _Wire:
        sock = socket.create_connection(self._address, timeout=CONNECT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_hostname=self._address[0])
        self.wire = _Wire(sock)
        return self.wire

    def unheard(self) -> None:
        """Nothing is read, by our own will: that no answer to a ping has come does not tell that the broker is gone. Pings go on."""
        self._ping_t = 0.0
        with self._msgtime_mutex:
            self._last_msg_in = time.monotonic()

    def _handle_publish(self) -> MQTTErrorCode:
        try:
            publish = decode_publish(self._in_packet["command"], bytes(self._in_packet["packet"]))
        except PacketError as error:
            raise MalformedPacket(str(error)) from None
        self._take_publish(publish)
        return MQTTErrorCode.MQTT_ERR_SUCCESS


class Link:
    """A persistent session with subscriptions, brought back with backoff whenever it is lost.

    take  called for each message in the order of receipt, within turn()
    lost  called when the connection is lost: what was not acknowledged will come again, under other identifiers
    """

    def __init__(
        self,
        settings: Mqtt,
        *,
        client_id: str,
        filters: Sequence[str],
        receive_maximum: int,
        take: Callable[[Publish], None],
        lost: Callable[[], None],
    ) -> None:
        self.up = False
        self._settings = settings
        self._filters = filters
        self._lost = lost
        self._connect_properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's, without types
        self._connect_properties.SessionExpiryInterval = SESSION_S
        self._connect_properties.ReceiveMaximum = receive_maximum
        self._client = _Client(client_id, settings, take)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        if settings.username is not None:
            password = settings.password.get_secret_value() if settings.password else None
            self._client.username_pw_set(settings.username, password)
        self._closing = False
        self._first = True
        self._more = False
        self._pause_s = BACKOFF_S[0]
        self._retry_at = 0.0
        self._deadline = 0.0
        self._away_since: float | None = None
        self._misc_at = 0.0

    def turn(self, timeout_s: float, *, read: Callable[[], bool]) -> None:
        """Wait at most timeout_s for something to do, then read messages while `read` allows it."""
        now = time.monotonic()
        if self._client.socket() is None and not self._connect(now, timeout_s):
            return
        wire = self._client.wire
        assert wire is not None, "connected"
        taking = read()
        wait_s = 0.0 if self._more and taking else timeout_s
        ready = select.select([wire] if taking else [], [wire] if wire.out else [], [], wait_s)
        if taking and (ready[0] or self._more):
            self._read(wire, read)
        if not taking:
            self._client.unheard()
            self._deadline = now + CONNECT_S  # nor does it tell that no CONNACK or SUBACK has: they stand behind what we do not read
        if self._client.want_write():  # what paho's callbacks asked for: SUBSCRIBE, DISCONNECT
            self._client.loop_write()
        if now >= self._misc_at:
            self._misc_at = now + 1.0
            self._client.loop_misc()
        if not self.up and self._client.socket() is not None and now > self._deadline:
            self._say_away("the broker does not answer")
            wire.close()
            self._client.loop_read()  # finds it closed

    def _read(self, wire: _Wire, allowed: Callable[[], bool]) -> None:
        wire.dry = False
        for _ in range(TURN_MESSAGES):
            self._client.loop_read()
            if wire.dry or self._client.socket() is None:
                self._more = False
                return
            if not allowed():
                break
        self._more = True

    def ack(self, mid: int) -> None:
        """Acknowledge a QoS 1 message of the present connection; sent by flush()."""
        if self._client.wire is not None:
            self._client.wire.out += encode_puback(mid)

    def answer(self, packet: bytes) -> None:
        """Publish what packets.encode_answer made; sent by flush()."""
        if self._client.wire is not None:
            self._client.wire.out += packet

    def flush(self) -> None:
        if self._client.socket() is not None and self._client.wire is not None:
            self._client.wire.flush()

    def close(self) -> None:
        """Say goodbye. The broker keeps the session for SESSION_S, so that nothing is lost until a bridge is back."""
        self._closing = True
        if self._client.socket() is not None:
            self._client.disconnect()

    def _connect(self, now: float, timeout_s: float) -> bool:
        """Try when it is time; else wait a little. True when there is a socket."""
        if now < self._retry_at:
            time.sleep(min(timeout_s, self._retry_at - now))
            return False
        try:
            if self._first:
                self._client.connect(
                    self._settings.host, self._settings.port, KEEPALIVE_S, clean_start=False, properties=self._connect_properties
                )
                self._first = False
            else:
                self._client.reconnect()
        except OSError as error:
            self._say_away(str(error))
            self._back_off()
            return False
        self._more = False
        self._deadline = time.monotonic() + CONNECT_S
        return True

    def _back_off(self) -> None:
        self._retry_at = time.monotonic() + self._pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        self._pause_s = min(2 * self._pause_s, BACKOFF_S[1])

    def _say_away(self, reason: str) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning("MQTT is away; waiting for it", host=self._settings.host, port=self._settings.port, error=reason)

    def _on_connect(self, client: paho.Client, userdata: object, flags: paho.ConnectFlags, reason: ReasonCode, properties: object) -> None:
        if reason.is_failure:
            self._say_away(str(reason))
            return
        options = SubscribeOptions(qos=1, retainHandling=_SEND_RETAINED_TO_NEW)
        client.subscribe([(name, options) for name in self._filters])

    def _on_subscribe(self, client: paho.Client, userdata: object, mid: int, reasons: list[ReasonCode], properties: object) -> None:
        refused = [f"{name}: {reason}" for name, reason in zip(self._filters, reasons, strict=False) if reason.is_failure]
        if refused:
            self._say_away(f"subscriptions refused: {', '.join(refused)}")
            client.disconnect()
            return
        self.up = True
        self._pause_s = BACKOFF_S[0]
        if self._away_since is not None:
            log.info("MQTT is back", waited_s=round(time.monotonic() - self._away_since, 1))
            self._away_since = None

    def _on_disconnect(
        self, client: paho.Client, userdata: object, flags: paho.DisconnectFlags, reason: ReasonCode, properties: object
    ) -> None:
        self.up = False
        if self._closing:
            return
        self._say_away(str(reason))
        self._back_off()
        self._lost()


def tls_context(settings: Mqtt) -> ssl.SSLContext | None:
    """TLS 1.3 with the operator's CA, and with our certificate if there is one; None: plain TCP. Raises ConfigError."""
    if settings.ca_file is None and settings.certificate_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if settings.certificate_file is not None:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
    except OSError as error:  # an SSLError too
        files = [str(file) for file in (settings.ca_file, settings.certificate_file, settings.key_file) if file is not None]
        raise ConfigError(f"mqtt.ca_file, certificate_file and key_file must be readable PEM; got {error} ({', '.join(files)})") from None
    return context
