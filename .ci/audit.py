"""Asks for known vulnerabilities of what is pinned. Exit code 1: there is one. Where nobody answers, that is said and is no fault."""

import json
import subprocess
import sys
from pathlib import Path

LIMIT_S = 120
tool = Path(sys.executable).with_name("pip-audit")
command = [str(tool), "-r", "requirements.lock", "--disable-pip", "--require-hashes", "--progress-spinner", "off", "-f", "json"]
try:
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)  # noqa: S603 - our own command line
    packages = json.loads(done.stdout)["dependencies"]
except (subprocess.TimeoutExpired, ValueError, KeyError) as error:
    print(f"audit: nobody could be asked for vulnerabilities ({type(error).__name__})")
    sys.exit(0)
asked = [package for package in packages if "skip_reason" not in package]
found = [(package["name"], package["version"], fault) for package in asked for fault in package.get("vulns", [])]
for name, version, fault in found:
    print(f"audit: {name} {version}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no version'}")
print(f"audit: {len(asked)} of {len(packages)} pinned packages asked for, {len(found)} vulnerabilities known")
if len(asked) < len(packages):
    print(f"audit: the advisory service did not know {len(packages) - len(asked)} of them; is it reachable from here?")
sys.exit(1 if found else 0)
