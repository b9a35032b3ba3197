"""The format of the session file, version 1, as types: what ``aiobs validate`` checks and the JSON Schema is made of.

Objects may have more fields than these; the file itself may not. ``request`` and ``labels`` may be null in files of the
first aiobs; ``viewer rules`` say what viewers of the file want beyond that.
"""

from __future__ import annotations

from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,  # typing's own lacks what pydantic needs before Python 3.12
)

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

_OPEN = ConfigDict(extra="allow", strict=True)

Seconds = Annotated[float, Field(description="Seconds since the epoch.")]
Milliseconds = Annotated[float, Field(description="Milliseconds.")]
SpanId = Annotated[str, Field(pattern="^[0-9a-f]{16}$", description="16 hexadecimal digits.")]
TraceId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="32 hexadecimal digits.")]
Text = Annotated[str, Field(min_length=1)]


class Meta(TypedDict):
    """The process that opened the session."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]  # how pydantic configures a TypedDict

    pid: Annotated[int, Field(description="Process id; 0 where only events of the session are known.")]
    cwd: Annotated[str, Field(description="Working directory; empty where it was deleted or is not known.")]
    parent_session_id: NotRequired[Annotated[str, Field(description="The session that this one was opened in.")]]
    dropped_events: NotRequired[Annotated[int, Field(ge=0, description="Events for which there was no room.")]]


class Session(TypedDict):
    """One session; ``ended_at`` is null while it is open."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]  # how pydantic configures a TypedDict

    id: Text
    name: Text
    started_at: Seconds
    ended_at: Seconds | None
    meta: Meta
    labels: dict[str, str] | None


class Callsite(TypedDict):
    """A place in the program."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]  # how pydantic configures a TypedDict

    file: Annotated[str, Field(description="Relative to the working directory where that is possible.")]
    line: int
    function: str


class ErrorDetails(TypedDict):
    """What is known of an error beyond its text."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]  # how pydantic configures a TypedDict

    type: str
    code: str | None
    message: str
    retryable: bool | None
    status_code: int | None
    request_id: str | None


class _Common(TypedDict):
    __pydantic_config__ = _OPEN  # type: ignore[misc]  # how pydantic configures a TypedDict

    api: Text
    error: Annotated[str | None, Field(description="`ExceptionName: message`, or null.")]
    started_at: Seconds
    ended_at: Seconds
    duration_ms: Milliseconds
    callsite: Callsite | None
    span_id: SpanId
    parent_span_id: SpanId | None
    trace_id: TraceId
    session_id: Text
    evaluations: NotRequired[list[dict[str, Any]]]
    context: NotRequired[Annotated[dict[str, Any], Field(description="What surrounded the call, like a job's run id.")]]


class Event(_Common):
    """One model call; the shapes of request and response are the provider's operation's."""

    provider: Text
    request: dict[str, Any] | None
    response: dict[str, Any] | None
    error_details: NotRequired[ErrorDetails | None]
    cost_usd: NotRequired[float | None]
    attempt: NotRequired[int]


class FunctionEvent(_Common):
    """One call of an observed function, a tool or a pipeline step."""

    provider: Literal["function"]
    name: Text
    module: str | None
    args: list[Any] | None
    kwargs: dict[str, Any] | None
    result: Any
    enh_prompt: bool
    enh_prompt_id: str | None
    auto_enhance_after: int | None


class EventNode(Event):
    """A model call in the tree."""

    event_type: Literal["provider"]
    children: list[Node]


class FunctionNode(FunctionEvent):
    """A function call in the tree."""

    event_type: Literal["function"]
    children: list[Node]


Node = Annotated["EventNode | FunctionNode", Field(discriminator="event_type")]


class Export(TypedDict):
    """What a program that calls language models did: sessions, model calls, function calls."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]  # as above

    sessions: list[Session]
    events: list[Event]
    function_events: list[FunctionEvent]
    trace_tree: Annotated[list[Node] | None, Field(description="All events, nested by parent; siblings by start.")]
    enh_prompt_traces: Annotated[list[str] | None, Field(description="The enh_prompt_ids, null when there are none.")]
    generated_at: Seconds
    version: Literal[1]
