"""Comparing a span with what its exchange has to say."""

from __future__ import annotations

import json
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from tests.corpus import (
    expected_batches,
    expected_gemini,
    expected_google_tokens,
    expected_interactions,
    expected_media,
    expected_openai,
    expected_texts,
)
from tests.corpus.calls import Outcome, SDKCall
from tests.corpus.expected import Expected, Spoken
from tests.corpus.recordings import Recorded
from tests.corpus.serving import GOOGLE

_MODULES: tuple[Any, ...] = (
    expected_openai,
    expected_texts,
    expected_media,
    expected_batches,
    expected_gemini,
    expected_google_tokens,
    expected_interactions,
)
KINDS = {kind: module for module in _MODULES for kind in module.OPERATIONS}
"""Kind of call → the module that works out what its spans have to say."""

_GOVERNED = ("gen_ai.", "openai.", "error.", "aiobs.usage.", "aiobs.token_count", "aiobs.moderation.")
_ELSEWHERE = frozenset({
    "gen_ai.provider.name", "gen_ai.response.time_to_first_chunk", "gen_ai.system_instructions",
    "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions",
})  # fmt: skip
"""Attributes that other checks look at, or other tests."""


KNOWN_GAPS = {}
"""Exchange → how its disagreement begins, and why; a gap that is closed fails until it is taken off."""


def disagreements(exchange: Recorded, call: SDKCall, outcome: Outcome, spans: list[ReadableSpan]) -> list[str]:
    """Where the spans of one call do not say what the exchange did; none if all is well."""
    if len(spans) != 1:
        return [f"{len(spans)} spans for one request: {[span.name for span in spans]}"]
    attributes = dict(spans[0].attributes or {})
    wanted = expected(exchange, call, outcome)
    governed = {key: value for key, value in attributes.items() if key.startswith(_GOVERNED) and key not in _ELSEWHERE}
    if (status := wanted.attributes.get("aiobs.http.status_code")) is not None:
        governed["aiobs.http.status_code"] = attributes.get("aiobs.http.status_code")
        assert status == exchange.status
    found = [
        f"{key}: the span says {governed.get(key)!r}, the recording {wanted.attributes.get(key)!r}"
        for key in sorted({*governed, *wanted.attributes})
        if not _same(governed.get(key), wanted.attributes.get(key))
    ]
    if wanted.spoken is not None:
        found += _spoken_differently(wanted.spoken, _spoken(attributes.get("gen_ai.output.messages")))
    return found


def expected(exchange: Recorded, call: SDKCall, outcome: Outcome) -> Expected:
    """What was asked, and what came back or why nothing did."""
    kind = KINDS[exchange.kind]
    asked = kind.request_of(exchange)
    if exchange.status >= 400:
        assert outcome.error is not None
        provider: Any = expected_gemini if call.family in GOOGLE else expected_openai
        return Expected({**asked, **provider.error_of(exchange, _public(outcome.error[0]))})
    if outcome.error is not None:
        broken = {"error.type": _public(outcome.error[0])}
        return Expected({**asked, **broken, **({"gen_ai.response.finish_reasons": ("error",)} if call.streams else {})})
    answer = kind.answer_of(exchange)
    return Expected({**asked, **answer.attributes}, answer.spoken)


def _public(name: str) -> str:
    return name.removeprefix("builtins.")


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _spoken(messages: Any) -> list[Spoken]:
    return [_heard(message["parts"]) for message in json.loads(messages or "[]")]


def _heard(parts: list[dict[str, Any]]) -> Spoken:
    said = Spoken()
    for part in parts:
        if part["type"] == "text":
            if part.get("refusal"):
                said.refusal += part["content"]
            else:
                said.text += part["content"]
        elif part["type"] == "reasoning":
            said.reasoning += part["content"]
        elif part["type"] == "tool_call":
            said.calls.append((part["id"], part["name"], part["arguments"]))
        else:
            said.others.add(str(part.get("id")))
    return said


def _spoken_differently(wanted: list[Spoken], heard: list[Spoken]) -> list[str]:
    found = []
    if len(wanted) != len(heard) and any(said != Spoken() for said in wanted):
        return [f"{len(heard)} output messages, the recording has {len(wanted)}"]
    for place, (want, got) in enumerate(zip(wanted, heard, strict=False)):
        for name in ("text", "reasoning", "refusal", "calls"):
            said, written = getattr(want, name), getattr(got, name)
            if "streamed" in want.others and name == "calls":
                continue
            if said != written:
                found.append(f"choice {place}, {name}: the span says {written!r:.200}, the recording {said!r:.200}")
        if missing := want.others - got.others - {"streamed"}:
            found.append(f"choice {place}: nothing about {sorted(missing)}")
    return found
