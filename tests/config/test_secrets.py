"""Secrets come from files or the environment, and stand in no log, no answer, no error and no text of the settings."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fleetpulse.config import kafka as kafka_options
from fleetpulse.config import secrets
from fleetpulse.config.settings import ConfigError, Settings, load
from fleetpulse.flows.embedded import EmbeddedKafka, EmbeddedMqtt, free_port
from tests.gateway.egress.support import alert, device, encoded, publish
from tests.support.processes import part, wait_for

SECRET = "hunter2-c0ffee"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    monkeypatch.setenv("FLEETPULSE_SECRETS_DIR", str(made))
    return made


def test_a_folder_of_secrets_stands_between_file_and_environment(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text('[mqtt]\nusername = "u"\npassword = "of the file"\n[kafka.options]\n"sasl.username" = "k"\n')
    (folder / "mqtt__password").write_text("of the folder\n")
    (folder / "kafka__options__sasl.password").write_text(SECRET)
    (folder / "..data").mkdir()  # as Kubernetes mounts them
    (folder / ".hidden").write_text("x")
    settings = load(file)
    assert settings.mqtt.password is not None
    assert (settings.mqtt.username, settings.mqtt.password.get_secret_value()) == ("u", "of the folder")
    options = kafka_options.client(settings)
    assert (options["sasl.username"], options["sasl.password"]) == ("k", SECRET)
    monkeypatch.setenv("FLEETPULSE_MQTT__PASSWORD", "of the environment")
    changed = load(file).mqtt.password
    assert changed is not None
    assert changed.get_secret_value() == "of the environment"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("password", b"x", "must be named <section>__<key>; got 'password'"),
        ("mqtt__", b"x", "must be named"),
        ("mqtt__pasword", b"x", r"mqtt\.pasword"),
        ("mqtt__port", b"x", r"mqtt\.port: .*secrets/mqtt__port\)"),
        ("mqtt__password", b"\xff" + SECRET.encode(), "no UTF-8"),
        ("mqtt__password__x", SECRET.encode(), r"mqtt\.password: "),
    ],
)
def test_a_file_that_is_no_secret_of_ours_is_one_clear_line(folder: Path, name: str, content: bytes, says: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match=says) as raised:
        load()
    assert SECRET not in str(raised.value)


def test_a_folder_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETPULSE_SECRETS_DIR", "/nowhere")
    with pytest.raises(ConfigError, match=r"readable folder; got No such file or directory \(/nowhere\)"):
        load()


def test_over_merges_section_by_section() -> None:
    assert secrets.over({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 4}, "c": {"z": 5}}) == {"a": {"x": 1, "y": 4}, "b": 3, "c": {"z": 5}}


def test_settings_as_text_hold_no_secret() -> None:
    settings = Settings.model_validate(
        {
            "kafka": {"options": {"sasl.password": SECRET, "ssl.key.pem": SECRET}},
            "mqtt": {"password": SECRET},
            "notify": {
                "webhook_secret": SECRET,
                "webhook_url": f"https://u:{SECRET}@h/{SECRET}",
                "alertmanager_url": f"https://h/{SECRET}",
            },
        }
    )
    for text in (repr(settings), str(settings), f"{settings.kafka!r} {settings.notify!r}"):
        assert SECRET not in text
    assert SECRET not in orjson.dumps(orjson.loads(settings.kafka.model_dump_json())).decode() + settings.mqtt.model_dump_json()
    assert kafka_options.client(settings)["sasl.password"] == SECRET, "Kafka is given it"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KAFKA__OPTIONS", f'{{"sasl.password": "{SECRET}"'),
        ("KAFKA__OPTIONS", f'["{SECRET}"]'),
        ("KAFKA__OPTIONS", f'{{"sasl.password": ["{SECRET}"]}}'),
        ("KAFKA", f'["{SECRET}"]'),
        ("KAFKA", f'{{"{SECRET}'),
        ("MQTT__PASSWORD", f'{{"a": "{SECRET}"}}'),
        ("MQTT", f'{{"password": {{"a": "{SECRET}"}}}}'),
        ("NOTIFY__WEBHOOK_URL", f"no://u:{SECRET}@[h"),
        ("NOTIFY__WEBHOOK_SECRET", f'["{SECRET}"]'),
    ],
)
def test_a_wrong_setting_is_told_without_its_secret(variable: str, value: str) -> None:
    arguments = [sys.executable, "-m", "fleetpulse.flows.cli", "gateway"]
    env = {**os.environ, f"FLEETPULSE_{variable}": value, "FLEETPULSE_KAFKA__PARTITIONS": "0"}  # wrong in any case
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("fleetpulse: ConfigError: ")
    assert done.stderr.count("\n") == 1
    assert SECRET not in done.stderr + done.stdout


def test_tracebacks_in_the_log_show_no_values_of_variables() -> None:
    code = f"""
import structlog
from fleetpulse.config.log import configure
configure("test")
def fails(password):
    raise RuntimeError("it fails")
try:
    fails("".join({list(SECRET)!r}))
except RuntimeError:
    structlog.get_logger().exception("a part has failed")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    line = orjson.loads(done.stderr)
    assert line["event"] == "a part has failed"
    assert line["exception"][0]["exc_value"] == "it fails"
    assert SECRET not in done.stderr


@pytest.mark.timeout(120)
def test_parts_that_run_and_fail_log_no_secret(
    settings: Settings, kafka: EmbeddedKafka, mqtt: EmbeddedMqtt, tmp_path: Path, folder: Path
) -> None:
    away = free_port()
    port = free_port()
    key = tmp_path / "gateway.pub"
    key.write_bytes(Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    secret = Settings.model_validate(
        {
            **settings.model_dump(),
            "kafka": {**settings.kafka.model_dump(), "options": {"sasl.password": SECRET, "sasl.username": "u"}},
            "mqtt": {**settings.mqtt.model_dump(), "username": "u"},
            "gateway": {"port": port, "auth": "jwt", "jwt_public_key_file": key},
            "notify": {
                "alertmanager_url": f"http://u:{SECRET}@127.0.0.1:{away}/{SECRET}",
                "webhook_url": f"http://127.0.0.1:{away}/{SECRET}",
            },
        }
    )
    (folder / "mqtt__password").write_text(SECRET)
    (folder / "notify__webhook_secret").write_text(SECRET)
    texts: list[str] = []
    with (
        part(secret, tmp_path, "bridge"),
        part(secret, tmp_path, "flow", "telemetry"),
        part(secret, tmp_path, "gateway"),
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        wait_for(lambda: _ready(client), what="the gateway must be ready")
        answer = client.get("/v1/fleet", headers={"Authorization": f"Bearer {SECRET}.{SECRET}.{SECRET}"})
        assert answer.status_code == 401
        asked = client.get(f"/v1/stream?token={SECRET}", headers={"Authorization": f"Basic {SECRET}"})
        texts += [answer.text, asked.text, client.get("/openapi.json").text, client.get("/readyz").text]
        publish(settings, encoded([alert(device(1), "crash")]))
        for said in ("Alertmanager does not take alerts", "the webhook does not take events"):
            wait_for(lambda words=said: words in (tmp_path / "gateway.log").read_text(), what=said)  # type: ignore[misc]
        kafka.kill()
        mqtt.kill()
        wait_for(lambda: client.get("/readyz").json()["kafka_away"], what="Kafka must be seen to be away")
    texts += [(tmp_path / f"{name}.log").read_text() for name in ("bridge", "flow-telemetry", "gateway")]
    assert not any(SECRET in text for text in texts)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False
