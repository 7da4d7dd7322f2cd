"""Keys and tokens for trying the gateway's authentication, or for a deployment without an issuer of its own.

The private key belongs to whoever issues tokens; the gateway needs the public one alone.
"""

import os
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

from fleetpulse.config.settings import ConfigError
from fleetpulse.gateway.egress.auth import ROLES


def make_keys(folder: Path) -> tuple[Path, Path]:
    """An Ed25519 pair: (private key with rights 0600, public key). Raises ConfigError where there is one."""
    private, public = folder / "gateway.key", folder / "gateway.pub"
    key = Ed25519PrivateKey.generate()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with open(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except FileExistsError:
        raise ConfigError(f"there must be no key yet; {private} exists, and is not overwritten") from None
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def issue(key_file: Path, *, subject: str, role: str, hours: float, issuer: str | None, audience: str | None) -> str:
    """A token. Raises ConfigError for a key file that cannot be used or an unknown role."""
    if role not in ROLES:
        raise ConfigError(f"a role must be one of {', '.join(ROLES)}; got {role!r}")
    try:
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"the key must be readable; got: {error.strerror} ({key_file})") from None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"the key must be an unencrypted private key as PEM; got: {error} ({key_file})") from None
    if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey):
        raise ConfigError(f"the key must be Ed25519 or RSA ({key_file})")
    claims: dict[str, object] = {"sub": subject, "roles": [role], "iat": int(time.time()), "exp": int(time.time() + hours * 3600)}
    claims |= {name: value for name, value in (("iss", issuer), ("aud", audience)) if value is not None}
    return jwt.encode(claims, key, algorithm="EdDSA" if isinstance(key, Ed25519PrivateKey) else "RS256")
