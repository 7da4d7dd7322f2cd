"""Known vulnerabilities of what is pinned: `audit.py [LOCK]`, asked of pip-audit's advisory service. Exit code 1: there is one.

A service that cannot be asked is no finding: that is said in so many words, and is a fault only where AUDIT=required. It is tried with one
package first. AUDIT_SERVICE and AUDIT_URL name another service than pip-audit's own (`osv`, and where it stands).
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TOOL = Path(sys.executable).with_name("pip-audit")
LIMIT_S = 300


def ask(lock: Path) -> list[dict[str, Any]]:
    """What the service says of each package: name, version, vulns, or skip_reason. Raises OSError when it cannot be asked."""
    command = [
        str(TOOL),
        "-r",
        str(lock),
        "--disable-pip",
        "--require-hashes",
        "--progress-spinner",
        "off",
        "-f",
        "json",
        "--timeout",
        "10",
    ]
    service, url = os.environ.get("AUDIT_SERVICE"), os.environ.get("AUDIT_URL")
    command += ["-s", service] if service else []
    command += ["--osv-url", url] if url else []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)  # noqa: S603 - our own command line
    except subprocess.TimeoutExpired:
        raise OSError(f"no answer within {LIMIT_S} s") from None
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise OSError(done.stderr.strip().rsplit("\n", 1)[-1][:300] or f"exit code {done.returncode}") from None
    return packages


def first(lock: Path, folder: Path) -> Path:
    """A lock with the first package of `lock` alone."""
    lines = lock.read_text(encoding="utf-8").splitlines(keepends=True)
    starts = [i for i, line in enumerate(lines) if line[0] not in " #\n"]
    alone = folder / "first.lock"
    alone.write_text("".join(lines[starts[0] : starts[1] if len(starts) > 1 else None]), encoding="utf-8")
    return alone


def unasked(why: str) -> int:
    print(f"audit: NOT AUDITED: the advisory service cannot be asked from here: {why}")
    return 1 if os.environ.get("AUDIT") == "required" else 0


def main(lock: Path) -> int:
    try:
        with tempfile.TemporaryDirectory() as folder:
            [probe] = ask(first(lock, Path(folder)))
        if "skip_reason" in probe:
            return unasked(probe["skip_reason"])
        packages = ask(lock)
    except OSError as error:
        return unasked(str(error))
    found = [(package, fault) for package in packages for fault in package.get("vulns", ())]
    for package, fault in found:
        mended = ", ".join(fault["fix_versions"]) or "no version"
        print(f"audit: VULNERABLE: {package['name']} {package['version']}: {fault['id']}, mended in {mended}")
    left = [package["name"] for package in packages if "skip_reason" in package]
    print(f"audit: {len(packages) - len(left)} of {len(packages)} pinned packages asked for, {len(found)} vulnerabilities known")
    if found:
        return 1
    return unasked(f"it does not know {', '.join(left)}") if left else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "requirements.lock")))
