"""A session file on a real TracerProvider, and records handed over beside the spans."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from aiobs.call import Call, Callsite, Choice, FunctionCall, Request, Response, Said, Server, Usage
from aiobs.exporters.session.session_file import SessionFile


def session_record(name: str = "s", **fields: Any) -> dict[str, Any]:
    session_id = str(uuid.uuid4())
    record = {
        "id": session_id,
        "name": name,
        "started_at": 1.0,
        "ended_at": 2.0,
        "meta": {"pid": 1, "cwd": "/"},
        "labels": {},
    }
    return {**record, **fields}


def model_call(**fields: Any) -> Call:
    call = Call(
        provider="openai",
        operation="chat",
        api="chat.completions.create",
        server=Server("openai", "api.openai.com", 443),
        request=Request(model="gpt-4o-mini", kwargs={"model": "gpt-4o-mini", "seed": 7}),
        response=Response(
            id="chatcmpl-1",
            model="gpt-4o-mini-2024",
            usage=Usage(input=3, output=4),
            finish_reasons=["stop"],
            choices={0: Choice(parts=[Said("text", ["Hel", "lo"])])},
        ),
        callsite=Callsite("/srv/app.py", 12, "main"),
        started_ns=1_700_000_000_000_000_000,
        duration_ns=1_234_567,
    )
    for name, value in fields.items():
        setattr(call, name, value)
    return call


def function_call(**fields: Any) -> FunctionCall:
    call = FunctionCall(name="research", api="app.research", module="app", args=["q"], kwargs={}, result=[1])
    for name, value in fields.items():
        setattr(call, name, value)
    return call


class Recorder:
    """Spans with records, as capture makes them."""

    def __init__(self, path: str | None = None) -> None:
        self._records: dict[int, Any] = {}
        self.file = SessionFile(take=lambda span_id: self._records.pop(span_id, None), path=path)
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self.file)
        self.waiting = self._records

    def open(self, name: str = "s", **fields: Any) -> str:
        record = session_record(name, **fields)
        self.file.session(record)
        return str(record["id"])

    def span(
        self,
        session_id: str | None,
        record: Any = None,
        parent: trace.Span | None = None,
        scope: str = "aiobs",
        name: str = "chat",
        **attributes: Any,
    ) -> trace.Span:
        """A span that is open; ``end`` ends it."""
        tracer = self.provider.get_tracer(scope)
        context = trace.set_span_in_context(parent) if parent else trace.set_span_in_context(trace.INVALID_SPAN)
        stamped = {"aiobs.session.id": session_id} if session_id else {}
        span = tracer.start_span(name, context, attributes={**stamped, **attributes})
        if record is not None:
            self._records[span.get_span_context().span_id] = record
        return span

    def call(self, session_id: str, record: Any = None, parent: trace.Span | None = None, **attributes: Any) -> str:
        """A finished span with its record; its id."""
        span = self.span(session_id, record or model_call(), parent, **attributes)
        span.end()
        return hex_id(span)


def hex_id(span: trace.Span) -> str:
    return f"{span.get_span_context().span_id:016x}"


def load(path: str | Path = "llm_observability.json") -> dict[str, Any]:
    return json.loads(Path(path).read_text(encoding="utf-8"))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.provider.shutdown()
