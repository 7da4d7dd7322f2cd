"""The dependency audit fails on a real finding, and says so when nobody can be asked. A service of our own answers as OSV does."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fleetpulse.flows.embedded import free_port

AUDIT = Path(__file__).resolve().parent.parent / ".ci" / "audit.py"
HASH = "--hash=sha256:" + "0" * 64


@contextmanager
def advisories(vulnerable: str) -> Iterator[tuple[str, list[str]]]:
    """The service's address, and the packages that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = query["package"]["name"]
            asked.append(name)
            events = [{"introduced": "0"}, {"fixed": "9.9"}]
            package = {"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
            answer = {"vulns": [{"id": "PYSEC-2026-1", "summary": "It is open.", "affected": [package]}]} if name == vulnerable else {}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Not into the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    file = tmp_path / "requirements.lock"
    file.write_text(f"# pinned\none==1.0 \\\n    {HASH}\n    # via us\ntwo==2.0 \\\n    {HASH}\n")
    return file


def audit(lock: Path, url: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AUDIT_SERVICE": "osv", "AUDIT_URL": url, "NO_PROXY": "127.0.0.1", **env}
    return subprocess.run(
        [sys.executable, str(AUDIT), str(lock)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_known_vulnerability_fails_and_is_named(lock: Path) -> None:
    with advisories("two") as (url, asked):
        done = audit(lock, url)
    assert done.returncode == 1, done.stderr
    assert "VULNERABLE: two 2.0: PYSEC-2026-1, mended in 9.9" in done.stdout
    assert set(asked) == {"one", "two"}


def test_nothing_known_passes(lock: Path) -> None:
    with advisories("three") as (url, _):
        done = audit(lock, url)
    assert done.returncode == 0, done.stdout
    assert done.stdout == "audit: 2 of 2 pinned packages asked for, 0 vulnerabilities known\n"


@pytest.mark.parametrize(("required", "code"), [("", 0), ("required", 1)])
def test_a_service_that_cannot_be_asked_is_said_and_is_a_fault_only_where_it_is_required(lock: Path, required: str, code: int) -> None:
    done = audit(lock, f"http://127.0.0.1:{free_port()}/v1/query", AUDIT=required)
    assert done.returncode == code
    assert done.stdout.startswith("audit: NOT AUDITED: ")
