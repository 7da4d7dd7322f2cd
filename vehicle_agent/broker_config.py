"""Mosquitto's configuration and rules for a fleet with certificates: who may connect, and what a name may say and hear. Text only.

Vehicles and bridges have a port each. On the vehicles' one the client id is the certificate's name, whatever the client says: a vehicle
cannot take over another one's session. Bridges share one name, so theirs keep their own ids; keep that port off the public network.
"""

from collections.abc import Iterator
from pathlib import Path

from fleetpulse.vehicle_agent.authority import BRIDGE, Authority

ACL = f"""# a vehicle: its own topics alone; %u is the name in its certificate
pattern write telemetry/%u
pattern write alert/%u
pattern write status/%u
pattern read command/%u
pattern read ack/%u

user {BRIDGE}
topic read telemetry/+
topic read alert/+
topic read status/+
topic write ack/+
"""
QUEUED = 100_000
"""Messages that the broker keeps for a bridge that is away or slow; what is beyond comes again from the vehicles after agent.resend_s."""


def write(authority: Authority, folder: Path, *, server: str, host: str, vehicles_port: int, bridges_port: int) -> Path:
    """Write mosquitto.conf and mosquitto.acl into `folder`; the former's path. `server`: the name of the broker's certificate.

    host  address to listen on; empty: all
    """
    folder.mkdir(parents=True, exist_ok=True)
    acl = folder.resolve() / "mosquitto.acl"
    acl.write_text(ACL, encoding="utf-8")
    file = folder / "mosquitto.conf"
    lines = _lines(authority, acl, server=server, host=host, vehicles_port=vehicles_port, bridges_port=bridges_port)
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return file


def _lines(authority: Authority, acl: Path, *, server: str, host: str, vehicles_port: int, bridges_port: int) -> Iterator[str]:
    files = authority.files(server)
    yield from ("allow_anonymous false", f"acl_file {acl}", f"max_queued_messages {QUEUED}")
    for port, vehicles in ((vehicles_port, True), (bridges_port, False)):
        yield from ("", f"listener {port} {host}".rstrip())
        yield f"cafile {authority.ca_file.resolve()}"
        yield f"certfile {files.certificate.resolve()}"
        yield f"keyfile {files.key.resolve()}"
        yield f"crlfile {authority.crl_file.resolve()}"
        yield from ("tls_version tlsv1.3", "require_certificate true", "use_identity_as_username true")
        if vehicles:
            yield "use_username_as_clientid true"
