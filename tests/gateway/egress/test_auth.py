"""Tokens, roles and limits on a real server: who is let in, what a role may do, that a stream ends with its token."""

import asyncio
import base64
import hashlib
import hmac
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path
from typing import Any, get_args

import httpx
import jwt
import orjson
import pytest
import websockets
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from starlette.requests import HTTPConnection
from websockets.typing import Subprotocol

from fleetpulse.codecs.operations import Operation
from fleetpulse.config.settings import ConfigError, Settings
from fleetpulse.gateway.egress import auth
from fleetpulse.gateway.egress.issuer import issue, make_keys
from fleetpulse.gateway.egress.limit import CLIENTS_KEPT, Buckets, address_of
from fleetpulse.gateway.egress.main import check
from fleetpulse.gateway.egress.requests import OperationName
from fleetpulse.vehicle_agent.authority import Authority
from tests.gateway.egress.support import Running, alert, device, encoded, fleet_rows, gateway, problem, publish, state_records, wait_for

ED25519, RSA, OTHER = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()


def public(*keys: Any) -> bytes:
    return b"".join(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in keys)


def token(key: Any = ED25519, algorithm: str = "EdDSA", **claims: Any) -> str:
    """A good one, unless claims say otherwise; None leaves a claim out."""
    all_claims = {"sub": "anna", "roles": ["viewer"], "exp": time.time() + 600, "iss": "https://id.example", "aud": "fleetpulse", **claims}
    return jwt.encode({name: value for name, value in all_claims.items() if value is not None}, key, algorithm=algorithm)


@pytest.fixture
def guarded(deployment: Settings, tmp_path: Path) -> Settings:
    """With authentication, keys of both kinds, issuer and audience."""
    file = tmp_path / "keys.pem"
    file.write_bytes(b"# two keys\n" + public(ED25519, RSA))
    changes = {"auth": "jwt", "jwt_public_key_file": file, "jwt_issuer": "https://id.example", "jwt_audience": "fleetpulse"}
    return deployment.model_copy(update={"gateway": deployment.gateway.model_copy(update=changes)})


@pytest.fixture
def running(guarded: Settings) -> Iterator[Running]:
    publish(guarded, state_records(fleet_rows(20, shards=4)))
    with gateway(guarded) as server:
        yield server


def get(running: Running, bearer: str | None, path: str = "/v1/fleet") -> httpx.Response:
    return running.client.get(path, headers={} if bearer is None else {"Authorization": f"Bearer {bearer}"})


def unsigned() -> str:
    parts = [{"alg": "none", "typ": "JWT"}, {"sub": "anna", "roles": ["admin"], "exp": time.time() + 600}]
    return ".".join(base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in parts) + "."


def signed_with_the_public_key() -> str:
    """HMAC with the public key as the secret: taken by verifiers that let the token choose the algorithm."""
    head, body = unsigned().split(".")[:2]
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    mac = hmac.new(public(ED25519), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def test_both_kinds_of_key_are_taken_and_nobody_comes_in_without_a_token(running: Running) -> None:
    assert get(running, token()).status_code == 200
    assert get(running, token(RSA, "RS256")).status_code == 200
    for path in ("/v1/fleet", "/v1/vehicles", "/v1/stream", "/metrics"):
        answer = get(running, None, path)
        assert "Authorization: Bearer" in problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for path in ("/livez", "/readyz", "/", "/static/console.js", "/openapi.json"):
        assert get(running, None, path).status_code == 200, path
    for answer in (get(running, token()), get(running, None)):
        assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (lambda: token(OTHER), "signature"),
        (unsigned, "alg"),
        (signed_with_the_public_key, "alg"),
        (lambda: token(RSA, "RS512"), "alg"),
        (lambda: token(exp=time.time() - auth.LEEWAY_S - 5), "expired"),
        (lambda: token(exp=None), "exp"),
        (lambda: token(sub=None), "sub"),
        (lambda: token(sub=""), "sub"),
        (lambda: token(nbf=time.time() + 600), "not yet valid"),
        (lambda: token(iss="https://else.example"), "issuer"),
        (lambda: token(aud="other"), "audience"),
        (lambda: token(aud=None), "aud"),
        (lambda: token(exp=str(int(time.time()) + 600)), "exp"),
        (lambda: token(exp=float("inf")), "not taken"),
        (lambda: token(sub="anna\n"), "sub"),
        (lambda: token(sub=7), "not taken"),
        (lambda: token(roles=None), "roles"),
        (lambda: token(roles=["root"]), "roles"),
        (lambda: token(roles="admin"), "roles"),
        (lambda: "a.b.c", ""),
        (lambda: token(pad="x" * auth.MAX_TOKEN_BYTES), "bytes"),
    ],
)
def test_a_token_that_is_not_right_is_not_taken(running: Running, bad: Any, text: str) -> None:
    assert text in problem(get(running, bad()), 401)


def test_a_token_for_another_service_is_not_taken_though_we_name_no_audience(guarded: Settings) -> None:
    tokens = auth.Tokens(guarded.gateway.model_copy(update={"jwt_audience": None}))
    with pytest.raises(auth.TokenError, match="audience"):
        tokens.caller(token(aud="booking"))
    assert tokens.caller(token(aud=None, roles=["viewer", "of-another-service"])).roles == ("viewer",)


def test_whatever_is_no_reading_wants_more_than_a_viewer_and_all_reading_wants_a_token(running: Running) -> None:
    viewer = {"Authorization": f"Bearer {token()}"}
    asked = 0
    for template, methods in running.get("/openapi.json")["paths"].items():
        path = template.format(device_id=device(1), alert_id="a", event_id="e")
        for method in map(str.upper, methods):
            if template in auth.OPEN:
                continue
            assert problem(running.client.request(method, path), 401)
            if method != "GET":
                assert "needs the role" in problem(running.client.request(method, path, headers=viewer), 403)
            asked += 1
    assert asked >= 18
    assert "needs the role" in problem(running.client.delete("/v1/fleet", headers=viewer), 403)
    assert problem(running.client.get("/nowhere"), 401)


def test_every_operation_belongs_to_a_role() -> None:
    names = {*get_args(OperationName), Operation.ALERT_ACKNOWLEDGED.name.lower()}
    assert names == auth.STAFF | auth.SYSTEMS
    assert auth.MAY_DO["admin"] == names


def test_an_idempotency_key_is_its_subjects_own(running: Running) -> None:
    ids = []
    for sub in ("booking", "booking", "pricing"):
        headers = {"Authorization": f"Bearer {token(sub=sub, roles=['service'])}", "Idempotency-Key": "k"}
        answer = running.client.post(f"/v1/vehicles/{device(1)}/operations", json={"operation": "reservation_start"}, headers=headers)
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["operation_id"])
    assert ids[0] == ids[1] != ids[2]


def test_roles_may_do_what_is_theirs_and_the_author_is_the_token_s_subject(running: Running) -> None:
    raised = alert(device(1), "theft")
    publish(running.settings, encoded([raised]))
    running.wait_events(1)
    taken = f"/v1/alerts/{raised.id}/acknowledge"
    operations = f"/v1/vehicles/{device(1)}/operations"
    allowed = {
        "viewer": set[str](),
        "operator": {taken, "drop_off"},
        "service": {"reservation_start"},
        "admin": {taken, "drop_off", "reservation_start"},
    }
    for role, may in allowed.items():
        headers = {"Authorization": f"Bearer {token(sub=f'the {role}', roles=[role])}"}
        for what in (taken, "drop_off", "reservation_start"):
            path, body = (taken, {"by": "somebody else"}) if what == taken else (operations, {"operation": what, "by": "somebody else"})
            answer = running.client.post(path, json=body, headers=headers)
            if what in may:
                assert answer.status_code == 202, (role, what, answer.text)
                assert answer.json()["by"] == f"the {role}"
            else:
                assert "needs the role" in problem(answer, 403)


def test_a_websocket_takes_a_token_as_header_or_subprotocol_and_ends_with_it(running: Running) -> None:
    url = f"ws://{running.address}/v1/ws"

    async def talk() -> tuple[str | None, int, str]:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(url)
        assert refused.value.response.status_code in (401, 403)
        async with websockets.connect(url, additional_headers={"Authorization": f"Bearer {token()}"}) as socket:
            assert "cursor" in orjson.loads(await socket.recv())
        short = token(exp=time.time() - auth.LEEWAY_S + 1.5)
        protocols = [Subprotocol(auth.SUBPROTOCOL), Subprotocol(f"bearer.{short}")]
        async with websockets.connect(url, subprotocols=protocols) as socket:
            assert "cursor" in orjson.loads(await socket.recv())
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 10)
            assert closed.value.rcvd is not None
            return socket.subprotocol, closed.value.rcvd.code, closed.value.rcvd.reason

    assert asyncio.run(talk()) == (auth.SUBPROTOCOL, 1008, "the token has expired; come again with a new one")


def test_an_event_stream_ends_with_its_token(running: Running) -> None:
    headers = {"Authorization": f"Bearer {token(exp=time.time() - auth.LEEWAY_S + 1.5)}"}
    with running.client.stream("GET", "/v1/stream", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.read().replace(b"\r\n", b"\n").endswith(b"event: expired\ndata: {}\n\n")


@pytest.mark.parametrize(
    "keys",
    [b"", b"no key", public(ec.generate_private_key(ec.SECP256R1())), b"x" + public(ED25519)[:-40]],
    ids=("empty", "text", "another kind", "cut"),
)
def test_a_key_file_that_will_not_do_is_one_clear_line(guarded: Settings, keys: bytes) -> None:
    assert guarded.gateway.jwt_public_key_file is not None
    guarded.gateway.jwt_public_key_file.write_bytes(keys)
    with pytest.raises(ConfigError, match="jwt_public_key_file"):
        check(guarded)


def test_auth_without_a_key_or_on_an_open_address_without_auth_is_refused(deployment: Settings) -> None:
    for changes, text in (({"auth": "jwt"}, "must be set"), ({"host": "0.0.0.0"}, "loopback"), ({"key_file": Path("k")}, "together")):
        with pytest.raises(ConfigError, match=text):
            check(deployment.model_copy(update={"gateway": deployment.gateway.model_copy(update=changes)}))


def test_tokens_do_not_travel_in_the_clear(guarded: Settings) -> None:
    def changed(**values: Any) -> Settings:
        return guarded.model_copy(update={"gateway": guarded.gateway.model_copy(update={"host": "0.0.0.0", **values})})

    with pytest.raises(ConfigError, match="in the clear"):
        check(changed())
    check(changed(trusted_proxies=(ip_network("10.0.0.0/8"),)))


def test_who_asks_too_often_waits_and_others_do_not(guarded: Settings) -> None:
    changed = guarded.gateway.model_copy(update={"requests_per_s": 2.0, "request_burst": 3})
    with gateway(guarded.model_copy(update={"gateway": changed})) as running:
        answers = [get(running, token()) for _ in range(8)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 3 <= len(refused) <= 5
        assert "so often" in problem(refused[0], 429)
        assert int(refused[0].headers["retry-after"]) >= 1
        assert get(running, token(sub="bob")).status_code == 200
        assert get(running, None, "/livez").status_code == 200
        wait_for(lambda: get(running, token()).status_code == 200, "its turn")


def test_without_tokens_only_a_limit_that_is_set_holds(deployment: Settings) -> None:
    with gateway(deployment) as running:
        assert {running.client.get("/v1/cities").status_code for _ in range(700)} == {200}
    changed = deployment.gateway.model_copy(update={"requests_per_s": 0.1, "request_burst": 2})
    with gateway(deployment.model_copy(update={"gateway": changed}), ready=False) as running:
        assert [running.client.get("/v1/cities").status_code for _ in range(3)] == [200, 200, 429]


def test_an_address_is_believed_of_trusted_proxies_alone(deployment: Settings) -> None:
    limits = {"requests_per_s": 0.1, "request_burst": 1}
    for proxies, second in (((), 429), ((ip_network("127.0.0.1"),), 200)):
        changed = deployment.gateway.model_copy(update={**limits, "trusted_proxies": proxies})
        with gateway(deployment.model_copy(update={"gateway": changed}), ready=False) as running:
            got = [running.client.get("/v1/cities", headers={"X-Forwarded-For": f"203.0.113.{i}"}).status_code for i in (1, 2)]
        assert got == [200, second]


def test_addresses_of_one_ipv6_network_are_one_client() -> None:
    names = {
        address_of(HTTPConnection({"type": "http", "client": (host, 1), "headers": []}))
        for host in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1", "192.0.2.2")
    }
    assert len(names) == 4


def test_one_client_cannot_take_all_streams(guarded: Settings) -> None:
    changed = guarded.gateway.model_copy(update={"streams_per_client": 2})
    with gateway(guarded.model_copy(update={"gateway": changed})) as running, ExitStack() as streams:
        reading = []  # a reader that is dropped ends its stream
        for _ in range(2):
            headers = {"Authorization": f"Bearer {token()}"}
            reading.append(streams.enter_context(running.client.stream("GET", "/v1/stream", headers=headers)).iter_raw())
            next(reading[-1])
        assert "at most 2 streams" in problem(get(running, token(), "/v1/stream"), 429)
        with running.client.stream("GET", "/v1/stream", headers={"Authorization": f"Bearer {token(sub='bob')}"}) as other:
            assert other.status_code == 200


def test_guessing_is_bounded_by_address(guarded: Settings) -> None:
    changed = guarded.gateway.model_copy(update={"requests_per_s": 0.1, "request_burst": 1})
    with gateway(guarded.model_copy(update={"gateway": changed})) as running:
        answers = [get(running, token(OTHER)).status_code for _ in range(40)]
    assert answers[0] == 401
    assert answers[-1] == 429


def test_buckets_are_bounded() -> None:
    buckets = Buckets(1.0, 1)
    for i in range(CLIENTS_KEPT + 10):
        assert buckets.wait_s(str(i), 0.0) == 0.0
    assert len(buckets._left) == CLIENTS_KEPT
    assert buckets.wait_s(str(CLIENTS_KEPT), 0.5) == pytest.approx(0.5)


def test_it_speaks_tls(guarded: Settings, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.server(["127.0.0.1"], days=1)
    changed = guarded.gateway.model_copy(update={"certificate_file": certificate, "key_file": key})
    with gateway(guarded.model_copy(update={"gateway": changed}), ready=False) as running:
        trusting = ssl.create_default_context(cafile=str(authority.ca_file))
        url = f"https://127.0.0.1:{running.port}"
        answer = httpx.get(f"{url}/livez", verify=trusting)
        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"]
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/livez", verify=ssl.create_default_context())


def test_keys_and_tokens_of_the_command_line_are_taken(guarded: Settings, tmp_path: Path) -> None:
    private, made = make_keys(tmp_path / "made")
    assert private.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="not overwritten"):
        make_keys(tmp_path / "made")
    settings = guarded.gateway.model_copy(update={"jwt_public_key_file": made})
    text = issue(private, subject="kim", role="operator", hours=1, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    caller = auth.Tokens(settings).caller(text)
    assert (caller.subject, caller.roles) == ("kim", ("operator",))
    for bad in (tmp_path / "none", made):
        with pytest.raises(ConfigError, match="the key must be"):
            issue(bad, subject="kim", role="operator", hours=1, issuer=None, audience=None)
    with pytest.raises(ConfigError, match="a role must be"):
        issue(private, subject="kim", role="root", hours=1, issuer=None, audience=None)
    locked = tmp_path / "ec.key"
    locked.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigError, match="Ed25519 or RSA"):
        issue(locked, subject="kim", role="operator", hours=1, issuer=None, audience=None)
