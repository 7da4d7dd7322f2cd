"""Secrets as files: FLEETPULSE_SECRETS_DIR names a folder with one file a setting, `<section>__<key>`, as Docker and Kubernetes mount them.

`kafka__options__sasl.password` is [kafka.options] "sasl.password". No file's content stands in any error.
"""

from pathlib import Path
from typing import Any


class SecretsError(Exception):
    """A folder or a file that cannot be taken; the text is one sentence."""


def read(folder: Path) -> dict[str, Any]:
    """The folder's values by section and key, for the settings to check. Hidden files and folders are passed over. Raises SecretsError."""
    values: dict[str, Any] = {}
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith(".") and file.is_file())
    except OSError as error:
        raise SecretsError(f"FLEETPULSE_SECRETS_DIR must be a readable folder; got {error.strerror} ({folder})") from None
    for file in files:
        *sections, key = file.name.split("__")
        if not sections or not all((*sections, key)):
            raise SecretsError(f"a file of FLEETPULSE_SECRETS_DIR must be named <section>__<key>; got {file.name!r} ({folder})")
        try:
            text = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "bytes that are no UTF-8"
            raise SecretsError(f"a secret must be a readable text; got {why} ({file})") from None
        place = values
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise SecretsError(f"a file of FLEETPULSE_SECRETS_DIR must not stand for a part of another's setting ({file})")
        place[key] = text
    return values


def over(values: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """`values`, and `others` over them, section by section."""
    merged = dict(values)
    for key, value in others.items():
        below = merged.get(key)
        merged[key] = over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
