"""Where recordings go: one ``Telemetry`` for the process, replaced as a whole when it is configured anew.

A recording keeps the Telemetry that it started with, so that reconfiguring never splits one call between two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from random import getrandbits
from typing import Any, Generic, Protocol, TypeVar

from opentelemetry import metrics, trace
from opentelemetry._logs import Logger, LoggerProvider, NoOpLoggerProvider, get_logger_provider
from opentelemetry._logs import _internal as _logs
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, MeterProvider, NoOpMeterProvider, Observation
from opentelemetry.metrics import _internal as _metrics
from opentelemetry.trace import NoOpTracer, Span, Tracer, TracerProvider

from aiobs import guard
from aiobs._version import __version__
from aiobs.call import Call, Failure, Record
from aiobs.capture import jobs
from aiobs.capture.reduce import DEFAULT_POLICY, CapturePolicy
from aiobs.errors import scrub
from aiobs.guard import guarded
from aiobs.losses import lost
from aiobs.semconv import names
from aiobs.semconv.metrics import Instruments
from aiobs.settings import CaptureContent, Limits

T = TypeVar("T")


class Sink(Protocol):
    """The session file as recordings see it.

    ``put`` hands a record over just before its span ends; the file's span processor takes it when the span ended.
    ``settle`` is called after the end and writes what nobody took: a span that was not sampled, a processor before
    ours that raised, a provider that takes no processors.
    """

    def put(self, span_id: int, record: Record) -> None:
        """Hand a record over beside its span."""

    def settle(self, span_id: int, trace_id: int, parent_id: int | None, session_id: str) -> None:
        """Write the record if it is still here."""


class Hook(Protocol):
    """Something that looks at every call: cost, budgets, breakers.

    ``before`` may raise AiobsError subclasses to refuse the call, and may add to ``call.request.additions``;
    ``finish`` returns attributes for the span. Any other exception is swallowed by the guard.
    """

    def before(self, call: Call) -> None:
        """Called before the request goes out."""

    def finish(self, call: Call) -> Mapping[str, Any] | None:
        """Called when the call is over, before its span ends."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Telemetry:
    """Providers, gate, limits, hooks and the session file of the process.

    A provider that is None means the global one, whenever that is set. ``capture`` None: nobody said.
    ``capture_embeddings``: what of vectors goes into the session file (and nowhere else). ``duplicates``: names
    that the conventions have superseded are written too. ``policy``: how much of arguments and results of functions is
    kept.
    """

    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    logger_provider: LoggerProvider | None = None
    capture: CaptureContent | None = None
    limits: Limits = field(default_factory=Limits)
    capture_embeddings: str = "full"
    duplicates: bool = False
    policy: CapturePolicy = DEFAULT_POLICY
    hooks: tuple[Hook, ...] = ()
    sink: Sink | None = None
    tracer: Tracer = field(init=False, repr=False)
    # The gate, worked out once: may content go to spans, to events, to the session file; may errors be told in full
    # (messages and stack traces can quote a prompt); may what a function got and gave go anywhere.
    content_on_spans: bool = field(init=False, repr=False)
    content_on_events: bool = field(init=False, repr=False)
    content_in_file: bool = field(init=False, repr=False)
    describes_errors: bool = field(init=False, repr=False)
    keeps_content: bool = field(init=False, repr=False)
    _has_listeners: bool = field(init=False, repr=False)
    _meters: _Cached[Instruments] = field(init=False, repr=False)
    _loggers: _Cached[Logger] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tracer", guarded(_tracer, self.tracer_provider) or NoTracer())
        object.__setattr__(self, "_meters", _Cached())
        object.__setattr__(self, "_loggers", _Cached())
        on_spans = self.capture is not None and self.capture.on_spans
        on_events = self.capture is not None and self.capture.on_events
        object.__setattr__(self, "content_on_spans", on_spans)
        object.__setattr__(self, "content_on_events", on_events)
        object.__setattr__(self, "content_in_file", self.capture is not CaptureContent.NO_CONTENT)
        object.__setattr__(self, "describes_errors", on_spans or on_events)
        object.__setattr__(self, "keeps_content", self.content_in_file or on_spans)
        listens = self.sink is not None or self.hooks or _takes_spans(self.tracer_provider, self.tracer)
        object.__setattr__(self, "_has_listeners", bool(listens))

    @property
    def is_idle(self) -> bool:
        """Nobody would get anything: no session file, no hook, no provider of traces or metrics."""
        if self._has_listeners:
            return False
        provider = self.tracer_provider or _global_tracers()
        return not _takes_spans(provider, self.tracer) and self.instruments is None

    def clean(self, failure: Failure, secrets: tuple[str, ...]) -> Failure:
        """The failure without credentials, and without what it says where not even the session file has content."""
        failure.scrub(partial(scrub, secrets=secrets))
        if not self.content_in_file:
            failure.message = failure.type
        return failure

    @property
    def instruments(self) -> Instruments | None:
        """The instruments, or None while no MeterProvider is set."""
        provider = self.meter_provider or _global_meters()
        if provider is not self._meters.provider:
            self._meters.remember(provider, guarded(self._new_instruments, provider))
        return self._meters.value

    @property
    def logger(self) -> Logger | None:
        """The logger for events, or None while no LoggerProvider is set."""
        provider = self.logger_provider or _global_loggers()
        if provider is not self._loggers.provider:
            self._loggers.remember(provider, guarded(_logger, provider))
        return self._loggers.value

    def _new_instruments(self, provider: Any) -> Instruments | None:
        if _is_unset(provider, NoOpMeterProvider):
            return None
        meter = provider.get_meter(names.SCOPE, __version__, names.SCHEMA_URL)
        guarded(_count_own_errors, meter)
        return Instruments(meter, duplicates=self.duplicates)


def _tracer(provider: TracerProvider | None) -> Tracer:
    tracer = trace.get_tracer(names.SCOPE, __version__, provider, names.SCHEMA_URL)
    if not callable(tracer.start_span):
        raise TypeError("get_tracer() gave no tracer")
    return tracer


def _logger(provider: Any) -> Logger | None:
    if _is_unset(provider, NoOpLoggerProvider):
        return None
    logger: Logger = provider.get_logger(names.SCOPE, __version__, names.SCHEMA_URL)
    return logger


def _count_own_errors(meter: Any) -> None:
    meter.create_observable_counter(names.INTERNAL_ERRORS, [_own_errors], "{error}", "Failures of aiobs itself.")
    meter.create_observable_counter(names.EXPORTER_DROPPED, [_losses], "{item}", "What exporters could not deliver.")


def stand_in(context: Context | None) -> Span:
    """A span that records nothing, for a tracer that fails: the session file still needs an identity."""
    parent = trace.get_current_span(context).get_span_context()
    trace_id = parent.trace_id if parent.is_valid else getrandbits(128)
    return trace.NonRecordingSpan(trace.SpanContext(trace_id, getrandbits(64), is_remote=False))


class NoTracer(NoOpTracer):
    """Stands for the tracer of a provider that gives none."""

    def start_span(self, name: str, context: Context | None = None, *args: Any, **kwargs: Any) -> Span:
        """A span that records nothing."""
        return stand_in(context)


def _global(module: Any, name: str, getter: Callable[[], Any]) -> Callable[[], Any]:
    """What gives the global provider, None while there is none.

    The API's own getter reads the environment each time as long as none is set, which costs more than all of metrics.
    """
    return partial(getattr, module, name) if hasattr(module, name) else getter


_global_tracers = _global(trace, "_TRACER_PROVIDER", trace.get_tracer_provider)
_global_meters = _global(_metrics, "_METER_PROVIDER", metrics.get_meter_provider)
_global_loggers = _global(_logs, "_LOGGER_PROVIDER", get_logger_provider)


def _takes_spans(provider: TracerProvider | None, tracer: Tracer) -> bool:
    return provider is not None and not isinstance(provider, _NOWHERE) and not isinstance(tracer, NoOpTracer)


_NOWHERE = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)


class _Cached(Generic[T]):
    """What was made of the provider seen last."""

    __slots__ = ("provider", "value")

    def __init__(self) -> None:
        self.provider: object = None
        self.value: T | None = None

    def remember(self, provider: object, value: T | None) -> None:
        self.value = value
        self.provider = provider


def _own_errors(options: CallbackOptions) -> Iterable[Observation]:
    """What the guard swallowed since the process started."""
    return [Observation(sum(guard.errors.values()))]


def _losses(options: CallbackOptions) -> Iterable[Observation]:
    """What exporters could not deliver since the process started."""
    keys = names.EXPORTER_NAME, names.EXPORTER_SIGNAL, names.ERROR_TYPE
    return [Observation(count, dict(zip(keys, loss, strict=True))) for loss, count in lost.copy().items()]


def _is_unset(provider: object, noop: type) -> bool:
    """The API hands out a private proxy until the application sets a provider; its class name is all there is."""
    return (
        provider is None
        or isinstance(provider, noop)
        or type(provider).__name__ in ("_ProxyMeterProvider", "ProxyLoggerProvider")
    )


_current = Telemetry()


def current() -> Telemetry:
    """The Telemetry that calls starting now record to."""
    return _current


def use(telemetry: Telemetry) -> None:
    """Make calls that start from now on record to this."""
    global _current
    _current = telemetry


def update(**changes: Any) -> None:
    """Replace the fields given; None leaves a field as it is."""
    use(replace(_current, **{name: value for name, value in changes.items() if value is not None}))


def reset() -> None:
    """Back to the global providers, no session file, nobody's gate, no job remembered."""
    use(Telemetry())
    jobs.forget_all()
