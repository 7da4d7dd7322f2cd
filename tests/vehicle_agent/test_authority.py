"""Certificates that the authority makes: names, uses, validity, revocation; what it refuses; its commands. Brokers: tests/integration."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typer.testing import CliRunner

from fleetpulse.config.settings import ConfigError, Mqtt
from fleetpulse.flows.cli import app
from fleetpulse.vehicle_agent import link
from fleetpulse.vehicle_agent.authority import Authority, AuthorityError

DEVICE = "0198c0de-0000-7000-8000-000000000001"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority", now=NOW)


def _read(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def _name(certificate: x509.Certificate) -> list[str | bytes]:
    return [attribute.value for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _revoked(authority: Authority) -> set[int]:
    return {entry.serial_number for entry in x509.load_pem_x509_crl(authority.crl_file.read_bytes())}


def test_a_vehicles_certificate_names_it_and_is_for_clients_alone(authority: Authority) -> None:
    certificate, ca = _read(authority.vehicle(DEVICE.upper(), days=30).certificate), _read(authority.ca_file)
    assert _name(certificate) == [DEVICE], "as the topics have it"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_after_utc == NOW + timedelta(days=30)
    certificate.verify_directly_issued_by(ca)


def test_a_servers_certificate_names_its_hosts(authority: Authority) -> None:
    certificate = _read(authority.server(["mqtt.example.org", "127.0.0.1", "::1"], days=30).certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mqtt.example.org"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_no_certificate_outlives_the_authority(authority: Authority) -> None:
    authority.bridge(days=1)
    late = Authority(authority.ca_file.parent, now=NOW + timedelta(days=3649))
    assert _read(late.vehicle(DEVICE, days=365).certificate).not_valid_after_utc == _read(authority.ca_file).not_valid_after_utc


def test_keys_are_their_owners_alone(authority: Authority) -> None:
    key = authority.vehicle(DEVICE, days=1).key
    for file in (key, authority.ca_file.with_name("ca.key")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nothing_is_overwritten(authority: Authority) -> None:
    files = authority.vehicle(DEVICE, days=1)
    before = [file.read_bytes() for file in files]
    with pytest.raises(AuthorityError, match=rf"{DEVICE} must have no certificate yet"):
        authority.vehicle(DEVICE, days=1)
    files.certificate.unlink()
    with pytest.raises(AuthorityError, match="a key must not be overwritten"):
        authority.vehicle(DEVICE, days=1)
    assert files.key.read_bytes() == before[1]
    authority.ca_file.unlink()
    with pytest.raises(AuthorityError, match="a key must not be overwritten"):
        authority.bridge(days=1)


def test_what_is_revoked_stays_so_and_may_be_enrolled_anew(authority: Authority) -> None:
    first, bridge = _read(authority.vehicle(DEVICE, days=1).certificate), _read(authority.bridge(days=1).certificate)
    assert _revoked(authority) == set(), "there is a list from the beginning"
    authority.revoke(DEVICE.upper())
    second = _read(authority.vehicle(DEVICE, days=1).certificate)
    authority.revoke("bridge")
    assert _revoked(authority) == {first.serial_number, bridge.serial_number}
    assert second.serial_number != first.serial_number
    crl = x509.load_pem_x509_crl(authority.crl_file.read_bytes())
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3
    assert crl.next_update_utc == _read(authority.ca_file).not_valid_after_utc, "a broker takes nobody when its list has expired"


@pytest.mark.parametrize("name", ["", "bridge", "scooter-17", "00000000-0000-0000-0000-000000000000", "../ca"])
def test_a_vehicle_has_a_device_id(authority: Authority, name: str) -> None:
    with pytest.raises(AuthorityError, match="a vehicle's name must be its device id"):
        authority.vehicle(name, days=1)


@pytest.mark.parametrize("hosts", [[], [""], ["../x"], ["a b"], ["bridge"], [DEVICE]])
def test_a_server_has_host_names_and_no_clients_name(authority: Authority, hosts: list[str]) -> None:
    with pytest.raises(AuthorityError, match="a server"):
        authority.server(hosts, days=1)


def test_a_name_without_certificate_cannot_be_revoked(authority: Authority) -> None:
    with pytest.raises(AuthorityError, match=f"a certificate must have been issued to {DEVICE}; there is none"):
        authority.revoke(DEVICE)


def test_the_commands_enroll_revoke_and_write_the_brokers_configuration(tmp_path: Path) -> None:
    folder = ["--authority", str(tmp_path / "authority")]

    def agent(*arguments: str) -> tuple[int, list[str]]:
        result = CliRunner().invoke(app, ["agent", *arguments, *folder])
        return result.exit_code, result.output.splitlines()

    code, files = agent("enroll", DEVICE, "--bridge", "--server", "localhost", "--days", "2")
    assert code == 0
    assert all(Path(file).exists() for file in files)
    assert [Path(file).name for file in files] == [
        "ca.pem",
        *(f"{name}.{end}" for name in (DEVICE, "bridge", "localhost") for end in ("pem", "key")),
    ]
    code, (crl,) = agent("revoke", DEVICE)
    assert (code, Path(crl).name) == (0, "crl.pem")
    code, (conf,) = agent("broker-config", str(tmp_path / "broker"), "--server", "localhost")
    assert code == 0
    assert f"crlfile {tmp_path}/authority/crl.pem" in Path(conf).read_text()
    code, (line,) = agent("revoke", DEVICE)
    assert (code, line.startswith(f"fleetpulse: a certificate must have been issued to {DEVICE}")) == (1, True)


def test_each_vehicle_of_a_folder_shows_its_own_certificate(authority: Authority) -> None:
    files = authority.vehicle(DEVICE, days=1)
    mqtt = Mqtt(ca_file=authority.ca_file)
    device_id = bytes.fromhex(DEVICE.replace("-", ""))
    assert link.tls(mqtt, files.certificate.parent, device_id) is not None
    with pytest.raises(ConfigError, match=r"must be readable PEM; got .*00000001"):
        link.tls(mqtt, files.certificate.parent, b"\0" * 15 + b"\1")
    with pytest.raises(ConfigError, match=r"agent\.certificate_dir needs mqtt\.ca_file"):
        link.tls(Mqtt(), files.certificate.parent, device_id)
