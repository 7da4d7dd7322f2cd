"""`fleetpulse gateway`: checks, the listening socket, the server, and its end. SIGTERM and Ctrl-C end it cleanly with exit code 0."""

import ipaddress
import signal
import socket
import ssl
from types import FrameType

import structlog
import uvicorn

from fleetpulse.config.fleet import Fleet, load_fleet
from fleetpulse.config.settings import ConfigError, Settings
from fleetpulse.gateway.egress.app import create
from fleetpulse.gateway.egress.auth import Tokens
from fleetpulse.gateway.egress.hub import Hub

log = structlog.get_logger()

SILENT_S = 30
"""A peer that takes no byte of what waits for it for so long is cut by the kernel, so that no stuck client holds a socket for ever."""
GRACE_S = 3
_BACKLOG = 1024
_MAX_MESSAGE_BYTES = 64 << 10


class Server(uvicorn.Server):
    """uvicorn over one hub; ends all streams first when it shuts down, and stops when the hub has failed."""

    def __init__(self, settings: Settings, fleet: Fleet) -> None:
        self.hub = Hub(settings, fleet, failed=self._on_failed)
        self.failure: str | None = None
        config = uvicorn.Config(
            create(self.hub),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            ws_max_size=_MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # it costs more than loopback and data centre do
            proxy_headers=bool(settings.gateway.trusted_proxies),
            forwarded_allow_ips=[str(network) for network in settings.gateway.trusted_proxies],
            ssl_certfile=settings.gateway.certificate_file,
            ssl_keyfile=settings.gateway.key_file,
        )
        super().__init__(config)

    def _on_failed(self, sentence: str) -> None:
        self.failure = sentence
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.hub.streams.close()
        await super().shutdown(sockets)


def listen(settings: Settings, *, silent_s: float = SILENT_S) -> socket.socket:
    """The bound socket of settings.gateway. Raises OSError with one sentence when it cannot be had."""
    host, port = settings.gateway.host, settings.gateway.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(silent_s * 1000))  # inherited by what it accepts
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        raise OSError(f"the gateway needs {host}:{port}; got: {error.strerror} (stop what uses it, or set gateway.port)") from None
    return listener


def check(settings: Settings) -> None:
    """Raises ConfigError when the gateway must not serve with these settings."""
    gateway = settings.gateway
    if gateway.auth == "jwt":
        Tokens(gateway)
    elif not _is_loopback(gateway.host):
        raise ConfigError(f'gateway.host must be a loopback address while gateway.auth is "off"; got {gateway.host!r}')
    if (gateway.certificate_file is None) != (gateway.key_file is None):
        raise ConfigError("gateway.certificate_file and gateway.key_file must be set together")
    if gateway.certificate_file is not None and gateway.key_file is not None:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(gateway.certificate_file, gateway.key_file)
        except OSError as error:
            raise ConfigError(
                f"gateway.certificate_file and gateway.key_file must be a PEM certificate and its key; got: {error}"
            ) from None
    elif not _is_loopback(gateway.host) and not gateway.trusted_proxies:
        raise ConfigError(
            "tokens must not travel in the clear: set gateway.certificate_file and gateway.key_file, or name the proxy that speaks TLS in "
            f"gateway.trusted_proxies; got the address {gateway.host!r} and none of them"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def main(settings: Settings) -> int:
    """Serve until a signal. 0: ended by one; 1: Kafka refused for good. Raises ConfigError, OSError (port in use)."""
    check(settings)
    fleet = load_fleet()
    listener = listen(settings)
    server = Server(settings, fleet)

    def ignore(number: int, frame: FrameType | None) -> None:
        """uvicorn raises the signal again when it has ended by it; that must not be our exit code."""

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ignore)
    host, port = listener.getsockname()[:2]
    scheme = "http" if settings.gateway.certificate_file is None else "https"
    log.info("gateway is up", url=f"{scheme}://{host}:{port}" if ":" not in host else f"{scheme}://[{host}]:{port}")
    server.run(sockets=[listener])
    if server.failure is not None:
        log.error("the gateway has ended", error=server.failure)
        return 1
    return 0
