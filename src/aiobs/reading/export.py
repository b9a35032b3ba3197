"""A session file as dataclasses, named as in the first aiobs; ``extra`` keeps every field that is not one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from os import PathLike
from typing import Any, ClassVar, TypeVar

from aiobs.errors import UnreadableFile
from aiobs.reading.files import FORMAT_VERSION, lists_of
from aiobs.reading.tree import nested

_R = TypeVar("_R", bound="Record")


@dataclass(kw_only=True)
class Record:
    """One JSON object; ``extra`` holds its fields that the format does not require, under their own names."""

    NESTED: ClassVar[Mapping[str, type[Record]]] = {}

    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def model_validate(cls: type[_R], value: Any) -> _R:
        """From a JSON object. Raises UnreadableFile (a ValueError) where a field is missing that has no default."""
        if not isinstance(value, Mapping):
            raise UnreadableFile(f"A {cls.__name__} is a JSON object, not {type(value).__name__}.")
        known = {item.name for item in fields(cls)} - {"extra"}
        needed = {item.name for item in fields(cls) if item.default is item.default_factory is MISSING}
        if missing := sorted(needed - value.keys()):
            raise UnreadableFile(f"A {cls.__name__} has no {', '.join(missing)}.")
        given = {name: cls._read(name, value[name]) for name in known & value.keys()}
        return cls(**given, extra={name: item for name, item in value.items() if name not in known})

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        kind = cls.NESTED.get(name)
        return value if kind is None or value is None else kind.model_validate(value)

    def model_dump(self) -> dict[str, Any]:
        """The JSON object: the fields of the format first, then what ``extra`` holds."""
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "extra"}
        return {**{name: _dumped(value) for name, value in own.items()}, **self.extra}


def _dumped(value: Any) -> Any:
    if isinstance(value, Record):
        return value.model_dump()
    return [_dumped(item) for item in value] if isinstance(value, list) else value


@dataclass(kw_only=True)
class SessionMeta(Record):
    """Process id and working directory of the process that opened the session; 0 and "" where nobody knows them."""

    pid: int
    cwd: str


@dataclass(kw_only=True)
class Session(Record):
    """One session; times are seconds since the epoch, ``ended_at`` is None while it is open."""

    NESTED: ClassVar = {"meta": SessionMeta}

    id: str
    name: str
    started_at: float
    ended_at: float | None = None
    meta: SessionMeta
    labels: dict[str, str] | None = field(default_factory=dict)


@dataclass(kw_only=True)
class Callsite(Record):
    """A place in the program: file (relative to the working directory), line (from 1), function."""

    file: str | None = None
    line: int | None = None
    function: str | None = None


@dataclass(kw_only=True)
class Event(Record):
    """One model call; times in seconds since the epoch, ``duration_ms`` in milliseconds, ids in hexadecimal.

    ``extra`` may hold ``error_details``, ``evaluations``, ``context``, ``cost_usd``, ``attempt``.
    """

    NESTED: ClassVar = {"callsite": Callsite}

    provider: str
    api: str
    request: Any
    response: Any = None
    error: str | None = None
    started_at: float
    ended_at: float
    duration_ms: float
    callsite: Callsite | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    trace_id: str | None = None


@dataclass(kw_only=True)
class FunctionEvent(Record):
    """One call of an observed function, a tool or a pipeline step."""

    NESTED: ClassVar = {"callsite": Callsite}

    provider: str = "function"
    api: str
    name: str
    module: str | None = None
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    result: Any = None
    error: str | None = None
    started_at: float
    ended_at: float
    duration_ms: float
    callsite: Callsite | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    trace_id: str | None = None
    enh_prompt: bool = False
    enh_prompt_id: str | None = None
    auto_enhance_after: int | None = None


@dataclass(kw_only=True)
class ObservedEvent(Event):
    """A model call in a file: with the id of its session."""

    session_id: str


@dataclass(kw_only=True)
class ObservedFunctionEvent(FunctionEvent):
    """A function call in a file: with the id of its session."""

    session_id: str


@dataclass(kw_only=True)
class ObservabilityExport(Record):
    """A whole session file, format version 1.

    ``trace_tree`` is the events again, nested (plain dictionaries with ``event_type`` and ``children``), or None.
    """

    sessions: list[Session]
    events: list[ObservedEvent]
    function_events: list[ObservedFunctionEvent] = field(default_factory=list)
    trace_tree: list[Any] | None = None
    enh_prompt_traces: list[str] | None = None
    generated_at: float
    version: int = FORMAT_VERSION

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ObservabilityExport:
        """Read a session file, plain or gzip; of a file with one export a line, all of them as one.

        The file is in memory as a whole; ``iter_events`` reads larger ones. Raises UnreadableFile, which says what is
        wrong: no such file, a folder, not JSON, cut short, a newer version, a segment of a journal.
        """
        value = lists_of(path)
        if "trace_tree" not in value:
            value["trace_tree"] = nested(value["events"], value["function_events"])
        try:
            return cls.model_validate(value)
        except UnreadableFile as error:
            advice = f"Call `aiobs validate {path}` to see where."
            raise UnreadableFile(f"{path} is not in the format of a session file: {error} {advice}") from None

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        kind = _ITEMS.get(name)
        return value if kind is None else [kind.model_validate(item) for item in value or ()]


_ITEMS: dict[str, type[Record]] = {
    "sessions": Session,
    "events": ObservedEvent,
    "function_events": ObservedFunctionEvent,
}
