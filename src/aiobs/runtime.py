"""From settings to running pipelines: the wiring on one page, and flush, shutdown, fork and exit.

Nothing happens at import. ``configure()`` (which ``observer.observe()`` and a zero-code start call) finds the
TracerProvider of the program, or makes one that stays ours, and attaches what aiobs needs to it, once per provider.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider, set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_SDK_DISABLED,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter

from aiobs._version import __version__
from aiobs.ambient import prefect
from aiobs.ambient.current import enter_session, open_sessions
from aiobs.ambient.labels import session_labels, system_labels
from aiobs.ambient.otel import LabelsResourceDetector, OwnIds, StampingProcessor
from aiobs.ambient.session import Session, process_meta
from aiobs.call import Record
from aiobs.capture import deferred, telemetry
from aiobs.capture.reduce import CapturePolicy, checked_policy
from aiobs.errors import AiobsError, ConfigurationError
from aiobs.exporters.base import ExportResult, attempt
from aiobs.exporters.delivery.fan_out import together
from aiobs.exporters.delivery.forks import follow_forks
from aiobs.exporters.delivery.outputs import Outputs
from aiobs.exporters.redaction import Redaction
from aiobs.exporters.registry import Exporter, as_exporter
from aiobs.exporters.sampling import KeepErrors
from aiobs.exporters.session.files import import_for_exit
from aiobs.exporters.session.session_file import SessionFile
from aiobs.guard import guarded
from aiobs.instrumentation import Instrumentor, custom
from aiobs.seen import Seen
from aiobs.semconv import blobs
from aiobs.settings import CaptureContent, resolve, said

if TYPE_CHECKING:
    from aiobs.exporters.redaction import Redaction

FLUSH_TIMEOUT = 30.0
T = TypeVar("T")

_log = logging.getLogger("aiobs")


class Handoff:
    """Records on their way from a recording to the session file, by span id; empty but for the instant of an end."""

    def __init__(self) -> None:
        self._records: dict[int, Record] = {}
        self.file = SessionFile(take=self.take)

    def put(self, span_id: int, record: Record) -> None:
        """Hand a record over just before its span ends."""
        self._records[span_id] = record

    def take(self, span_id: int) -> Record | None:
        """The record of a span that ended, once."""
        return self._records.pop(span_id, None)

    def settle(self, span_id: int, trace_id: int, parent_id: int | None, session_id: str) -> None:
        """Write what no span processor came for; after our exit function every call writes the file itself."""
        record = self.take(span_id)
        if record is not None:
            self.file.write(record, span_id=span_id, trace_id=trace_id, parent_span_id=parent_id, session_id=session_id)
        if _runtime.is_late:
            guarded(_write_at_exit)


class LateSpans(SpanProcessor):
    """The last processor of a provider of ours from our exit function on: what ends now is sent now, or never."""

    def on_end(self, span: ReadableSpan) -> None:
        """Send it, for as long as the exit may still wait."""
        if _runtime.exit_budgets["send"]:
            guarded(_flush_at_exit)


class Runtime:
    """The pipelines of this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.provider: Any = None
        self.handoff: Handoff | None = None
        self.owned: list[TracerProvider | MeterProvider | LoggerProvider] = []
        self.attached = Seen()
        self.outputs = Outputs()
        self.steps: Any = None  # what is done to signals before they are exported
        self.has_exit_hook = False
        self.is_child_expected = False  # children of multiprocessing are given our exit function when they start
        self.is_late = False  # our exit function has run, others may not have
        self.exit_budgets: dict[str, float] = {}  # seconds that the exit may still wait, for what


_runtime = Runtime()


def configure(
    *,
    exporters: Iterable[str | Exporter | SpanExporter] | str | None = None,
    capture_content: CaptureContent | str | bool | None = None,
    tracer_provider: TracerProvider | None = None,
    capture: CapturePolicy | None = None,
    keep_errors: bool | None = None,
    redact: Redaction | Iterable[str] | str | bool | None = None,
    media: str | None = None,
    set_global: bool = False,
) -> None:
    """Attach aiobs to the program's TracerProvider, or make one, with the exporters named.

    ``exporters``: names from the registry, each an ``Exporter`` where it has options, or exporters of the OpenTelemetry
    SDK; they take the place of those before. Unset: ``AIOBS_EXPORTERS``, else, for a provider of ours, ``otlp`` if the
    environment names an OTLP endpoint. A provider that the program has is used and keeps its own exporters.
    ``capture``: how much of the arguments and results of observed functions is kept. ``keep_errors``: a provider of
    ours records what its sampler drops, too, so that spans which fail are exported. ``redact``: what is taken out of
    all that is exported, and of the session file. ``media``: the folder or URL in which pictures, sound and files of
    messages are kept. Calling it again changes only what is given. Raises ConfigurationError for a value that cannot
    work.
    """
    gate = resolve("capture_content", capture_content)
    policy = checked_policy(capture)
    named = _named_exporters(exporters)
    redaction = said("redact", redact)
    prefect.listen()
    with _runtime.lock:
        keeps_errors = resolve("keep_errors", keep_errors)
        provider = tracer_provider or _chosen_provider() or _program_provider() or _own_provider(keeps_errors)
        is_new = provider is not _runtime.provider
        _runtime.provider = provider
        _attach(provider)
        if named is None and provider in _runtime.owned and has_otlp_endpoint():
            named = (Exporter("otlp"),)
        if redact is not None or named is not None:
            _redact(redact, redaction)
        if named is not None and (is_new or exporters is not None):
            _export_to(provider, named)
        _keep_media(media)
        telemetry.update(tracer_provider=provider, capture=gate, policy=policy)
        if set_global and provider in _runtime.owned:
            _make_global(provider)
        _at_exit_once()


def _named_exporters(given: Any) -> tuple[Exporter, ...] | None:
    """Those that somebody gave, each known; None if nobody did."""
    items = resolve("exporters", given)
    return None if items is None else tuple(map(as_exporter, items))


def has_otlp_endpoint() -> bool:
    """The environment names an OTLP endpoint for traces."""
    return any(os.environ.get(name) for name in (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT))


def is_disabled() -> bool:
    """OTEL_SDK_DISABLED=true."""
    return os.environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true"


def _chosen_provider() -> Any:
    """The provider that somebody named to us before, or None."""
    provider = telemetry.current().tracer_provider
    return None if provider in _runtime.owned else provider


def _program_provider() -> Any:
    """The global provider that the program set, or None."""
    provider = trace.get_tracer_provider()
    return None if isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)) else provider


def _own_provider(keeps_errors: bool) -> TracerProvider:
    for known in _owned(TracerProvider):
        return known
    provider = TracerProvider(resource=_resource(), id_generator=OwnIds(), shutdown_on_exit=False)
    if keeps_errors:
        provider.sampler = KeepErrors(provider.sampler)
    _own(provider)
    return provider


def _own(provider: TracerProvider | MeterProvider | LoggerProvider) -> None:
    _runtime.owned.append(provider)
    follow_forks(provider)


def _resource() -> Resource:
    """The standard resource, what it runs on, and the labels of environment and system."""
    labels = system_labels()
    described: dict[str, str | int] = {
        "telemetry.distro.name": "aiobs",
        "telemetry.distro.version": __version__,
        "process.pid": os.getpid(),
        "process.runtime.name": platform.python_implementation().lower(),
        "process.runtime.version": platform.python_version(),
        "os.type": labels["aiobs_os"],
    }
    if "aiobs_hostname" in labels:
        described["host.name"] = labels["aiobs_hostname"]
    resource = Resource.create(dict(described))
    labelled = guarded(LabelsResourceDetector().detect)
    return resource if labelled is None else guarded(resource.merge, labelled) or resource


def _attach(provider: Any) -> None:
    """Stamping and session file, once per provider; a provider without processors gets none."""
    if _runtime.handoff is None:
        _runtime.handoff = Handoff()
    if provider in _runtime.attached or not hasattr(provider, "add_span_processor"):
        return
    _runtime.attached.add(provider)
    for processor in (StampingProcessor(), _runtime.handoff.file):
        guarded(provider.add_span_processor, processor)


def _redact(given: Any, redaction: Redaction | None) -> None:
    """Use it for what is exported and, if it is given, for the session file."""
    from aiobs.exporters.rewriting.steps import CurrentSteps  # a program that exports nothing does not pay for it

    _runtime.steps = _runtime.steps or CurrentSteps()
    _runtime.steps.use(given)
    if given is not None and _runtime.handoff is not None:
        _runtime.handoff.file.redaction = redaction


def _keep_media(given: str | None) -> None:
    """Where somebody says; a program that keeps none does not pay for it."""
    if (url := said("media", given)) is not None:
        from aiobs.exporters.media import use

        use(url)


def _export_to(provider: Any, exporters: tuple[Exporter, ...]) -> None:
    """Exchange the exporters; metrics and logs go to them where the program has no providers of its own for these."""
    outputs = _runtime.outputs
    readers = outputs.exchange(exporters, (_runtime.steps,) if exporters else ())
    if outputs.spans.processors:
        outputs.attach(provider)
    if readers is not None and _is_free(metrics.get_meter_provider()):
        _measure_with(readers)
    if outputs.logs.processors and _is_free(get_logger_provider()) and not _owned(LoggerProvider):
        logger_provider = LoggerProvider(resource=_resource(), shutdown_on_exit=False)
        logger_provider.add_log_record_processor(outputs.logs)
        _own(logger_provider)
        telemetry.update(logger_provider=logger_provider)


def _measure_with(readers: tuple[MetricReader, ...]) -> None:
    """A MeterProvider with these readers in the place of the one before: the SDK binds a reader to one for good."""
    old = _owned(MeterProvider)
    _runtime.owned = [provider for provider in _runtime.owned if provider not in old]
    meter_provider = MeterProvider(readers, resource=_resource(), shutdown_on_exit=False) if readers else None
    if meter_provider is not None:
        _own(meter_provider)
    telemetry.use(replace(telemetry.current(), meter_provider=meter_provider))
    together([provider.shutdown for provider in old], FLUSH_TIMEOUT)


def _owned(kind: type[T]) -> list[T]:
    return [provider for provider in _runtime.owned if isinstance(provider, kind)]


def _is_free(provider: object) -> bool:
    """The program has set no provider of its own."""
    return provider in _runtime.owned or any(word in type(provider).__name__ for word in ("Proxy", "NoOp"))


def _make_global(provider: TracerProvider) -> None:
    trace.set_tracer_provider(provider)
    for other in _runtime.owned:
        if isinstance(other, MeterProvider):
            metrics.set_meter_provider(other)
        elif isinstance(other, LoggerProvider):
            set_logger_provider(other)


# Sessions


def open_session(name: str | None, labels: dict[str, str], meta: dict[str, Any]) -> Session:
    """Start a session: pipelines, instrumentation, and its first line in the journal."""
    configure()
    guarded(import_for_exit)
    session = Session(name, labels, {**process_meta(), **meta})
    if not is_disabled():
        telemetry.update(sink=_runtime.handoff)
        Instrumentor().instrument()
        custom.install_registered()
    enter_session(session)
    record_session(session)
    return session


def record_session(session: Session) -> None:
    """Write the session's present state to its journal."""
    if _runtime.handoff is not None and not is_disabled():
        guarded(_runtime.handoff.file.session, session.record())


def write_session_file(
    path: str | None, *, include_trace_tree: bool, persist: bool, mode: str = "replace"
) -> str | None:
    """Fold the journal into the session file; sessions that are open go on."""
    handoff = _runtime.handoff or Handoff()
    written = guarded(handoff.file.flush, path, include_trace_tree, persist, mode)
    for session in open_sessions():
        guarded(handoff.file.session, session.record())
    return written


def deliver_sessions(exporter: Any, *, include_trace_tree: bool, options: Mapping[str, Any]) -> ExportResult:
    """Give everything since the last flush to an exporter; where that fails it is kept for the next, and logged."""
    if isinstance(exporter, SpanExporter):
        from aiobs.exporters.otel import OTelExporter  # a program that writes files does not pay for it

        exporter = OTelExporter(exporter)
    if not callable(getattr(exporter, "export", None)):
        raise ConfigurationError(
            f"exporter={exporter!r} has no export(data): give a BaseExporter, e.g. CustomExporter(handler), "
            "or an OpenTelemetry SpanExporter."
        )
    results: list[ExportResult] = []
    handoff = _runtime.handoff or Handoff()
    guarded(handoff.file.deliver, lambda text: _sent(exporter, text, include_trace_tree, options, results))
    for session in open_sessions():
        guarded(handoff.file.session, session.record())
    result = (
        results[0] if results else ExportResult(False, error="the journal cannot be read, which the log tells more of")
    )
    if not result.success:
        advice = "Nothing is lost: the events are kept for the next flush(); flush() without exporter= writes a file."
        result = replace(result, error=f"{result.error}. {advice}")
        guarded(_log.warning, "aiobs: exporting failed: %s", result.error)  # a handler of the program's may raise
    return result


def _sent(exporter: Any, text: Any, with_tree: bool, options: Mapping[str, Any], results: list[ExportResult]) -> bool:
    from aiobs.reading import ObservabilityExport  # a program that writes files does not pay for it

    try:
        value = json.loads("".join(text(with_tree)))
    except RecursionError:  # a tree deeper than Python can parse
        value = json.loads("".join(text(False)))
    results.append(attempt(exporter, ObservabilityExport.model_validate(value), options))
    return results[0].success


# Flush, shutdown, exit, fork


def flush(timeout: float = FLUSH_TIMEOUT) -> bool:
    """End what was let go of and send what is queued.

    False if that took longer than ``timeout`` seconds, or an exporter of ours still holds something (a spool whose
    backend is away).
    """
    guarded(deferred.settle)
    steps = [provider.force_flush for provider in _providers() if hasattr(provider, "force_flush")]
    return together(steps, timeout) and _runtime.outputs.are_flushed


def shutdown(timeout: float = FLUSH_TIMEOUT) -> bool:
    """Flush, close the providers that are ours, and forget them; True if that took at most ``timeout`` seconds."""
    guarded(deferred.settle_all)
    with _runtime.lock:
        owned, _runtime.owned = _runtime.owned, []
        for provider in owned:
            _runtime.attached.discard(provider)
        _runtime.provider = _runtime.handoff = None
        outputs, _runtime.outputs, _runtime.steps = _runtime.outputs, Outputs(), None
    on_providers_of_the_program = [outputs.spans.shutdown, outputs.logs.shutdown]
    done = together([*(provider.shutdown for provider in owned), *on_providers_of_the_program], timeout)
    prefect.ignore()
    telemetry.reset()
    blobs.keep = None
    return done


def _providers() -> list[Any]:
    """Ours, and the program's that we are attached to."""
    program = [] if _runtime.provider in (None, *_runtime.owned) else [_runtime.provider]
    return [*_runtime.owned, *program]


def _at_exit_once() -> None:
    if not _runtime.has_exit_hook:
        _runtime.has_exit_hook = True
        atexit.register(_at_exit)
        _at_exit_of_child()  # this may be a child of a fork server, which imported us after the fork


def _at_exit() -> None:
    """Nobody reads on: end every stream, write the file of an open session, send what is queued, in bounded time.

    Nothing is closed: exit functions that were registered before ours run after it, and may make calls. Each of those
    is written and sent when it ends.
    """
    if not _runtime.exit_budgets:  # a child of multiprocessing may come here twice
        given = guarded(resolve, "AIOBS_EXIT_TIMEOUT")
        _runtime.exit_budgets = dict.fromkeys(("file", "send"), 2.0 if given is None else given)
    guarded(deferred.settle_all)
    _write_at_exit()
    _flush_at_exit()
    _expect_late_calls()


def _expect_late_calls() -> None:
    for provider in _runtime.owned:
        if isinstance(provider, TracerProvider) and not _runtime.is_late:
            guarded(provider.add_span_processor, LateSpans())
    _runtime.is_late = True


def _write_at_exit() -> None:
    if open_sessions() and _runtime.handoff is not None and guarded(resolve, "AIOBS_ATEXIT") is not False:
        with _budget("file") as timeout:
            _runtime.handoff.file.lock_timeout = timeout
            guarded(lambda: write_session_file(None, include_trace_tree=True, persist=True))


def _flush_at_exit() -> None:
    with _budget("send") as timeout:
        if not together([provider.force_flush for provider in _runtime.owned], timeout):
            guarded(_runtime.outputs.give_up)


@contextmanager
def _budget(of: str) -> Iterator[float]:
    """The seconds that are left, less what this takes: the exit is bounded however many calls come late."""
    started, left = time.monotonic(), _runtime.exit_budgets[of]
    try:
        yield left
    finally:
        _runtime.exit_budgets[of] = max(0.0, left - (time.monotonic() - started))


def _after_fork() -> None:
    """In a child: a thread of the parent may have held the lock; and not every child gets to its atexit functions."""
    _runtime.lock = threading.RLock()
    _at_exit_of_child()


def _at_exit_of_child() -> None:
    """A child of multiprocessing leaves by os._exit() after its own finalizers, which it clears when it starts.

    So ours is given to it now, if it has started, and when it starts, if it has not.
    """
    util: Any = sys.modules.get("multiprocessing.util")
    if util is None or not _runtime.has_exit_hook:
        return
    if not _runtime.is_child_expected:
        _runtime.is_child_expected = True
        util.register_after_fork(_runtime, lambda _: util.Finalize(None, _at_exit, exitpriority=0))
    if sys.modules["multiprocessing.process"].parent_process() is not None:
        util.Finalize(None, _at_exit, exitpriority=0)


os.register_at_fork(after_in_child=_after_fork)


# Zero code


def auto_configure() -> None:
    """The ``opentelemetry_pre_instrument`` entry point: runs after every configurator, and never raises.

    Attaches to the provider that is set or, if there is none and the environment asks for output, makes a global one.
    """
    guarded(_try_auto_configure)


def _try_auto_configure() -> None:
    """A wrong option is the user's to know, in his words, and stops nothing."""
    try:
        _auto_configure()
    except AiobsError as error:
        _log.error("aiobs is not configured: %s", error)


def _auto_configure() -> None:
    if is_disabled():
        return
    session = os.environ.get("AIOBS_SESSION") or ""
    exporters = resolve("exporters") or ()
    if _program_provider() is None and not (session or exporters or has_otlp_endpoint()):
        return
    configure(set_global=True)
    if session or "json" in exporters:
        open_session(session if session not in ("", "auto", "1") else None, session_labels({}), {})
