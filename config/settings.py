"""Typed settings of one deployment: `fleet.toml`, overridden by secrets (secrets.py) and FLEETPULSE_* variables. No behaviour but checking.

`load()` gives the settings or a ConfigError of one sentence: what must hold, what was got, in which file and line.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, ValidationError, field_serializer, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from fleetpulse.config import secrets
from fleetpulse.config.alerts import Alerts

CONFIG_DIR = Path(__file__).resolve().parent
DEFAULT_FILE = CONFIG_DIR / "fleet.toml"
SECRETS_DIR = "FLEETPULSE_SECRETS_DIR"

Port = Annotated[int, Field(ge=0, le=65535)]
Percent = Annotated[float, Field(ge=0, le=100)]
Seconds = Annotated[float, Field(gt=0, le=30 * 86400)]


class ConfigError(Exception):
    """The operator wrote a setting that cannot hold. The text is one clear line; the command line exits with 2."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Deployment(_Section):
    """Who we are; names the `source` of every event."""

    name: str = Field("demo", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    data_dir: Path = Path("var")


class ClockSettings(_Section):
    """The deployment's clock: start_ms + (wall - wall_start_ms) * speed. Speed 1 and no start: the wall clock."""

    speed: float = Field(1.0, gt=0, le=1000)
    start_ms: int | None = None
    wall_start_ms: int | None = None

    @model_validator(mode="after")
    def _both(self) -> "ClockSettings":
        if (self.start_ms is None) != (self.wall_start_ms is None):
            raise ValueError("start_ms and wall_start_ms must be given together")
        if self.speed != 1.0 and self.start_ms is None:
            raise ValueError("a speed other than 1 needs start_ms and wall_start_ms")
        return self


class Kafka(_Section):
    """The Kafka-protocol cluster. `options` go to librdkafka as they are (TLS, SASL); `options_file` holds more of them, a line
    `name=value` each, for passwords that shall not stand here.
    """

    bootstrap_servers: str = "127.0.0.1:9092"
    partitions: int = Field(16, ge=1, le=1024)
    replication_factor: int = Field(1, ge=1, le=7)
    options: dict[str, str] = Field({}, repr=False)
    options_file: Path | None = None

    @field_serializer("options", when_used="json")
    def _masked(self, options: dict[str, str]) -> dict[str, str]:
        return dict.fromkeys(options, "**********")


class Mqtt(_Section):
    """The MQTT 5 broker."""

    host: str = "127.0.0.1"
    port: Port = 1883
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


class Bridge(_Section):
    """MQTT to Kafka. `receive_maximum` bounds what is taken and not yet acknowledged by Kafka. `share_group` lets several bridges
    share the messages; empty: one bridge alone, with plain subscriptions (rumqttd loses a shared group with its last member).
    """

    share_group: str = "bridge"
    receive_maximum: int = Field(1000, ge=1, le=65535)
    pack_bytes: int = Field(256 * 1024, ge=1024, le=1 << 20)
    hold_ms: int = Field(20, ge=0, le=1000)
    tick_ms: int = Field(1000, ge=100, le=10_000)
    metrics_port: Port = 9101


class Flow(_Section):
    """The dataflows."""

    processes: int = Field(1, ge=1, le=64)
    epoch_s: float = Field(10.0, gt=0, le=60)
    poll_ms: int = Field(20, ge=0, le=100)
    quota_bytes: int = Field(256 << 20, ge=1 << 20)
    window_s: int = Field(60, ge=10, le=3600)
    metrics_port: Port = 9102


class Gateway(_Section):
    """HTTP. `auth` off is for the demo alone and only on a loopback address; with `jwt`, `jwt_public_key_file` holds the issuer's public
    keys (PEM; several while keys change), and tokens must be of `jwt_issuer` and for `jwt_audience` where these are set. With
    `certificate_file` and `key_file` it speaks TLS. A client (a token's subject, else an address) may ask `requests_per_s`, and
    `request_burst` at once (none: 100 and 500 with tokens, no limit without), and keep `streams_per_client` open. Pages of
    `cors_origins` (`https://ops.example.org`) may read answers; by default none. `trusted_proxies` (addresses, networks) tell by
    X-Forwarded-For and -Proto whom they ask for; by default nobody is believed.

    `missing_share_max` is the loss objective: the share of the frames sent that may be missing by sequence numbers. A state whose newest
    stream time is `stale_s` behind the deployment's clock is called stale.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    auth: Literal["off", "jwt"] = "off"
    jwt_public_key_file: Path | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    requests_per_s: Annotated[float, Field(gt=0, le=100_000)] | None = None
    request_burst: Annotated[int, Field(ge=1, le=100_000)] | None = None
    streams_per_client: int = Field(100, ge=1, le=1000)
    cors_origins: tuple[Annotated[str, Field(pattern=r"^https?://[^/*?#\s]+$")], ...] = ()
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    client_queue: int = Field(1000, ge=10, le=100_000)
    events_kept: int = Field(200_000, ge=1000, le=10_000_000)
    missing_share_max: float = Field(0.0001, gt=0, lt=1)
    stale_s: Seconds = 60


class Notify(_Section):
    """Whom the gateway tells. Open alerts go to an Alertmanager (API v2), again every `resend_s`; events of `webhook_types` (names or
    groups of event types) go to a webhook as CloudEvents batches, signed with HMAC-SHA-256 when there is a `webhook_secret`.
    """

    alertmanager_url: AnyHttpUrl | None = Field(None, repr=False)
    resend_s: float = Field(60.0, ge=1, le=3600)
    webhook_url: AnyHttpUrl | None = Field(None, repr=False)
    webhook_types: tuple[str, ...] = ("vehicle.alert", "vehicle.maintenance")
    webhook_secret: SecretStr | None = None


class Agent(_Section):
    """The vehicle's end. One process runs many vehicles: a session each up to `sessions_max`, beyond it several share a connection.

    With `trust_broker` a payload is deleted when the MQTT broker acknowledges it (PUBACK) and not when the bridge says that Kafka has
    it: that saves a message each, and costs whatever the broker holds when it is killed. `store_dir` (by default beside the ledger) is
    where a process keeps what it cannot send; `store_hours` and `store_bytes` bound it. `certificate_dir` holds `{device_id}.pem` and
    `.key` of every vehicle of the process (`fleetpulse agent enroll`), in place of one certificate in [mqtt]; a session each then.
    `certificate_days` is how long a certificate that `enroll` makes is valid.
    """

    flush_s: float = Field(2.0, gt=0, le=60)
    store_dir: Path | None = None
    store_hours: float = Field(24.0, gt=0, le=168)
    store_bytes: int = Field(1 << 30, ge=1 << 20)
    resend_s: float = Field(30.0, gt=0, le=600)
    sessions_max: int = Field(200, ge=1, le=5000)
    trust_broker: bool = False
    certificate_dir: Path | None = None
    certificate_days: int = Field(365, ge=1, le=3650)


class Rules(_Section):
    """Thresholds that hold for every vehicle model; those of one model stand in models.toml."""

    low_battery_pct: Percent = 15
    low_battery_clear_pct: Percent = 20
    unrentable_pct: Percent = 10
    unrentable_clear_pct: Percent = 15
    offline_s: Seconds = 600
    offline_longest_s: Seconds = 7200
    offline_gaps: float = Field(4, ge=1, le=100)
    offline_disconnected_s: Seconds = 300
    online_dwell_s: float = Field(10, ge=0, le=3600)
    offline_group_s: float = Field(30, ge=0, le=600)
    outage_vehicles: int = Field(5, ge=2, le=10_000)
    outage_together_s: Seconds = 300
    missing_s: Seconds = 86_400
    silence_jump_s: Seconds = 5
    geofence_dwell_s: float = Field(10, ge=0, le=3600)
    tipped_dwell_s: float = Field(10, ge=0, le=3600)
    theft_dwell_s: float = Field(5, ge=0, le=3600)
    theft_speed_mps: float = Field(1.5, gt=0, le=30)
    theft_distance_m: float = Field(50, gt=0, le=10_000)
    theft_quiet_s: float = Field(900, ge=0, le=86_400)
    tyre_dwell_s: float = Field(30, ge=0, le=3600)
    temperature_dwell_s: float = Field(5, ge=0, le=3600)
    battery_dwell_s: float = Field(5, ge=0, le=3600)
    swap_jump_pct: Percent = 15
    trip_end_dwell_s: float = Field(5, ge=0, le=600)
    escalate_s: Seconds = 1800
    geofence_leave_m: float = Field(25, ge=0, le=1000)
    tipped_roll_deg: float = Field(60, gt=0, le=180)
    tyre_clear_kpa: float = Field(10, ge=0, le=200)
    voltage_dwell_s: float = Field(5, ge=0, le=3600)
    voltage_quiet_s: float = Field(21_600, ge=0, le=86_400)
    sensor_dwell_s: float = Field(60, ge=0, le=3600)
    sensor_quiet_s: float = Field(600, ge=0, le=86_400)
    clock_slack_s: float = Field(20, ge=1, le=300)
    clock_learn_s: float = Field(120, ge=1, le=3600)
    stuck_position_m: float = Field(500, ge=50, le=100_000)
    teleport_mps: float = Field(50, ge=10, le=1000)
    sensor_jumps: int = Field(3, ge=1, le=100)
    jump_forget_s: float = Field(1200, ge=1, le=36_000)
    charge_frozen_pct: float = Field(4, gt=0, le=100)
    charge_jump_pct: float = Field(5, gt=0, le=100)
    charge_rate_pct_per_min: float = Field(5, gt=0, le=6000)
    charge_rest_pct_per_min: float = Field(1, gt=0, le=6000)
    phantom_speed_mps: float = Field(3, gt=0, le=30)
    charging_speed_mps: float = Field(3, gt=0, le=30)
    quiet_s: float = Field(30, ge=0, le=3600)
    fix_default_m: float = Field(10, gt=0, le=1000)
    fix_worst_m: float = Field(100, gt=0, le=10_000)
    evict_s: Seconds = 30 * 86_400

    @model_validator(mode="after")
    def _hysteresis(self) -> "Rules":
        for low, high in (("low_battery_pct", "low_battery_clear_pct"), ("unrentable_pct", "unrentable_clear_pct")):
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(f"{low} must be below {high}; got {getattr(self, low)} and {getattr(self, high)}")
        return self


class Rebalance(_Section):
    """Decisions per H3 cell and interval."""

    interval_s: int = Field(900, ge=60, le=86_400)
    h3_resolution: int = Field(8, ge=6, le=10)
    max_move_m: float = Field(2000, gt=0, le=20_000)
    target_supply_min: int = Field(1, ge=0, le=1000)
    incentive_min_eur: float = Field(0.5, ge=0, le=100)
    incentive_max_eur: float = Field(5.0, ge=0, le=100)
    cluster_low_battery: int = Field(3, ge=2, le=1000)
    season_intervals: int = Field(96, ge=1, le=10_000)


class Detect(_Section):
    """Online models. Those of `models` run. A model in `shadow` scores and is counted, and raises nothing. In the place of `drain` and
    `vibration`, where they are in shadow, do not run or have failed, a fixed rule decides: more than twice `drain_delta_pct` lost beyond
    1 % an hour and three times what the range has it, and `vibration_limit_mps2` in bands 3 and 4 together.

    A tyre that will be below its limit within `tyre_horizon_days` is told, within `tyre_warning_days` as a warning. A battery's life
    ends at `battery_end_soh_pct` of its first capacity, or at `battery_end_resistance` times the least resistance that it has shown;
    that is a warning `battery_warning_days` ahead, critical `battery_critical_days` ahead.
    """

    warm_up_windows: int = Field(500, ge=10)
    anomaly_quantile: float = Field(0.9995, gt=0.5, lt=1)
    drain_delta_pct: float = Field(3.0, gt=0)
    models: tuple[Literal["drain", "powertrain", "vibration"], ...] = ("drain", "powertrain", "vibration")
    shadow: tuple[Literal["drain", "powertrain", "vibration", "tyre_forecast", "battery_life"], ...] = ()
    vibration_limit_mps2: float = Field(1.0, gt=0)
    tyre_horizon_days: float = Field(14.0, gt=0, le=90)
    tyre_warning_days: float = Field(3.0, gt=0, le=90)
    battery_end_soh_pct: float = Field(70.0, gt=0, lt=100)
    battery_end_resistance: float = Field(2.0, gt=1, le=10)
    battery_warning_days: float = Field(30.0, gt=0, le=365)
    battery_critical_days: float = Field(15.0, gt=0, le=365)


class Settings(BaseSettings):
    """All of it. Environment: FLEETPULSE_KAFKA__BOOTSTRAP_SERVERS=... overrides [kafka] bootstrap_servers."""

    model_config = SettingsConfigDict(
        env_prefix="FLEETPULSE_", env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    deployment: Deployment = Deployment()  # type: ignore[call-arg]
    clock: ClockSettings = ClockSettings()  # type: ignore[call-arg]
    kafka: Kafka = Kafka()  # type: ignore[call-arg]
    mqtt: Mqtt = Mqtt()
    bridge: Bridge = Bridge()  # type: ignore[call-arg]
    flow: Flow = Flow()  # type: ignore[call-arg]
    gateway: Gateway = Gateway()  # type: ignore[call-arg]
    notify: Notify = Notify()  # type: ignore[call-arg]
    agent: Agent = Agent()  # type: ignore[call-arg]
    rules: Rules = Rules()  # type: ignore[call-arg]
    alerts: Alerts = Alerts()  # type: ignore[call-arg]
    rebalance: Rebalance = Rebalance()  # type: ignore[call-arg]
    detect: Detect = Detect()  # type: ignore[call-arg]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings  # the file's values come as init arguments; the environment wins


def read_toml(file: Path) -> dict[str, Any]:
    """A TOML file's content. Raises ConfigError when it is absent or not TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the settings file must be readable; got {error.strerror} ({file})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the settings file must be TOML; got {error} ({file})") from None


def _where(file: Path, key: str) -> str:
    leaf = key.rsplit(".", 1)[-1]
    variable = "FLEETPULSE_" + key.upper().replace(".", "__")
    if variable in os.environ:
        return f"environment variable {variable}"
    secret = Path(os.environ.get(SECRETS_DIR) or os.devnull) / key.replace(".", "__", 2 if key.startswith("kafka.options.") else 1)
    if secret.is_file():
        return str(secret)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return str(file)
    for number, line in enumerate(lines, 1):
        if re.match(rf"\s*{re.escape(leaf)}\s*=", line):
            return f"{file}, line {number}"
    return str(file)


def one_line(error: ValidationError, file: Path) -> ConfigError:
    """The first of a validation's errors as one sentence with its place."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "settings"
    secret = "." not in key or re.search("password|secret|token|options|url", key)  # a whole section holds them too
    got = "" if secret or first["type"] in ("missing", "extra_forbidden", "value_error") else f"; got {first['input']!r}"
    message = first["msg"].removeprefix("Value error, ")
    return ConfigError(f"{key}: {message}{got} ({_where(file, key)})")


def load(file: Path | None = None) -> Settings:
    """Settings from `file` (default: the fleet.toml shipped in config/), secrets and the environment. Raises ConfigError."""
    file = file or Path(os.environ.get("FLEETPULSE_CONFIG", DEFAULT_FILE))
    folder = os.environ.get(SECRETS_DIR)
    try:
        values = read_toml(file)
        return Settings(**(secrets.over(values, secrets.read(Path(folder))) if folder else values))
    except ValidationError as error:
        raise one_line(error, file) from None
    except secrets.SecretsError as error:
        raise ConfigError(str(error)) from None
    except SettingsError as error:
        section = "".join(re.findall(r'field "(\w+)"', str(error))).upper() or "..."
        raise ConfigError(f"the environment variables FLEETPULSE_{section}__* must be JSON where a list or a table is wanted") from None
