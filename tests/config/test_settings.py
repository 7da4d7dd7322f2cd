"""A wrong setting is one clear line that names file, key, value and range."""

from pathlib import Path

import pytest

from fleetpulse.config import kafka as kafka_options
from fleetpulse.config.reference import page
from fleetpulse.config.settings import ConfigError, Settings, load
from fleetpulse.flows.embedded import EmbeddedKafka, EmbeddedMqtt


def test_shipped_settings_load() -> None:
    assert load().kafka.partitions == 16


def test_a_value_out_of_range_names_key_value_range_and_line(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text("[rules]\nlow_battery_pct = 150\n")
    with pytest.raises(ConfigError, match=r"rules.low_battery_pct: .*100; got 150 \(.*fleet.toml, line 2\)"):
        load(file)


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text("[kafka]\nbootstrap = 'x'\n")
    with pytest.raises(ConfigError, match=r"kafka\.bootstrap"):
        load(file)


def test_the_environment_wins_and_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETPULSE_KAFKA__PARTITIONS", "4")
    assert load().kafka.partitions == 4
    monkeypatch.setenv("FLEETPULSE_KAFKA__PARTITIONS", "0")
    with pytest.raises(ConfigError, match="environment variable FLEETPULSE_KAFKA__PARTITIONS"):
        load()


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text('[kafka.options]\n"sasl.password" = 4711\n')
    with pytest.raises(ConfigError, match=r"kafka\.options\.sasl\.password: .*string \(") as raised:
        load(file)
    assert "4711" not in str(raised.value)


def test_kafka_options_of_a_file_win_and_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "kafka.secrets"
    settings = Settings.model_validate({"kafka": {"options": {"sasl.username": "u", "sasl.password": "x"}, "options_file": file}})
    with pytest.raises(ConfigError, match=r"kafka\.options_file must be readable; got No such file .*kafka\.secrets"):
        kafka_options.client(settings)
    file.write_text("# a comment\n\nsasl.password = a=b \n")
    for options in (kafka_options.client(settings), kafka_options.producer(settings), kafka_options.consumer(settings, group="g")):
        assert (options["sasl.username"], options["sasl.password"]) == ("u", "a=b")
    file.write_text("hunter2\n")
    with pytest.raises(ConfigError, match="one has no `=`") as raised:
        kafka_options.client(settings)
    assert "hunter2" not in str(raised.value)


def test_hysteresis_must_not_be_upside_down(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text("[rules]\nlow_battery_pct = 30\nlow_battery_clear_pct = 20\n")
    with pytest.raises(ConfigError, match="low_battery_pct must be below low_battery_clear_pct"):
        load(file)


def test_the_fixtures_make_a_deployment_on_real_brokers(settings: Settings, kafka: EmbeddedKafka, mqtt: EmbeddedMqtt) -> None:
    assert kafka.running
    assert mqtt.running
    assert settings.kafka.bootstrap_servers == kafka.address


def test_the_reference_page_is_current() -> None:
    file = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
    assert file.read_text(encoding="utf-8") == page(), "make it anew: .venv/bin/python -m fleetpulse.config.reference > docs/settings.md"
