"""The fleet's certificate authority, in a folder: issues and revokes the certificates of vehicles, bridges and brokers.

A vehicle's common name is its device id as the topics have it, a bridge's is `bridge`: the broker's rules (broker_config.py) stand on
that. The folder holds ca.pem, ca.key, crl.pem, `issued/` with a certificate and a key a name, `revoked/` with certificates by serial
number. Keys are readable by their owner alone; nothing is overwritten. What leaves the folder is copied by the operator.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BRIDGE = "bridge"
CA_DAYS = 3650
"""Also the life of the list of revocations: a broker takes nobody when its list has expired."""
_BEFORE = timedelta(minutes=5)
"""Certificates are valid from so long before their making, for clocks that are behind."""


class AuthorityError(OSError):
    """A certificate cannot be made or revoked. The text is one clear line."""


class Role(Enum):
    """What a certificate is good for."""

    VEHICLE = "vehicle"
    BRIDGE = "bridge"
    SERVER = "server"


class Files(NamedTuple):
    """Where a certificate and its key stand, PEM both."""

    certificate: Path
    key: Path


class Authority:
    """The authority of a folder; made there by the first certificate.

    now  what time it is; by default the wall clock's
    """

    def __init__(self, folder: Path, *, now: datetime | None = None) -> None:
        self._folder = folder
        self._now = now

    @property
    def ca_file(self) -> Path:
        """What a peer must trust."""
        return self._folder / "ca.pem"

    @property
    def crl_file(self) -> Path:
        """The revoked certificates, for the broker."""
        return self._folder / "crl.pem"

    def files(self, name: str) -> Files:
        """Where the certificate of `name` stands, if there is one."""
        return Files(self._folder / "issued" / f"{name}.pem", self._folder / "issued" / f"{name}.key")

    def vehicle(self, device_id: str, *, days: int) -> Files:
        """A certificate for a vehicle. Raises AuthorityError: no device id, or it has one already."""
        return self._issue(_device_id(device_id), Role.VEHICLE, days, ())

    def bridge(self, *, days: int) -> Files:
        """The bridges' certificate. Raises AuthorityError when there is one already."""
        return self._issue(BRIDGE, Role.BRIDGE, days, ())

    def server(self, hosts: Sequence[str], *, days: int) -> Files:
        """A certificate for a broker, by the names and addresses under which clients know it. Raises AuthorityError."""
        if not hosts or any(not host.replace("-", "").replace(".", "").replace(":", "").isalnum() for host in hosts):
            raise AuthorityError(f"a server must be known by host names or addresses; got {', '.join(hosts) or 'none'}")
        if hosts[0] == BRIDGE or _is_uuid(hosts[0]):
            raise AuthorityError(f"a server's name must not be that of a client; got {hosts[0]}")
        return self._issue(hosts[0], Role.SERVER, days, hosts)

    def revoke(self, name: str) -> Path:
        """Put the certificate of `name` on the list; `name` may get a new one then. The list's file. Raises AuthorityError."""
        with self._locked():
            certificate, key = self.files(str(UUID(name)) if _is_uuid(name) else name)
            try:
                revoked = x509.load_pem_x509_certificate(certificate.read_bytes())
            except OSError:
                raise AuthorityError(f"a certificate must have been issued to {name}; there is none ({certificate})") from None
            self._write_crl(revoked.serial_number)
            (self._folder / "revoked").mkdir(exist_ok=True)
            certificate.rename(self._folder / "revoked" / f"{revoked.serial_number:x}.pem")
            key.unlink(missing_ok=True)
        return self.crl_file

    def _issue(self, name: str, role: Role, days: int, hosts: Sequence[str]) -> Files:
        with self._locked():
            authority, signer = self._authority()
            files = self.files(name)
            if files.certificate.exists():
                raise AuthorityError(f"{name} must have no certificate yet; it has one ({files.certificate}; revoke it first)")
            files.certificate.parent.mkdir(exist_ok=True)
            key = ec.generate_private_key(ec.SECP256R1())
            now = self._time()
            usage = ExtendedKeyUsageOID.SERVER_AUTH if role is Role.SERVER else ExtendedKeyUsageOID.CLIENT_AUTH
            builder = (
                _begun(
                    _subject(name), authority.subject, key.public_key(), now, min(now + timedelta(days=days), authority.not_valid_after_utc)
                )
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(_key_usage(ca=False), critical=True)
                .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
            )
            if hosts:
                builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
            _write(files.key, _pem(key), 0o600, anew=True)
            _write(files.certificate, builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), 0o644)
        return files

    def _authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """Our own certificate and key; made with an empty list of revocations when there are none."""
        key_file = self._folder / "ca.key"
        if not self.ca_file.exists():
            self._make(key_file)
        certificate = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise AuthorityError(f"the authority's key must be that of its certificate; it is another ({key_file})")
        return certificate, key

    def _make(self, key_file: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        now, name = self._time(), _subject("Fleetpulse vehicle authority")
        certificate = (
            _begun(name, name, key.public_key(), now, now + timedelta(days=CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(key_file, _pem(key), 0o600, anew=True)
        _write(self.ca_file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        self._write_crl()

    def _write_crl(self, *serials: int) -> None:
        """The list so far and `serials`, signed, in place of the old one."""
        authority, signer = self._authority()
        builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject).last_update(self._time() - _BEFORE)
        builder = builder.next_update(authority.not_valid_after_utc)
        number = 0
        if self.crl_file.exists():
            old = x509.load_pem_x509_crl(self.crl_file.read_bytes())
            number = old.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
            for entry in old:
                builder = builder.add_revoked_certificate(entry)
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self._time()).build()
            builder = builder.add_revoked_certificate(entry)
        builder = builder.add_extension(x509.CRLNumber(number + 1), critical=False)
        new = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        _write(self.crl_file, new, 0o644)

    def _time(self) -> datetime:
        return self._now or datetime.now(UTC)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time changes the folder."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._folder / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - _BEFORE).not_valid_after(end)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(file: Path, content: bytes, mode: int, *, anew: bool = False) -> None:
    """Replace the file whole, with these rights from its first byte on; `anew`: it must not exist. Raises AuthorityError."""
    if anew and file.exists():
        raise AuthorityError(f"a key must not be overwritten; there is one ({file})")
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    new.rename(file)


def _device_id(text: str) -> str:
    """As the topics have it. Raises AuthorityError."""
    if not _is_uuid(text) or UUID(text).int == 0:
        raise AuthorityError(f"a vehicle's name must be its device id, a UUID that is not all zero; got {text!r}")
    return str(UUID(text))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
