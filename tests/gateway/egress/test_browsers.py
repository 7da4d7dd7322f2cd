"""What answers say to browsers, and what pages of other origins may do."""

from collections.abc import Iterator

import pytest
from httpx import Response

from fleetpulse.config.settings import ConfigError, Settings, load
from tests.gateway.egress.conftest import with_gateway
from tests.gateway.egress.support import Running, device, fleet_rows, gateway, problem, publish, state_records

FRIEND, STRANGER = "https://ops.example.org", "https://evil.example"


@pytest.fixture(scope="module")
def running(shared_deployment: Settings) -> Iterator[Running]:
    publish(shared_deployment, state_records(fleet_rows(20, shards=4)))
    with gateway(shared_deployment) as made:
        yield made


@pytest.mark.parametrize("path", ["/", "/static/console.js", "/v1/fleet", "/v1/nothing", "/v1/vehicles?limit=0", "/livez", "/metrics"])
def test_every_answer_has_the_security_headers(running: Running, path: str) -> None:
    headers = running.client.get(path).headers
    policy = headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert policy[0].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy[0]
    assert "unsafe" not in policy[0]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    kept = "no-cache" if path in ("/", "/static/console.js") else "no-store"
    assert headers["cache-control"] == kept
    assert "server" not in headers


def test_the_page_has_no_script_or_style_within(running: Running) -> None:
    text = running.client.get("/").text
    assert "<style" not in text
    assert "style=" not in text
    assert text.count("<script") == text.count('<script type="module" src="')
    assert not any(f" on{event}=" in text for event in ("click", "load", "error", "submit"))


def preflight(running: Running, origin: str) -> Response:
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    return running.client.options("/v1/fleet", headers=asks)


def test_no_page_of_another_origin_reads_anything_by_default(running: Running) -> None:
    assert "access-control-allow-origin" not in preflight(running, FRIEND).headers
    assert "access-control-allow-origin" not in running.client.get("/v1/fleet", headers={"Origin": FRIEND}).headers


def test_a_page_of_an_origin_that_is_named_reads_and_writes_and_others_do_not(shared_deployment: Settings) -> None:
    operations = f"/v1/vehicles/{device(1)}/operations"
    publish(shared_deployment, state_records(fleet_rows(20, shards=4)))
    with gateway(with_gateway(shared_deployment, cors_origins=(FRIEND,))) as running:
        assert preflight(running, FRIEND).headers["access-control-allow-origin"] == FRIEND
        assert "access-control-allow-origin" not in preflight(running, STRANGER).headers
        answer = running.client.get("/v1/fleet", headers={"Origin": FRIEND})
        assert answer.headers["access-control-allow-origin"] == FRIEND
        assert "access-control-allow-credentials" not in answer.headers
        assert "access-control-allow-origin" not in running.client.get("/v1/fleet", headers={"Origin": STRANGER}).headers
        body = {"operation": "drop_off"}
        assert running.client.post(operations, json=body, headers={"Origin": FRIEND}).status_code == 202
        assert problem(running.client.post(operations, json=body, headers={"Origin": STRANGER}), 403)


@pytest.mark.parametrize("origin", ["*", "https://ops.example.org/", "ops.example.org", "https://*.example.org"])
def test_an_origin_that_is_not_one_is_refused(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("FLEETPULSE_GATEWAY__CORS_ORIGINS", f'["{origin}"]')
    with pytest.raises(ConfigError, match=r"gateway\.cors_origins"):
        load()


def test_an_origin_that_is_no_url_is_another_one(running: Running) -> None:
    assert problem(running.client.post(f"/v1/vehicles/{device(1)}/operations", headers={"Origin": "http://[x"}, json={}), 403)
