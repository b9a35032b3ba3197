"""The table of what aiobs works with, and how each of these breaks.

A collaborator is broken by putting a function of ours in its place; adding one is adding a row to ``COLLABORATORS``.
"""

from __future__ import annotations

import errno
import importlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiobs.instrumentation.google_genai import PROVIDER as GOOGLE
from aiobs.instrumentation.openai import PROVIDER as OPENAI
from tests.contract.drivers import NEEDLE


class Broken(Exception):
    """What a broken collaborator raises; its text holds what must not be logged."""


class Hostile:
    """Nonsense of the worst kind: every attribute raises, and so does every way of looking at it."""

    def __getattribute__(self, name: str) -> Any:
        raise Broken(f"{name} of something hostile: {NEEDLE}")

    def __bool__(self) -> bool:
        raise Broken(NEEDLE)

    def __len__(self) -> int:
        raise Broken(NEEDLE)

    def __iter__(self) -> Iterator[Any]:
        raise Broken(NEEDLE)

    def __str__(self) -> str:
        raise Broken(NEEDLE)

    __repr__ = __str__


Replace = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes of a working function a broken one."""


def raises(make: Callable[[], BaseException]) -> Replace:
    def broken(original: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            raise make()

        return run

    return broken


def gives(make: Callable[[], Any]) -> Replace:
    return lambda original: lambda *args, **kwargs: make()


def raises_once(kind: type[BaseException]) -> Replace:
    """The first call raises, the others work."""

    def broken(original: Callable[..., Any]) -> Callable[..., Any]:
        left = [kind("the program's")]

        def run(*args: Any, **kwargs: Any) -> Any:
            if left:
                raise left.pop()
            return original(*args, **kwargs)

        return run

    return broken


def raises_late(original: Callable[..., Any]) -> Callable[..., Any]:
    """It does what it should, and then raises."""

    def run(*args: Any, **kwargs: Any) -> Any:
        original(*args, **kwargs)
        raise Broken(f"broken in the end: {NEEDLE}")

    return run


class Hang:
    """The first call waits until somebody lets it go on, which a thread does as soon as it has seen it waiting."""

    def __init__(self) -> None:
        self.entered, self.released = threading.Event(), threading.Event()

    def __call__(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            self.entered.set()
            assert self.released.wait(30), "nobody let it go on"
            return original(*args, **kwargs)

        return run

    @contextmanager
    def watched(self) -> Iterator[None]:
        def release() -> None:
            self.entered.wait()
            self.released.set()

        thread = threading.Thread(target=release)
        thread.start()
        try:
            yield
        finally:
            self.entered.set()
            thread.join()


def _backwards() -> Replace:
    """A clock that goes back a minute with each look."""
    minutes = itertools.count(1_700_000_000_000_000_000, -60_000_000_000)
    return gives(lambda: next(minutes))


MODES: dict[str, Callable[[], Replace]] = {
    "raises": lambda: raises(lambda: Broken(f"broken: {NEEDLE}")),
    "late": lambda: raises_late,
    "hangs": Hang,
    "none": lambda: gives(lambda: None),
    "wrong": lambda: gives(object),
    "hostile": lambda: gives(Hostile),
    "endless": lambda: gives(lambda: itertools.repeat(("k", "v"))),
    "no-space": lambda: raises(lambda: OSError(errno.ENOSPC, "No space left on device")),
    "text": lambda: gives(lambda: "noon"),
    "frozen": lambda: gives(lambda: 1),
    "backwards": _backwards,
    "interrupts": lambda: raises_once(KeyboardInterrupt),
    "exits": lambda: raises_once(SystemExit),
}

NONSENSE = ("none", "wrong", "hostile", "endless")
ANY = ("raises", "hangs", *NONSENSE)
FAILS = ("raises", "late", "hangs")
FILES = ("raises", "hangs", "no-space", "none", "wrong")
CLOCK = ("raises", "hangs", *NONSENSE, "text", "frozen", "backwards")


@dataclass(frozen=True)
class Collaborator:
    """Something that aiobs calls.

    ``places`` are where it is found (see ``_place``) · ``loses`` is what may be missing when it is broken, ``misleads``
    what may be missing besides when it returns nonsense: spans, calls and functions (of the session file), metrics,
    logs · ``besides``: what has to fail for it to be called · ``is_called`` False: aiobs gets by without it.
    """

    name: str
    places: tuple[str, ...]
    modes: tuple[str, ...] = ANY
    loses: str = ""
    misleads: str = ""
    besides: tuple[str, ...] = ()
    is_called: bool = True


@dataclass(frozen=True)
class Breakage:
    """One collaborator, broken in one way."""

    of: Collaborator
    mode: str

    def __str__(self) -> str:
        return f"{self.of.name}-{self.mode}"

    @property
    def loses(self) -> frozenset[str]:
        """What may be missing."""
        if self.mode in ("hangs", "no-space", "interrupts", "exits"):
            return frozenset()
        return frozenset(f"{self.of.loses} {self.of.misleads if self.mode not in FAILS else ''}".split())


def _steps(*names: str, loses: str = "") -> tuple[Collaborator, ...]:
    """Steps of aiobs itself, any of which may turn out to have a bug."""
    return tuple(Collaborator(name.rpartition("aiobs.")[2], (name,), ("raises",), loses) for name in names)


_SPAN = "opentelemetry.sdk.trace.Span"
_BY = "tests.chaos.bystanders"
_METRICS = "opentelemetry.sdk.metrics._internal"
_NOTHING_STARTS = "spans logs"
_EVERYTHING = "spans calls functions metrics logs"
_FILE = "calls functions"

COLLABORATORS = (
    # OpenTelemetry: traces
    Collaborator("get_tracer", ("opentelemetry.sdk.trace.TracerProvider.get_tracer",), loses=_NOTHING_STARTS),
    Collaborator("start_span", ("opentelemetry.sdk.trace.Tracer.start_span",), loses=_NOTHING_STARTS),
    Collaborator("set_attributes", (f"{_SPAN}.set_attributes",)),
    Collaborator("set_attribute", (f"{_SPAN}.set_attribute",)),
    Collaborator("set_status", (f"{_SPAN}.set_status",)),
    Collaborator("is_recording", (f"{_SPAN}.is_recording",)),
    Collaborator("get_span_context", (f"{_SPAN}.get_span_context",), loses=_EVERYTHING),
    Collaborator("end", (f"{_SPAN}.end",), loses="spans"),
    Collaborator("record_exception", (f"{_SPAN}.record_exception",), ("raises",), is_called=False),
    Collaborator("add_event", (f"{_SPAN}.add_event",), ("raises",), is_called=False),
    Collaborator("on_start", (f"{_BY}.Processor.on_start",), FAILS, loses=_NOTHING_STARTS),
    Collaborator("on_end", (f"{_BY}.Processor.on_end",), FAILS),
    Collaborator("on_ending", (f"{_BY}.Processor._on_ending",), FAILS, loses="spans"),
    Collaborator("processor-force_flush", (f"{_BY}.Processor.force_flush",)),
    Collaborator("span-exporter", (f"{_BY}.Exporter.export",)),
    Collaborator("span-exporter-force_flush", (f"{_BY}.Exporter.force_flush",), is_called=False),
    Collaborator("log-exporter", (f"{_BY}.LogExporter.export",)),
    Collaborator("metric-exporter", (f"{_BY}.MetricExporter.export",)),
    Collaborator("sampler", (f"{_BY}.Sampling.should_sample",), loses=_NOTHING_STARTS),
    Collaborator("span-ids", (f"{_BY}.Ids.generate_span_id",), loses=_NOTHING_STARTS),
    Collaborator("trace-ids", (f"{_BY}.Ids.generate_trace_id",), loses=_NOTHING_STARTS),
    # OpenTelemetry: metrics, logs, context
    Collaborator("get_meter", ("opentelemetry.sdk.metrics.MeterProvider.get_meter",), loses="metrics"),
    Collaborator("create_histogram", ("opentelemetry.sdk.metrics.Meter.create_histogram",), loses="metrics"),
    Collaborator("create_counter", ("opentelemetry.sdk.metrics.Meter.create_counter",), loses="metrics"),
    Collaborator("create_gauge", ("opentelemetry.sdk.metrics.Meter.create_observable_counter",), loses="metrics"),
    Collaborator("record", (f"{_METRICS}.instrument._Histogram.record",), loses="metrics"),
    Collaborator("add", (f"{_METRICS}.instrument._Counter.add",)),
    Collaborator("get_logger", ("opentelemetry.sdk._logs.LoggerProvider.get_logger",), loses="logs"),
    Collaborator("emit", ("opentelemetry.sdk._logs._internal.Logger.emit",), loses="logs"),
    Collaborator("context-attach", ("context:attach",), loses="calls"),
    Collaborator("context-detach", ("context:detach",), ("late", "hangs")),
    Collaborator("context-get_current", ("context:get_current",), loses=_EVERYTHING),
    # What users plug in
    Collaborator("hook-before", (f"{_BY}.Hook.before",)),
    Collaborator("hook-finish", (f"{_BY}.Hook.finish",)),
    Collaborator("run-context", (f"{_BY}.Surroundings.ask",)),
    Collaborator("log-handler", (f"{_BY}.Handler.handle",), besides=("aiobs.capture.recording.end_attributes",)),
    # Providers
    *(
        Collaborator(name, (f"operation:{name}",))
        for name in (
            "read_request", "read_response", "read_prompt", "read_choices", "fold_chunk", "settle", "session_request",
            "session_response",
        )
    ),
    *(
        Collaborator(name, (f"provider:{name}",))
        for name in ("server_of", "failure_of", "answer_of", "secrets_of", "model_of")
    ),
    Collaborator("shape_of", ("provider:shape_of",), loses="logs"),
    Collaborator("client_of", ("provider:client_of",), loses="spans calls"),
    Collaborator("helper-model_of", ("helper:model_of",), loses="spans calls", misleads="logs"),
    Collaborator("helper-may_continue", ("helper:may_continue",)),
    # The machine
    Collaborator("wall-clock", ("aiobs.clock.time_ns",), CLOCK),
    Collaborator("monotonic-clock", ("aiobs.clock.perf_counter_ns",), CLOCK),
    Collaborator("serialiser", ("aiobs.semconv.serialise._to_json",), loses=_FILE),
    *(
        Collaborator(f"journal-{name}", tuple(f"aiobs.exporters.{module}:os.{name}" for module in modules), FILES, loses=_FILE)
        for name, modules in (("open", ["session.journal"]), ("write", ["session.journal", "lines.writer"]), ("fstat", ["lines.writer"]))
    ),
    Collaborator("journal-flock", ("aiobs.exporters.lines.writer:fcntl.flock",), FILES, loses=_FILE),
    *(
        Collaborator(f"file-{name}", (f"aiobs.exporters.session.files:os.{name}",), ("raises", "hangs", "no-space"))
        for name in ("open", "replace", "fsync")
    ),
    Collaborator("getcwd", ("aiobs.exporters.session.files:os.getcwd",), ("raises", "no-space"), loses=_FILE),
    Collaborator("mkdir", ("pathlib.Path.mkdir",), ("raises", "no-space"), loses=_FILE),
    Collaborator("file-lock", ("filelock.FileLock.acquire",), ("raises", "no-space", "hangs")),
    # Our own parts that stand between
    Collaborator(
        "ambient",
        (
            *(f"aiobs.capture.{place}.ambient_of" for place in ("recording", "function", "helper")),
            "aiobs.ambient.otel.current_ambient",
        ),
        loses=_FILE,
    ),
    Collaborator("find_callsite", ("aiobs.capture.drivers.find_callsite",)),
    *_steps(
        "aiobs.capture.recording.end_attributes",
        "aiobs.capture.recording.content_of",
        "aiobs.capture.telemetry.scrub",
        "aiobs.capture.recording.clean_text",
        "aiobs.capture.function.reduced",
        "aiobs.capture.function.public_name",
        "aiobs.capture.helper.merged",
        "aiobs.capture.helper.helper_attributes",
        "aiobs.capture.streams.Tap.first",
        "aiobs.capture.deferred.closed",
        "aiobs.capture.deferred.opened",
        "aiobs.semconv.content.plain_to_json",
    ),
    *_steps("aiobs.capture.streams.Tap.shadow_close", loses="logs"),
    *_steps("aiobs.capture.function.scrub", loses="logs"),  # an exception that cannot be cleaned is not told
    Collaborator("call_event", ("aiobs.exporters.session.session_file.call_event",), ("raises",), loses="calls"),
    Collaborator("function_event", ("aiobs.exporters.session.session_file.function_event",), ("raises",), loses="functions"),
    # Connections that stay open
    Collaborator("socket-initial", ("socket:initial",)),
    Collaborator("socket-read_sent", ("socket:read_sent",), loses="spans metrics logs"),  # what is not seen to be asked
    Collaborator("socket-read_received", ("socket:read_received",), loses="logs"),
    Collaborator("socket-read_ending", ("socket:read_ending",), loses="logs"),  # one that broke is taken for one that was closed
    *(
        Collaborator(f"connection-{name}", (f"connection:{name}",), loses=loses)
        for name, loses in (
            ("read_request", ""), ("read_prompt", ""), ("settle", ""), ("session_request", ""), ("session_response", ""),
            ("fold_chunk", "logs"),  # an error is an event like any other
        )
    ),
)  # fmt: skip

SINGLES = tuple(Breakage(collaborator, mode) for collaborator in COLLABORATORS for mode in collaborator.modes)
OF_CONNECTIONS = tuple(single for single in SINGLES if single.of.places[0].startswith(("socket:", "connection:")))
OF_CALLS = tuple(single for single in SINGLES if single not in OF_CONNECTIONS)


# Putting a breakage in place


@dataclass
class Damage:
    """What is broken at the moment; ``hits`` counts how often each was called."""

    hits: Counter[str] = field(default_factory=Counter)
    undo: ExitStack = field(default_factory=ExitStack)


@contextmanager
def broken(breakages: Sequence[Breakage]) -> Iterator[Counter[str]]:
    """Break these; how often each was called."""
    damage = Damage()
    with damage.undo:
        for breakage in breakages:
            replace = MODES[breakage.mode]()
            if isinstance(replace, Hang):
                damage.undo.enter_context(replace.watched())
            for place in breakage.of.places:
                _break(damage, place, replace, breakage.of.name)
            for place in breakage.of.besides:
                _break(damage, place, MODES["raises"](), "besides")
        yield damage.hits


def _break(damage: Damage, place: str, replace: Replace, name: str) -> None:
    for owner, attribute in _found(damage, place):
        original = _raw(owner, attribute)
        if original is None:
            continue
        function = replace(_callable(owner, attribute))
        _put(owner, attribute, _counted(damage.hits, name, function))
        damage.undo.callback(_put, owner, attribute, original)


def _counted(hits: Counter[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        hits[name] += 1
        return function(*args, **kwargs)

    return run


def _raw(owner: Any, attribute: str) -> Any:
    return vars(owner).get(attribute, getattr(owner, attribute))


def _callable(owner: Any, attribute: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(owner, attribute)
    return found


def _put(owner: Any, attribute: str, value: Any) -> None:
    """Frozen dataclasses included."""
    if isinstance(owner, type) or type(owner).__name__ == "module":
        setattr(owner, attribute, value)
    else:
        object.__setattr__(owner, attribute, value)


class Instead:
    """Stands for a module, or the runtime context, with functions of its own."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def _found(damage: Damage, place: str) -> list[tuple[Any, str]]:
    """Owners and attribute of a place: ``package.module.Class.method``, ``package.module:other.function`` (what this
    module alone knows as ``other``), or a kind of table and a field of it.
    """
    table, _, name = place.partition(":")
    providers = (OPENAI, GOOGLE)
    if table == "provider":
        return [(provider, name) for provider in providers]
    if table in ("operation", "helper", "socket"):
        return [(row, name) for provider in providers for row in getattr(provider, f"{table}s")]
    if table == "connection":
        sockets = [socket for provider in providers for socket in provider.sockets]
        return [(row, name) for socket in sockets for row in (socket.session, socket.response)]
    if table == "context":
        return [(_instead(damage, "opentelemetry.context", "_RUNTIME_CONTEXT"), name)]
    if name:
        other, _, function = name.partition(".")
        return [(_instead(damage, table, other), function)]
    return [_dotted(place)]


def _instead(damage: Damage, module: str, name: str) -> Instead:
    owner = importlib.import_module(module)
    real = getattr(owner, name)
    if isinstance(real, Instead):
        return real
    instead = Instead(real)
    setattr(owner, name, instead)
    damage.undo.callback(setattr, owner, name, real)
    return instead


def _dotted(place: str) -> tuple[Any, str]:
    path, _, attribute = place.rpartition(".")
    parts: list[str] = []
    while True:
        try:
            owner: Any = importlib.import_module(path)
            break
        except ModuleNotFoundError:
            path, _, last = path.rpartition(".")
            parts.insert(0, last)
    for part in parts:
        owner = getattr(owner, part)
    return owner, attribute
