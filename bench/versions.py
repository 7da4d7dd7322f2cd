"""Versions of what the benchmarks fetch by themselves. A rival's own packages are pinned in its requirements.txt or pom.xml; read here."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

KAFKA = "4.3.1"
KAFKA_SCALA = "2.13"
SLF4J = "1.7.36"

RIVALS = Path(__file__).resolve().parent / "rivals"
OWN = ("bytewax", "confluent-kafka", "msgspec", "numba", "numpy", "orjson", "protobuf", "ptars")


def own() -> dict[str, str]:
    """Versions of the packages that figures depend on; one that is not installed is left out."""
    found = {}
    for name in OWN:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def rival(name: str, package: str) -> str:
    """The version that the rival's requirements.txt or pom.xml pins for `package`. Raises KeyError when it pins none."""
    folder = RIVALS / name
    for file, pattern in (
        (folder / "requirements.txt", rf"^{re.escape(package)}==([\w.]+)"),
        (folder / "pom.xml", rf"<{re.escape(package)}\.version>([\w.-]+)<"),
    ):
        if file.exists() and (match := re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE)):
            return match.group(1)
    raise KeyError(f"{folder} must pin a version of {package}; got none")
