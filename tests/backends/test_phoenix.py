"""What Phoenix has of calls is what was recorded, and it sees them as calls of models with messages and tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

import aiobs
from aiobs import losses
from aiobs.exporters.registry import Exporter
from tests.backends.load import expected_spans, make_calls, observed
from tests.backends.servers import get, until

CALLS = 10_000
EVERY = 3.0  # seconds between two looks, each of which reads all spans
PROJECT = "aiobs-tests"
KINDS = {"chat": "LLM", None: "CHAIN"}
PAGE = 1_000


def spans_in(address: str) -> list[dict[str, Any]]:
    """All spans of the project, page by page."""
    return [span for page in pages(address) for span in page]


def pages(address: str) -> Iterator[list[dict[str, Any]]]:
    """As the REST API gives them."""
    cursor: dict[str, str] = {}
    while True:
        answer = get(f"{address}/v1/projects/{PROJECT}/spans", limit=PAGE, **cursor)
        yield answer["data"]
        if answer["next_cursor"] is None:
            return
        cursor = {"cursor": answer["next_cursor"]}


def is_there(address: str) -> bool:
    """The project, which is made when its first span comes."""
    return any(project["name"] == PROJECT for project in get(f"{address}/v1/projects", limit=PAGE)["data"])


# The mapping: a span of the SDK as Phoenix's REST API gives it


def as_phoenix(span: ReadableSpan) -> dict[str, Any]:
    """Attributes are ours and, besides, those of OpenInference."""
    context, attributes = span.get_span_context(), dict(span.attributes or {})
    assert isinstance(context, SpanContext)
    return {
        "name": span.name,
        "context": {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"},
        "span_kind": KINDS[attributes.get("gen_ai.operation.name")],  # type: ignore[index]  # a text or nothing
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "start_time": time_as_phoenix(span.start_time),
        "end_time": time_as_phoenix(span.end_time),
        "status_code": span.status.status_code.name,
        "status_message": span.status.description or "",
        "attributes": {**attributes_as_phoenix(attributes), **openinference(attributes)},
        "events": [],
    }


def time_as_phoenix(nanoseconds: int | None) -> str:
    """ISO 8601, from a float: Phoenix's times are those recorded to within a microsecond."""
    assert nanoseconds is not None
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat()


def attributes_as_phoenix(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """As they are; sequences are lists, and messages of the model have the finish reason that Phoenix wants there."""
    found: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in attributes.items()
    }
    if text := found.get("gen_ai.output.messages"):
        reason = found["gen_ai.response.finish_reasons"][0]
        messages = [{"finish_reason": reason, **message} for message in json.loads(text)]
        found["gen_ai.output.messages"] = json.dumps(messages, ensure_ascii=False, separators=(",", ":"))
    return found


def openinference(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What Phoenix and the preset add."""
    if "gen_ai.operation.name" not in attributes:
        sides = {side: attributes[f"aiobs.{side}"] for side in ("input", "output") if f"aiobs.{side}" in attributes}
        return {
            **{f"{side}.value": value for side, value in sides.items()},
            **{f"{side}.mime_type": "application/json" for side in sides},
        }
    asked = {name: attributes.get(f"gen_ai.request.{name}") for name in ("seed", "stream")}
    return {
        "llm.model_name": attributes.get("gen_ai.response.model", attributes["gen_ai.request.model"]),
        "llm.provider": "openai",
        "llm.system": "openai",
        "llm.invocation_parameters": json.dumps({name: value for name, value in asked.items() if value is not None}),
        **messages("input", attributes),
        **messages("output", attributes),
        **used(attributes),
    }


def messages(side: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Each message with its role and text, and the last one's text as the line that the page shows."""
    said = json.loads(attributes.get(f"gen_ai.{side}.messages", "[]"))
    found: dict[str, Any] = {}
    for number, message in enumerate(said):
        place = f"llm.{side}_messages.{number}.message"
        found |= {f"{place}.role": message["role"], f"{place}.content": message["parts"][0]["content"]}
        if side == "output":
            found[f"{place}.finish_reason"] = attributes["gen_ai.response.finish_reasons"][number]
    if said:
        found |= {f"{side}.value": said[-1]["parts"][0]["content"], f"{side}.mime_type": "text/plain"}
    return found


def used(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens under OpenInference's names, and why the model stopped."""
    if "gen_ai.usage.input_tokens" not in attributes:
        return {}
    asked, answered = attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]
    return {
        "llm.token_count.prompt": asked,
        "llm.token_count.completion": answered,
        "llm.token_count.total": asked + answered,
        "llm.token_count.prompt_details.cache_read": attributes["gen_ai.usage.cache_read.input_tokens"],
        "llm.finish_reason": attributes["gen_ai.response.finish_reasons"][0],
    }


def by_id(spans: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Spans by their ids, without Phoenix's own number; two of the same would be a span that arrived twice."""
    found = {span["context"]["span_id"]: {key: span[key] for key in span if key != "id"} for span in spans}
    assert len(found) == len(spans)
    return found


@pytest.mark.nonconforming("the same calls are checked with a collector: looking at each takes longer than they do")
def test_phoenix_has_every_span(phoenix: str) -> None:
    """Each once, with everything that it has, as a call of a model or a function."""
    with observed([Exporter("phoenix", endpoint=phoenix, project=PROJECT)], capture_content="span_only") as kept:
        make_calls(CALLS)
        assert aiobs.flush()
        recorded = kept.get_finished_spans()
    assert len(recorded) == expected_spans(CALLS)
    until(lambda: is_there(phoenix) and len(spans_in(phoenix)) >= len(recorded), 240, f"{len(recorded)} spans", EVERY)
    arrived, expected = by_id(spans_in(phoenix)), by_id([as_phoenix(span) for span in recorded])
    assert arrived.keys() == expected.keys()
    different = [(arrived[key], expected[key]) for key in expected if arrived[key] != expected[key]]
    assert not different, f"{len(different)} differ, the first: {different[0]}"
    assert not losses.lost
