"""The forms of what people and services ask to be done, for OpenAPI; checked before a route sees them. Data only."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

OperationName = Literal[
    "reservation_start",
    "reservation_stop",
    "reservation_cancel",
    "rebalance_pick_up",
    "drop_off",
    "maintenance_done",
    "decommissioned",
    "recommissioned",
    "snooze",
    "service_mode",
]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OperationRequest(_Form):
    """What was done with a vehicle."""

    operation: OperationName
    by: str = Field("gateway", min_length=1, max_length=100, description="Who did it, for the record.")
    reservation_id: str | None = Field(None, min_length=1, max_length=100)
    component: Literal["battery", "tyre", "brake", "motor", "structure", "sensor"] | None = Field(
        None, description="maintenance_done: what was repaired; without it, everything."
    )
    rule: str | None = Field(
        None,
        pattern=r"^[a-z_]{1,40}$",
        description="snooze: whose alerts; without it, of all that are open. maintenance_done: what was mended.",
    )
    minutes: float | None = Field(None, ge=0, le=43_200, description="snooze: for how long, of the deployment's time; 0 ends it.")
    until_ms: int | None = Field(None, ge=0, lt=1 << 53, description="snooze: until when, instead of minutes; at most 30 days ahead.")
    mode: Literal["on", "off"] | None = Field(None, description="service_mode: whether the vehicle is in service from now on.")
    note: str | None = Field(None, max_length=1000)

    @model_validator(mode="after")
    def _complete(self) -> "OperationRequest":
        ends = (self.minutes is not None) + (self.until_ms is not None)
        if ends != (self.operation == "snooze"):
            raise ValueError("a snooze must have either minutes or until_ms, and nothing else may have one of them")
        if (self.operation == "service_mode") != (self.mode is not None):
            raise ValueError("service_mode must have a mode, and nothing else may have one")
        return self


class AcknowledgeRequest(_Form):
    """Who takes the alert."""

    by: str = Field("operator", min_length=1, max_length=100)
    note: str | None = Field(None, max_length=1000)
    verdict: Literal["true", "false"] | None = Field(None, description="Whether it was a true one; models' precision is counted by it.")
