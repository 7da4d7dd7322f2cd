"""Requests of every kind that the OpenAPI document allows, and many that it does not, against a real gateway: no fault of ours, and every
answer is as the document says. Seeded and bounded; schemathesis makes them."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast
from uuid import uuid4

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi import checks

from fleetpulse.config.settings import Settings
from tests.gateway.egress.conftest import with_gateway
from tests.gateway.egress.support import (
    Running,
    alert,
    availability,
    device,
    encoded,
    fleet_rows,
    gateway,
    maintenance,
    publish,
    state_records,
)

EXAMPLES = 40
"""Of each endpoint and way."""
ENDLESS = "/v1/stream"
CONFORMANCE: list[CheckFunction] = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
MAY_BE_UNAVAILABLE = ("POST",)
"""A write waits for Kafka only so long; on a busy machine 503 is an answer, and a documented one."""


@pytest.fixture(scope="module")
def running(shared_deployment: Settings) -> Iterator[Running]:
    events = [alert(device(1), "crash"), maintenance(device(2), "tyre"), availability(device(3), "on_trip", "trip_start")]
    publish(shared_deployment, [*state_records(fleet_rows(60, shards=4)), *encoded(events)])
    with gateway(with_gateway(shared_deployment, requests_per_s=100_000.0, request_burst=100_000)) as made:
        made.wait_events(len(events))
        yield made


def examples(case: Any) -> Callable[[Callable[[Any], None]], Callable[[], None]]:
    """Hypothesis as these tests want it: the same inputs in every run, nothing kept, no shrinking that takes minutes."""
    wanted = hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    def decorate(function: Callable[[Any], None]) -> Callable[[], None]:
        made: Callable[[], None] = wanted(hypothesis.given(case=case)(function))
        return made

    return decorate


def operations(running: Running) -> dict[str, Any]:
    """`METHOD path` -> what schemathesis knows of it."""
    schema = schemathesis.openapi.from_dict(running.get("/openapi.json"))
    schema.config.update(base_url=f"http://{running.address}")
    found: list[Any] = [cast("Any", result).ok() for result in schema.get_all_operations()]
    return {operation.label: operation for operation in found}


def ask_all(running: Running, operation: Any, mode: schemathesis.GenerationMode) -> int:
    """Ask one endpoint; how many times."""
    asked = 0

    @examples(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal asked
        response = case.call(timeout=20)
        asked += 1
        late = response.status_code == 503 and case.method in MAY_BE_UNAVAILABLE
        assert response.status_code < 500 or late, f"{operation.label}: {response.status_code} {response.content[:300]!r}"
        case.validate_response(response, checks=CONFORMANCE)

    with contextlib.suppress(Unsatisfiable):  # nothing about it can be wrong
        ask()
    return asked


@pytest.mark.timeout(600)  # a minute on a machine that has nothing else to do
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_one_that_the_document_names(running: Running, mode: schemathesis.GenerationMode) -> None:
    asked = {label: ask_all(running, operation, mode) for label, operation in operations(running).items() if operation.path != ENDLESS}
    assert sum(asked.values()) > 200
    assert sum(times > 0 for times in asked.values()) > len(asked) // 2


def test_a_stream_refuses_what_is_wrong_and_begins_with_what_is_right(running: Running) -> None:
    """Endless, so that only its head is read."""
    operation = operations(running)[f"GET {ENDLESS}"]
    statuses = set()

    @examples(operation.as_strategy())
    def ask(case: Any) -> None:
        kwargs = case.as_transport_kwargs()
        with running.client.stream("GET", ENDLESS, params=kwargs.get("params"), headers=kwargs.get("headers")) as response:
            statuses.add(response.status_code)
            expected = {200: "text/event-stream", 422: "application/problem+json"}[response.status_code]
            assert response.headers["content-type"].startswith(expected)

    ask()
    assert statuses <= {200, 422}
    assert len(statuses) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 10_000,
        b"\xff\xfe",
        b'{"operation": "drop_off", "by": "\\ud800"}',
        b'{"operation": "drop_off", "operation": 7}',
        b'{"operation": 1e999}',
        b'{"operation": NaN}',
        b"\xef\xbb\xbf{}",
        b'{"operation": "drop_off", "note": "' + b"x" * 60_000 + b'"}',
        b"null",
        b"0" * 60_000,
    ],
    ids=lambda body: repr(bytes(body[:20])),
)
@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x", "application/json; charset=utf-7"]
)
def test_a_body_that_is_no_request_is_refused(running: Running, body: bytes, content_type: str) -> None:
    for path in (f"/v1/vehicles/{device(1)}/operations", f"/v1/alerts/{uuid4()}/acknowledge"):
        answer = running.client.post(path, content=body, headers={"content-type": content_type})
        assert 400 <= answer.status_code < 500, (path, answer.text[:300])
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("raw", [b"%00", b"%ff%fe", b"..%2f..%2fetc%2fpasswd", b"%0d%0aX: y", b"a" * 5000, b"%f0%9f%9b%b4"])
def test_an_odd_path_is_a_problem_or_nothing(running: Running, raw: bytes) -> None:
    for prefix in ("/v1/vehicles/", "/v1/events/", "/static/", "/"):
        answer = running.client.get(f"{prefix}{raw.decode('ascii')}")
        assert 400 <= answer.status_code < 500, (prefix, raw)
