"""Switching on and off."""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any

import pytest
import wrapt
from openai import DefaultHttpxClient
from openai.resources.chat.completions import AsyncCompletions, Completions
from opentelemetry.context import attach, detach, set_value

from aiobs import Instrumentor, observer
from aiobs.capture import telemetry
from aiobs.errors import ConfigurationError, ProviderNotInstalled
from aiobs.instrumentation import wrap_points
from aiobs.instrumentation.openai import OpenAIInstrumentor
from aiobs.instrumentation.patching import _parameters
from aiobs.settings import CaptureContent
from aiobs.testing import InMemoryTelemetry, Simulator
from tests.versions import PARSING_MODULE, classes_with_parse, has

ASK = [{"role": "user", "content": "x"}]


def call(simulator: Simulator, model: str = "m") -> None:
    simulator.openai().chat.completions.create(model=model, messages=ASK)


def test_uninstrument_restores_the_very_functions(signals) -> None:
    """SX-01, 87: every attribute is what it was.

    breaks-apps #87
    """
    methods = [(cls, "create") for cls in (Completions, AsyncCompletions)] + [
        (cls, "parse") for cls in classes_with_parse()
    ]
    before = [vars(cls)[name] for cls, name in methods]
    instrumentor = Instrumentor(**signals.providers).instrument()
    assert vars(Completions)["create"] is not before[0]
    instrumentor.uninstrument()
    assert [vars(cls)[name] for cls, name in methods] == before
    instrumentor.uninstrument()


def test_the_parameters_of_every_method_are_found(simulator: Simulator) -> None:
    """What is looked up without ``inspect.signature`` is what that says, for every method that is imported here."""
    if has("gemini"):
        simulator.gemini()
    seen = 0
    for _, patches in wrap_points():
        for patch in patches:
            owner: Any = sys.modules.get(patch.method.module)
            for part in patch.method.qualname.split("."):
                owner = getattr(owner, part, None)
            if owner is not None:
                seen += 1
                found = [*inspect.signature(owner).parameters.values()]
                named = {one.name for one in found if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
                assert set(_parameters(owner)) == named, patch.method
    assert seen > 5


def test_a_function_with_a_signature_of_its_own() -> None:
    """What says of itself which parameters it has is believed, and so is what is no plain function."""

    def odd(*args: Any, **kwargs: Any) -> None: ...

    odd.__signature__ = inspect.signature(lambda messages, model: None)  # type: ignore[attr-defined]  # as decorators do
    assert list(_parameters(odd)) == ["messages", "model"]
    assert list(_parameters(functools.partial(lambda messages, model: None, 1))) == ["model"]
    assert list(_parameters(functools.wraps(odd)(lambda *args: None))) == ["messages", "model"]


def test_twice_is_once_and_the_newest_options_win(simulator: Simulator, signals) -> None:
    """90: one span; the second provider gets it.

    breaks-apps #90
    """
    with InMemoryTelemetry() as other:
        Instrumentor(tracer_provider=other.tracer_provider).instrument()
        Instrumentor(tracer_provider=signals.tracer_provider).instrument().instrument()
        call(simulator)
        assert len(signals.spans) == 1
        assert other.spans == ()


def test_a_patch_that_was_put_on_later_survives(simulator: Simulator, signals, monkeypatch) -> None:
    """88: somebody's wrapper over ours stays, and ours under it does nothing.

    breaks-apps #88
    """
    instrumentor = Instrumentor(**signals.providers).instrument()
    seen = []

    def theirs(wrapped, instance, args, kwargs):
        seen.append(kwargs["model"])
        return wrapped(*args, **kwargs)

    wrapper = wrapt.FunctionWrapper(vars(Completions)["create"], theirs)
    original = wrapper.__wrapped__.__wrapped__
    monkeypatch.setattr(Completions, "create", wrapper)
    call(simulator, "on")
    instrumentor.uninstrument()
    call(simulator, "off")
    instrumentor.instrument()
    call(simulator, "on again")
    assert seen == ["on", "off", "on again"]
    assert [span.name for span in signals.spans] == ["chat on", "chat on again"]
    instrumentor.uninstrument()
    assert vars(Completions)["create"] is wrapper
    monkeypatch.undo()
    Completions.create = original


def test_a_method_that_somebody_kept_is_inert(simulator: Simulator, signals) -> None:
    """89: bound methods outlive uninstrument(); they make no spans any more.

    breaks-apps #89
    """
    client = simulator.openai()
    instrumentor = Instrumentor(**signals.providers).instrument()
    kept = client.chat.completions.create
    raw = client.chat.completions.with_raw_response
    kept(model="m", messages=ASK)
    instrumentor.uninstrument()
    telemetry.update(**signals.providers)  # as if another provider were still instrumented
    kept(model="m", messages=ASK)
    raw.create(model="m", messages=ASK)
    assert len(signals.spans) == 1


def test_status(signals) -> None:
    """SX-01: available, version, patched, reason, for every provider."""
    instrumentor = Instrumentor(["openai"], **signals.providers)
    before = instrumentor.status()["openai"]
    assert (before["available"], before["patched"], before["reason"]) == (True, False, "not instrumented")
    state = instrumentor.instrument().status()["openai"]
    assert state["patched"] is True
    assert state["reason"] == ""
    assert state["version"]
    methods = state["methods"]
    assert methods["openai.resources.chat.completions:Completions.create"] == "patched"
    assert methods[f"{PARSING_MODULE}:AsyncCompletions.parse"] == "patched"


def test_a_provider_that_nobody_knows() -> None:
    """A wrong name says which there are."""
    with pytest.raises(ConfigurationError, match="aiobs knows no provider 'opnai'; it knows .*openai"):
        Instrumentor(["opnai"])


def test_a_named_provider_without_its_sdk_raises_and_automatic_does_not(monkeypatch) -> None:
    """Explicit mode says what to install; automatic mode passes it over."""
    import aiobs.instrumentation as instrumentation

    monkeypatch.setattr(instrumentation, "is_installed", lambda provider: False)
    with pytest.raises(ProviderNotInstalled, match="pip install openai"):
        Instrumentor(["openai"]).instrument()
    Instrumentor(["openai"]).instrument(automatic=True)
    Instrumentor().instrument()
    assert Instrumentor().status()["openai"]["reason"] == "not installed"


def test_an_sdk_of_which_nothing_is_left_is_said(monkeypatch, caplog) -> None:
    """79: never a silent no-op: an SDK without any of our methods is a warning that names it.

    breaks-apps #79
    """
    from aiobs.instrumentation import _patches

    for patch in _patches()["openai"][1]:
        patch.take_off()
        owner = sys.modules.get(patch.method.module)
        *classes, name = patch.method.qualname.split(".")
        for part in classes:
            owner = getattr(owner, part, None)
        if owner is not None and name in vars(owner):  # what it inherits is its base's
            monkeypatch.delattr(owner, name)
    Instrumentor().instrument()
    assert "openai" in caplog.text
    assert "none of its known methods exists in this version" in caplog.text
    Instrumentor().uninstrument()


def test_suppressed_calls_are_not_recorded(simulator: Simulator, instrumented) -> None:
    """34, 35: an exporter or judge that uses an instrumented client cannot recurse.

    breaks-apps #34, #35
    """
    token = attach(set_value("suppress_instrumentation", True))
    try:
        call(simulator)
    finally:
        detach(token)
    assert instrumented.spans == ()


def test_an_exporter_that_calls_the_model_does_not_recurse(simulator: Simulator, signals) -> None:
    """35: the SDK suppresses during export.

    breaks-apps #35
    """
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

    class Judge(SpanExporter):
        def export(self, spans):
            call(simulator, "judge")
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            pass

    signals.tracer_provider.add_span_processor(SimpleSpanProcessor(Judge()))
    Instrumentor(**signals.providers).instrument()
    call(simulator)
    assert [span.name for span in signals.spans] == ["chat m"]


def test_another_genai_span_for_this_call_is_enough(simulator: Simulator, instrumented) -> None:
    """SX-03: if another instrumentation's span is current for the call, ours starts none.

    breaks-apps #77
    """
    tracer = instrumented.tracer_provider.get_tracer("other.instrumentation")
    from opentelemetry.trace import SpanKind

    attributes = {"gen_ai.operation.name": "chat"}
    with tracer.start_as_current_span("chat m", kind=SpanKind.CLIENT, attributes=attributes):
        call(simulator)
    with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent"}):
        call(simulator)
    assert [span.name for span in instrumented.spans] == ["chat m", "chat m", "invoke_agent"]


def test_a_call_inside_a_call_of_another_client_is_its_own(simulator: Simulator, instrumented) -> None:
    """Re-entrancy is per client: a guardrail that asks another client while a request is sent is a call like any."""
    guardrail = simulator.openai()

    def ask(request: Any) -> None:
        guardrail.chat.completions.create(model="guardrail", messages=ASK)

    http_client = DefaultHttpxClient(event_hooks={"request": [ask]})
    with simulator.openai(http_client=http_client) as client:
        client.chat.completions.create(model="outer", messages=ASK)
    spans = {span.name: span for span in instrumented.spans}
    assert set(spans) == {"chat guardrail", "chat outer"}
    assert spans["chat guardrail"].parent.span_id == spans["chat outer"].context.span_id


def test_the_opentelemetry_instrumentor(simulator: Simulator, signals) -> None:
    """The BaseInstrumentor adapter takes the same providers and needs no dependency check."""
    instrumentor = OpenAIInstrumentor()
    assert instrumentor.instrumentation_dependencies() == ()
    instrumentor.instrument(**signals.providers, skip_dep_check=True)
    call(simulator)
    instrumentor.uninstrument()
    call(simulator)
    assert [span.name for span in signals.spans] == ["chat m"]


def test_nothing_recorded_returns_at_once(simulator: Simulator, monkeypatch) -> None:
    """With no provider, meter, hook or session nothing is read, and the SDK's own stream comes back untouched."""
    from aiobs.instrumentation.openai import chat

    Instrumentor().instrument()
    stream = simulator.openai().chat.completions.create(model="m", messages=ASK, stream=True)
    assert type(stream._iterator).__name__ == "generator"
    assert "close" not in vars(stream.response)
    stream.close()
    assert chat  # the readers are imported, and were not called


def test_sampled_out_but_metered_is_usage_and_time_only(simulator: Simulator) -> None:
    """A dropped span still counts; its content is never serialised (100).

    breaks-apps #100
    """
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    with InMemoryTelemetry(sampler=ALWAYS_OFF) as dropped:
        Instrumentor(**dropped.providers, capture_content="span_and_event").instrument()
        call(simulator)
        list(simulator.openai().chat.completions.create(model="m", messages=ASK, stream=True))
        assert dropped.spans == ()
        assert dropped.logs == ()
        assert dropped.metrics()["gen_ai.client.inference.duration"][0].count == 2


def test_what_was_said_holds() -> None:
    """An Instrumentor that says nothing of an option, as that of ``observe()``, leaves it as it was."""
    Instrumentor(capture_embeddings="shape", max_part_bytes=10, capture_content="no_content").instrument()
    observer.observe()
    current = telemetry.current()
    assert (current.capture_embeddings, current.limits.part, current.limits.call) == ("shape", 10, 1_048_576)
    assert current.capture is CaptureContent.NO_CONTENT
    Instrumentor(max_call_bytes=20).instrument()
    assert (telemetry.current().limits.part, telemetry.current().limits.call) == (10, 20)
