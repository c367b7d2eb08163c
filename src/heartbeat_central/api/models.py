"""What the API takes and gives. Inputs are strict: unknown fields and other types are refused."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    WithJsonSchema,
)

from heartbeat_central.domain.application import (
    LONGEST_DESCRIPTION,
    LONGEST_NAME,
    LONGEST_TAG,
    MOST_TAGS,
)
from heartbeat_central.domain.schedule import LONGEST_SPAN
from heartbeat_central.domain.state import Shown

# What texts must be like is a rule of the domain, which names every bad one at once; the description
# repeats it for readers only.
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Name = Annotated[str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_NAME})]
Slug = Annotated[
    str,
    WithJsonSchema({"type": "string", "maxLength": LONGEST_NAME, "pattern": "^[a-z0-9_-]*$"}),
]
Description = Annotated[str, WithJsonSchema({"type": "string", "maxLength": LONGEST_DESCRIPTION})]
Seconds = Annotated[int, Field(ge=0, le=LONGEST_SPAN)]
Interval = Annotated[int, Field(ge=1, le=LONGEST_SPAN)]
Tags = Annotated[
    list[str],
    WithJsonSchema(
        {
            "type": "array",
            "maxItems": MOST_TAGS,
            "items": {"type": "string", "minLength": 1, "maxLength": LONGEST_TAG},
        }
    ),
]
Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


def _list_or_all(value: object) -> str | None:
    return "list" if isinstance(value, list) else "all" if value == "*" else None


# Which of the two is meant follows from the value, so that an error speaks of that one alone.
Channels = Annotated[
    Annotated[list[Id], Tag("list")] | Annotated[Literal["*"], Tag("all")],
    Discriminator(
        _list_or_all,
        custom_error_type="channels",
        custom_error_message="must be a list of ids, or `*` for every channel there is",
    ),
]


class Input(BaseModel):
    """Base of what is taken."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Output(BaseModel):
    """Base of what is given; later versions may add fields."""

    model_config = ConfigDict(extra="allow")


class Schedule(Input):
    """When a heartbeat is expected, as an expression in a time zone."""

    kind: Literal["cron", "oncalendar"]
    expression: str = Field(max_length=500, examples=["30 2 * * *"])
    timezone: str = Field("UTC", max_length=64, examples=["Europe/Vienna"])


class NewApplication(Input):
    """An application to create: `name`, and `expected_interval` or `schedule`."""

    name: Name = Field(examples=["Nightly backup"])
    expected_interval: Interval | None = Field(None, description="Seconds", examples=[86400])
    schedule: Schedule | None = None
    grace_period: Seconds = Field(0, description="Seconds", examples=[3600])
    expect_first_heartbeat: bool = True
    slug: Slug = Field("", description="Made from the name when empty")
    description: Description = ""
    tags: Tags = Field(default_factory=list)
    channels: Channels = Field(
        default_factory=list, description="Ids, or `*` for every channel there is"
    )
    is_active: bool = True


class ApplicationChange(Input):
    """The fields to change; the rest stays."""

    name: Name = ""
    expected_interval: Interval | None = None
    schedule: Schedule | None = None
    grace_period: Seconds = 0
    expect_first_heartbeat: bool = True
    slug: Slug = Field("", description="Made from the name when empty")
    description: Description = ""
    tags: Tags = Field(default_factory=list)
    channels: Channels = Field(default_factory=list)
    is_active: bool = True


class Application(Output):
    """An application with its state."""

    id: int
    uuid: str = Field(json_schema_extra={"format": "uuid"})
    name: str
    slug: str
    description: str
    tags: list[str]
    expected_interval: int | None
    grace_period: int
    expect_first_heartbeat: bool
    schedule: dict[str, str] | None
    is_active: bool
    status: Shown
    last_heartbeat: Timestamp | None
    next_expected: Timestamp | None
    deadline: Timestamp | None
    heartbeat_url: str
    channels: list[int]
    created_at: Timestamp
    updated_at: Timestamp
    problem: str | None = Field(
        description="Why it is not watched as it should be; null: all is well"
    )


class Heartbeat(Output):
    """A signal in an application's history."""

    id: int
    kind: Literal["success", "start", "fail", "log", "unknown"] = Field(
        description="`unknown`: what is stored is no kind that this version knows"
    )
    received_at: Timestamp
    exit_status: int | None
    duration: float | None = Field(description="Seconds since the matching start")
    rid: str | None
    method: str
    remote_address: str | None
    user_agent: str | None
    body: str | None
    body_size: int = Field(description="Bytes that came, before the cut")


class Incident(Output):
    """One outage."""

    id: int
    application_id: int
    reason: Literal["missed", "failed", "unfinished", "unverified"]
    exit_status: int | None
    opened_at: Timestamp
    closed_at: Timestamp | None
    last_heartbeat: Timestamp | None


class NewChannel(Input):
    """A channel to create. The keys of `config` depend on `type`: see `/api/alert-plugins`."""

    name: Name = Field(examples=["Ops mail"])
    type: str = Field(max_length=64, examples=["webhook"])
    config: dict[str, JsonValue] = Field(examples=[{"url": "https://example.com/hook"}])
    is_active: bool = True


class ChannelChange(Input):
    """The fields to change. `config` replaces the whole; a masked secret stays as it is."""

    name: Name = ""
    type: str = Field("", max_length=64)
    config: dict[str, JsonValue] = Field(default_factory=dict)
    is_active: bool = True


class Channel(Output):
    """A channel with its secrets masked."""

    id: int
    name: str
    type: str
    config: dict[str, Any]
    is_active: bool
    last_delivery: Timestamp | None
    last_error: str | None
    created_at: Timestamp
    updated_at: Timestamp


class TestResult(Output):
    """What came of a test."""

    ok: bool
    detail: str


class Delivery(Output):
    """One alert for one channel."""

    id: int
    delivery_id: str
    event: Literal["down", "up", "reminder", "test", "digest"]
    channel_id: int
    application_id: int | None
    incident_id: int | None
    status: Literal["pending", "delivered", "dead", "cancelled", "merged"]
    attempts: int
    next_attempt_at: Timestamp | None
    finished_at: Timestamp | None
    last_error: str | None
    merged_into: int | None
    created_at: Timestamp


class AlertPlugin(Output):
    """A kind of destination and the JSON Schema of its configuration."""

    type: str
    label: str
    summary: str
    config_schema: dict[str, Any]


class FieldProblem(Output):
    """One offending field."""

    field: str
    message: str


class Problem(Output):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = Field(default_factory=list)


class HealthPart(Output):
    """The health of one part; `elsewhere`: other processes do it and tell of it."""

    status: Literal["ok", "failing", "elsewhere"]
    detail: str | None
    last_ok: Timestamp | None


class Health(Output):
    """Whether the process that answers does its work."""

    status: Literal["ok", "unhealthy"]
    database: HealthPart
    ingest: HealthPart
    detector: HealthPart
    outbox: HealthPart


class Alive(Output):
    """The process answers."""

    status: Literal["ok"]
