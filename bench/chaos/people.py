"""Operations staff under attack: a thread that posts operations to the gateway and repeats each, with its key, until it is answered."""

import random
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from fleetpulse.flows.embedded import HOST

OTHERS = ("maintenance_done", "rebalance_pick_up", "drop_off")
OTHER = 0.1
"""Share of operations that are no reservation and no end of one."""
VEHICLES = 50
"""So few that most are reserved again and again: each time an event."""
PAUSE_S = 0.05
_LIMIT_S = 6.0


class People:
    """Use as a context manager. `accepted`: ids of operations that the gateway said Kafka has; `repeats`: requests made once more."""

    def __init__(self, port: int, ledger: Path, seed: int) -> None:
        self.accepted: set[str] = set()
        self.repeats = 0
        self._port = port
        self._boots = ledger / "boots.json"
        self._rng = random.Random(f"people.{seed}")  # noqa: S311 - whom they meet, not a secret
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="people", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number, reserved = 0, set[str]()
        vehicles = self._vehicles()[:VEHICLES]
        while not self._stop.wait(PAUSE_S):
            number += 1
            vehicle = self._rng.choice(vehicles)
            operation = "reservation_cancel" if vehicle in reserved else "reservation_start"
            if self._rng.random() < OTHER:
                operation = self._rng.choice(OTHERS)
            else:
                reserved ^= {vehicle}
            self._insist(f"/v1/vehicles/{vehicle}/operations", orjson.dumps({"operation": operation, "by": "chaos"}), f"key-{number}")

    def _vehicles(self) -> list[str]:
        while not self._stop.is_set():
            try:
                found = sorted(orjson.loads(self._boots.read_bytes()))
            except (OSError, orjson.JSONDecodeError):
                found = []
            if found:
                return found
            time.sleep(PAUSE_S)
        return []

    def _insist(self, path: str, body: bytes, key: str) -> None:
        """Until the gateway has accepted it, or knows no such vehicle; a request under way when the run ends may stay unanswered."""
        while not self._stop.is_set():
            status, answer = self._post(path, body, key)
            if status == 202:
                self.accepted.add(orjson.loads(answer)["operation_id"])
            if status in (202, 404):
                return
            self.repeats += 1
            self._stop.wait(PAUSE_S)

    def _post(self, path: str, body: bytes, key: str) -> tuple[int, bytes]:
        connection = HTTPConnection(HOST, self._port, timeout=_LIMIT_S)
        try:
            connection.request("POST", path, body, {"content-type": "application/json", "idempotency-key": key})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):
            return 0, b""
        finally:
            connection.close()
