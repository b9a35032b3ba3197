"""From configure(exporters=...) to what arrives: several exporters, each with what it may have, none lost in a burst."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import aiobs
from aiobs import Instrumentor, configure, losses, observe, runtime, span
from aiobs.errors import ConfigurationError
from aiobs.exporters import memory
from aiobs.exporters.delivery.queues import SpanQueue
from aiobs.exporters.registry import Exporter
from aiobs.exporters.sampling import Sampling
from aiobs.losses import Loss
from aiobs.testing import OTLPSink, Simulator
from aiobs.testing.otlp_sink import attributes_of

MESSAGES = [{"role": "user", "content": "the prompt"}]


class Gate(SpanExporter):
    """Takes nothing until it is opened; remembers what it got."""

    def __init__(self, result: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.opened = threading.Event()
        self.entered = threading.Event()
        self.names: list[str] = []
        self.batches: list[int] = []
        self._result = result

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.entered.set()
        assert self.opened.wait(30)
        self.names += [span.name for span in spans]
        self.batches.append(len(spans))
        return self._result


def emit(*names: str, fails: bool = False) -> None:
    for name in names:
        try:
            with span(name):
                if fails:
                    raise ValueError(name)
        except ValueError:
            pass


@contextmanager
def a_sink() -> Iterator[OTLPSink]:
    """A collector that is there until aiobs has shut down."""
    with OTLPSink() as sink:
        yield sink
        aiobs.shutdown()


def names_in(exporter: InMemorySpanExporter) -> list[str]:
    return [span.name for span in exporter.get_finished_spans()]


# Several at once


def test_several_exporters_get_everything() -> None:
    """Traces, metrics and logs alike, from one call of a model."""
    with a_sink() as one, a_sink() as other, Simulator() as simulator:
        configure(
            exporters=[Exporter("otlp", endpoint=one.endpoint), Exporter("otlp", endpoint=other.endpoint), "memory"],
            capture_content="event_only",
        )
        Instrumentor().instrument()
        simulator.openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)  # type: ignore[arg-type]  # a plain dict
        assert aiobs.flush()
        for sink in (one, other):
            assert [item.name for item in sink.spans] == ["chat gpt-4o-mini"]
            assert "gen_ai.client.inference.duration" in {metric.name for metric in sink.metrics}
            assert [record.event_name for record in sink.logs] == ["gen_ai.client.inference.operation.details"]
    assert [item.name for item in memory.spans()][-1] == "chat gpt-4o-mini"


@pytest.mark.quiet_guard
def test_one_that_fails_affects_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It raises at the start, at the export, or hangs: the others have everything, and the loss is counted."""

    class Broken(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise OSError("disk")

    good = InMemorySpanExporter()
    configure(exporters=[Broken(), good])
    with caplog.at_level(logging.WARNING, "aiobs"):
        emit("a", "b")
        aiobs.flush()
    assert names_in(good) == ["a", "b"]
    assert losses.lost == {Loss("Broken", "span", "export_failed"): 2}
    assert "the exporter Broken lost 2 span(s): the log of the exporter says why" in caplog.text


def test_one_that_cannot_start_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """A port in use, say; a mistake of the configuration raises and changes nothing."""
    good, before = InMemorySpanExporter(), InMemorySpanExporter()
    configure(exporters=[before])
    with pytest.raises(ConfigurationError, match="LANGFUSE_PUBLIC_KEY"):
        configure(exporters=[good, "langfuse"])
    emit("a")
    with OTLPSink() as taken, caplog.at_level(logging.WARNING, "aiobs"):
        port = int(taken.endpoint.rpartition(":")[2])
        configure(exporters=[Exporter("prometheus", host="127.0.0.1", port=port), good])
    emit("b")
    aiobs.flush()
    assert (names_in(before), names_in(good)) == (["a"], ["b"])
    assert "the exporter prometheus could not be started, the others go on" in caplog.text


def test_the_newest_exporters_take_the_place_of_those_before() -> None:
    """Those are flushed and closed; the same ones again change nothing."""
    old, new = Gate(), InMemorySpanExporter()
    old.opened.set()
    configure(exporters=[old])
    emit("a")
    configure(exporters=[old])
    emit("b")
    configure(exporters=[new])
    emit("c")
    aiobs.flush()
    assert (old.names, names_in(new)) == (["a", "b"], ["c"])
    configure(exporters=["none"])
    emit("d")
    aiobs.flush()
    assert names_in(new) == ["c"]


def test_a_provider_of_the_program_keeps_its_own() -> None:
    """Exporters that are named are added to it, and go when aiobs is shut down."""
    own, added = InMemorySpanExporter(), InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider.add_span_processor(SimpleSpanProcessor(own))
    configure(tracer_provider=provider, exporters=[added])
    emit("a")
    assert aiobs.flush()
    assert (names_in(own), names_in(added)) == (["a"], ["a"])
    aiobs.shutdown()
    provider.get_tracer("t").start_span("b").end()
    assert (names_in(own), names_in(added)) == (["a", "b"], ["a"])
    provider.shutdown()


def test_exporters_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """AIOBS_EXPORTERS, with options."""
    with a_sink() as sink:
        monkeypatch.setenv("AIOBS_EXPORTERS", f"none, otlp?endpoint={sink.endpoint}&signals=traces")
        configure()
        emit("a")
        assert aiobs.flush()
        assert [item.name for item in sink.spans] == ["a"]


# What each may have


@pytest.mark.parametrize("mode", ["no_content", "span_only", "event_only", "span_and_event", None])
def test_a_policy_takes_content_away(mode: str | None) -> None:
    """From spans and from events; names, ids and tokens stay."""
    with a_sink() as sink, Simulator() as simulator:
        exporter = Exporter("otlp", endpoint=sink.endpoint, capture_content=mode)
        configure(exporters=[exporter], capture_content="span_and_event")
        Instrumentor().instrument()
        simulator.openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)  # type: ignore[arg-type]  # a plain dict
        aiobs.flush()
        [item], [record] = sink.spans, sink.logs
    assert ("the prompt" in str(item)) == (mode in ("span_only", "span_and_event", None))
    assert ("the prompt" in str(record)) == (mode in ("event_only", "span_and_event", None))
    for found in (item, record):
        assert attributes_of(found)["gen_ai.response.model"].startswith("gpt-4o-mini")


def test_a_policy_cannot_give() -> None:
    """The gate is before it."""
    exporter = InMemorySpanExporter()
    with Simulator() as simulator:
        configure(exporters=[Exporter(exporter, capture_content="span_and_event")])
        Instrumentor().instrument()
        simulator.openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)  # type: ignore[arg-type]  # a plain dict
        aiobs.flush()
    assert "the prompt" not in exporter.get_finished_spans()[0].to_json()


def test_texts_of_errors_go_with_the_content() -> None:
    """Exception messages and the status quote prompts; the type of the error stays."""
    exporters = {mode: InMemorySpanExporter() for mode in ("no_content", "span_only")}
    configure(
        exporters=[Exporter(exporter, capture_content=mode) for mode, exporter in exporters.items()],
        capture_content="span_only",
    )

    @observe
    def answer(prompt: str) -> None:
        raise ValueError(prompt)

    with suppress(ValueError):
        answer("fails")
    aiobs.flush()
    [closed], [opened] = (exporter.get_finished_spans() for exporter in exporters.values())
    assert (closed.status.description, "fails" in str(opened.status.description)) == ("ValueError", True)
    assert closed.attributes is not None
    assert closed.attributes["error.type"] == "ValueError"


@pytest.mark.nonconforming("attributes as others write them")
def test_dialects_of_others_are_content_too() -> None:
    """OpenInference, OpenLLMetry and the conventions as they were."""
    exporter = InMemorySpanExporter()
    configure(exporters=[Exporter(exporter, capture_content="no_content")])
    secret = {
        "input.value", "output.value", "llm.input_messages.0.message.content", "gen_ai.prompt.0.content",
        "gen_ai.completion.0.content", "traceloop.entity.input", "langfuse.observation.output",
    }  # fmt: skip
    kept = {
        "gen_ai.prompt.name",
        "gen_ai.prompt.version",
        "llm.model_name",
        "gen_ai.usage.input_tokens",
        "input.mime_type",
    }
    with span("s") as current:
        current.set_attributes(dict.fromkeys(secret | kept, "x"))
    aiobs.flush()
    [found] = exporter.get_finished_spans()
    assert kept <= (found.attributes or {}).keys()
    assert not secret & (found.attributes or {}).keys()


# Shares


def test_a_share_is_of_whole_traces_and_the_same_everywhere() -> None:
    """A tenth of a thousand traces, each with its child, in both exporters; a larger share has all of a smaller one."""
    one, other, larger = InMemorySpanExporter(), InMemorySpanExporter(), InMemorySpanExporter()
    configure(exporters=[Exporter(one, sample=0.1), Exporter(other, sample=0.1), Exporter(larger, sample=0.3)])
    for _ in range(1_000):
        with span("parent"), span("child"):
            pass
    aiobs.flush()
    traces = [{each.context.trace_id for each in e.get_finished_spans() if each.context} for e in (one, other, larger)]
    assert 50 <= len(traces[0]) <= 150
    assert traces[0] == traces[1] < traces[2]
    assert len(one.get_finished_spans()) == 2 * len(traces[0])


@pytest.mark.parametrize(("keep", "expected"), [(True, ["bad"]), (False, [])])
def test_errors_come_through_whatever_the_share(keep: bool, expected: list[str]) -> None:
    """Unless somebody says that they need not."""
    exporter = InMemorySpanExporter()
    configure(exporters=[Exporter(exporter, sample=0, keep_errors=keep)])
    emit("good")
    emit("bad", fails=True)
    aiobs.flush()
    assert names_in(exporter) == expected


def test_errors_can_be_kept_of_what_the_sampler_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    """keep_errors records what the SDK's sampler drops; only what failed leaves, and it is marked as sampled."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    exporter = InMemorySpanExporter()
    configure(exporters=[exporter], keep_errors=True)
    emit("good")
    emit("bad", fails=True)
    aiobs.flush()
    [found] = exporter.get_finished_spans()
    assert found.name == "bad"
    assert found.context is not None
    assert found.context.trace_flags.sampled


def test_the_sampler_of_the_sdk_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Head sampling by the standard variables."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    exporter = InMemorySpanExporter()
    configure(exporters=[exporter])
    emit("good")
    emit("bad", fails=True)
    aiobs.flush()
    assert names_in(exporter) == []


def test_a_share_of_nothing_and_of_no_trace() -> None:
    """The bounds of the choice; a log record outside any trace is always taken."""
    assert [Sampling(share).takes_trace(1) for share in (0, 1e-9, 1)] == [False, True, True]
    assert Sampling(0.5).takes_trace(2**64 - 1) is False
    assert Sampling(0.0).takes_trace(0) is True
    assert (
        "AlwaysOff"
        in __import__("aiobs.exporters.sampling", fromlist=["KeepErrors"]).KeepErrors(ALWAYS_OFF).get_description()
    )


# Nothing lost quietly


def test_a_burst_arrives_whole() -> None:
    """8,000 spans while the exporter takes none; the SDK's default of 2,048 drops most of them."""
    gate = Gate()
    configure(exporters=[gate])
    emit(*map(str, range(8_000)))
    gate.opened.set()
    assert aiobs.flush()
    assert gate.names == [*map(str, range(8_000))]
    assert not losses.lost


def test_what_there_is_no_room_for_is_counted_and_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The standard variable says how much room; sent and dropped add up to what there was."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "600")
    gate = Gate()
    configure(exporters=[Exporter(gate)])
    with caplog.at_level(logging.WARNING, "aiobs"):
        emit(*map(str, range(2_000)))
    gate.opened.set()
    aiobs.flush()
    dropped = losses.lost[Loss("Gate", "span", "queue_full")]
    assert (len(gate.names), dropped) == (600, 1_400)
    assert caplog.text.count("the exporter Gate lost") == 1
    assert "More room: OTEL_BSP_MAX_QUEUE_SIZE" in caplog.text
    emit("later")
    aiobs.flush()
    assert gate.names[-1] == "later"


def test_losses_are_a_metric() -> None:
    """aiobs.exporter.dropped, by exporter, signal and reason."""
    gate = Gate(SpanExportResult.FAILURE)
    gate.opened.set()
    with a_sink() as sink, Simulator() as simulator:
        configure(exporters=[gate, Exporter("otlp", endpoint=sink.endpoint, signals="metrics")])
        Instrumentor().instrument()
        simulator.openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)  # type: ignore[arg-type]  # a plain dict
        aiobs.flush()
        aiobs.flush()
        [*_, found] = [metric for metric in sink.metrics if metric.name == "aiobs.exporter.dropped"]
    [point] = found.sum.data_points
    assert attributes_of(point) == {
        "aiobs.exporter.name": "Gate", "aiobs.exporter.signal": "span", "error.type": "export_failed"
    }  # fmt: skip
    assert point.as_int == 1


def test_a_request_is_of_bounded_size() -> None:
    """A span of 9 MB costs none of those beside it, as a server refuses a request as a whole."""
    gate = Gate()
    configure(exporters=[gate])
    with span("large") as current:
        current.set_attribute("text", "x" * 9_000_000)
    emit("a", "b")
    gate.opened.set()
    aiobs.flush()
    assert (gate.names, gate.batches) == (["large", "a", "b"], [1, 2])


def test_many_threads_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count of what is queued stays exact: eight threads fill the queue to the brim and over it."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "2000")
    gate = Gate()
    configure(exporters=[gate])
    threads = [threading.Thread(target=emit, args=[str(n) for n in range(400)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gate.opened.set()
    aiobs.flush()
    assert len(gate.names) + losses.lost[Loss("Gate", "span", "queue_full")] == 3_200
    assert len(gate.names) == 2_000
    losses.lost.clear()
    emit(*map(str, range(1_900)))
    aiobs.flush()
    assert not losses.lost


def test_children_of_a_fork_send_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is open and a queue that is full are the parent's: 4,005 spans of five processes, each once."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1000")
    with a_sink() as sink:
        configure(exporters=[Exporter("otlp", endpoint=sink.endpoint, signals="traces")])
        emit("first")
        aiobs.flush()
        emit(*[f"parent {number}" for number in range(400)])
        waits, starts = os.pipe()
        children = [a_child(f"child {child}", 900, waits) for child in range(4)]
        os.write(starts, b"gogo")
        aiobs.flush()
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        found = Counter(item.name for item in sink.spans)
    of_children = [f"child {child} {number}" for child in range(4) for number in [*range(900), "large"]]
    assert found == Counter(["first", *(f"parent {number}" for number in range(400)), *of_children])


def a_child(name: str, count: int, start: int) -> int:
    """A process that makes spans, and sends them all when it is told to; its exit code says whether it lost some."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with span(f"{name} large") as current:  # more than a socket takes at once: shared, requests would mix
                current.set_attribute("text", "x" * 3_000_000)
            emit(*[f"{name} {number}" for number in range(count)])
            os.read(start, 1)
            status = 0 if aiobs.flush() and not losses.lost else 2
        finally:
            os._exit(status)
    return child


def test_a_hanging_exporter_keeps_no_other_from_the_flush() -> None:
    """They are flushed side by side, and the flush is bounded."""
    hanging, good = Gate(), InMemorySpanExporter()
    configure(exporters=[hanging, good])
    emit("a")
    assert aiobs.flush(0.5) is False
    assert names_in(good) == ["a"]
    hanging.opened.set()
    assert aiobs.flush()


def test_what_is_queued_when_it_is_closed_is_counted() -> None:
    """A shutdown that has no time left says what it cost."""
    gate = Gate()
    configure(exporters=[gate])
    emit("a", "b", "c")
    [queue] = runtime._runtime.outputs.spans.processors
    assert isinstance(queue, SpanQueue)
    queue._batch._batch_processor.shutdown(timeout_millis=1)
    queue.give_up()
    assert losses.lost == {Loss("Gate", "span", "closed"): 3}
    gate.opened.set()


def test_what_is_queued_at_the_exit_is_told(tmp_path: Path) -> None:
    """A collector that hangs: the exit is bounded, and says what it could not wait for."""
    program = """
from aiobs import configure, span
configure()
for _ in range(3):
    with span("s"):
        pass
"""
    with OTLPSink(silence=30) as sink:
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "AIOBS_EXIT_TIMEOUT": "0.5"}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
    assert "the exporter otlp lost 3 span(s): there was no time left to send them" in done.stderr
    assert "AIOBS_EXIT_TIMEOUT" in done.stderr


# A spool


def test_a_spool_keeps_what_a_dead_backend_does_not_take(tmp_path: Path) -> None:
    """Nothing is lost, nothing is told as lost; a flush says that it is not there yet, and when it is."""
    with a_sink() as sink:
        sink.status = 503
        configure(exporters=[Exporter("otlp", endpoint=sink.endpoint, spool=str(tmp_path / "spool"), timeout=1)])
        emit("a", "b")
        assert aiobs.flush(10) is False
        assert (sink.spans, losses.lost) == ([], {})
        sink.status = 200
        emit("c")
        wait_until(lambda: aiobs.flush(10))
        assert [item.name for item in sink.spans] == ["a", "b", "c"]


def test_a_spool_is_sent_by_the_next_process(tmp_path: Path) -> None:
    """A program that ends while the backend is away, and one that starts when it is back: presets have a spool, too."""
    program = """
import sys
from aiobs import configure, span, flush
from aiobs.exporters import Exporter
configure(exporters=[Exporter("phoenix", endpoint=sys.argv[1], spool="spool", timeout=1)])
with span(sys.argv[2]):
    pass
flush(20)
"""

    def run(endpoint: str, name: str) -> None:
        environment = {**os.environ, "AIOBS_EXIT_TIMEOUT": "1"}
        command = [sys.executable, "-c", program, endpoint, name]
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)

    run("http://127.0.0.1:9", "first")
    with OTLPSink() as sink:
        run(sink.endpoint, "second")
        wait_until(lambda: len(sink.spans) >= 2)
    assert sorted(item.name for item in sink.spans) == ["first", "second"]
    assert all(attributes_of(item)["openinference.span.kind"] == "CHAIN" for item in sink.spans)


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)
