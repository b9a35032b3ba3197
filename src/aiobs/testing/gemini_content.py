"""Gemini's ``:generateContent`` and ``:streamGenerateContent``."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from typing import Any

from aiobs.testing.examples_of import example_of
from aiobs.testing.gemini_request import (
    callable_functions,
    config_of,
    contents_of,
    field,
    function_results,
    is_vertex,
    json_schema,
    last_prompt,
    model_of,
    offers,
    parts_of,
    refused,
    thinking_of,
    wanted_format,
)
from aiobs.testing.gemini_usage import JSON_HEADERS, usage_metadata, usage_so_far
from aiobs.testing.improvise import as_count, pieces, sentence, shortened
from aiobs.testing.script import Answer, Fault, Reply, Request

CREATED = "2026-09-21T14:13:20Z"
_SSE_HEADERS = {"content-type": "text/event-stream"}
_SIGNATURE = b64encode(b"a simulated thought").decode()
_AUDIO_TYPE = "audio/L16;codec=pcm;rate=24000"
_TALKATIVE = (None, "STOP", "MAX_TOKENS")  # with any other finish reason there is no content unless it is scripted
_RATINGS = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}]


def generate(request: Request, answer: Answer) -> Reply | Fault:
    """The whole answer; the service's refusal of a request that cannot be answered."""
    if (refusal := refused(request, "contents")) is not None:
        return refusal
    answers = _answers(answer, request.json)
    candidates = _candidates(answers, request.json)
    usage = usage_metadata(request, answers, candidates, answer.usage or {})
    return Reply(200, JSON_HEADERS, json.dumps(_body(request, answer, candidates, usage)).encode())


def stream(request: Request, answer: Answer) -> Reply | Fault:
    """The answer piece by piece, as events with ``alt=sse`` and as a JSON array without."""
    if (refusal := refused(request, "contents")) is not None:
        return refusal
    answers = _answers(answer, request.json)
    candidates = _candidates(answers, request.json)
    usage = usage_metadata(request, answers, candidates, answer.usage or {})
    steps = [step for whole, each in zip(candidates, answers, strict=True) for step in _steps(whole, each.chunks)]
    bodies = [_body(request, answer, [step], now) for step, now in zip(steps, _usages(steps, usage), strict=True)]
    chunks = [json.dumps(body).encode() for body in bodies or [_body(request, answer, [], usage)]]
    if "alt=sse" in request.query:
        return Reply(200, _SSE_HEADERS, [b"data: " + chunk + b"\r\n\r\n" for chunk in chunks])
    return Reply(200, JSON_HEADERS, [b"[" + chunks[0], *(b",\r\n" + chunk for chunk in chunks[1:]), b"]"])


def _answers(answer: Answer, asked: Mapping[str, Any]) -> list[Answer]:
    """What each candidate says; nothing if the prompt itself is blocked."""
    if answer.refusal is not None and answer.finish_reason is None:
        return []
    count = as_count(field(config_of(asked), "candidateCount"), 8) or 1
    return [filled_in(each, asked) for each in answer.choices or [answer] * count]


def _body(
    request: Request, answer: Answer, candidates: Sequence[Mapping[str, Any]], usage: Mapping[str, Any]
) -> dict[str, Any]:
    vertex = is_vertex(request)
    said = {"candidates": candidates} if candidates else {"promptFeedback": _feedback(answer, vertex)}
    return {
        **said,
        "usageMetadata": usage,
        "modelVersion": model_of(request),
        **({"createTime": CREATED} if vertex else {}),
        "responseId": f"simulated{request.number:06d}",
        **answer.fields,
    }


def _feedback(answer: Answer, vertex: bool) -> dict[str, Any]:
    """Why the prompt is blocked; in words over Vertex AI only."""
    feedback = {"blockReason": "SAFETY", "safetyRatings": _RATINGS}
    return {**feedback, "blockReasonMessage": answer.refusal} if vertex else feedback


# Candidates


def _candidates(answers: Sequence[Answer], asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_candidate(index, answer, asked) for index, answer in enumerate(answers)]


def _candidate(index: int, answer: Answer, asked: Mapping[str, Any]) -> dict[str, Any]:
    parts = _parts(answer, asked)
    content = {**({"parts": parts} if parts else {}), "role": "model", **answer.message}
    candidate: dict[str, Any] = {"content": content, "finishReason": answer.finish_reason, "index": index}
    if answer.refusal is not None:
        candidate.update(finishMessage=answer.refusal, safetyRatings=_RATINGS)
    if answer.text and offers(asked, "googleSearch"):
        candidate["groundingMetadata"] = _grounding(answer.text, last_prompt(asked))
    return {**candidate, **answer.choice}


def _parts(answer: Answer, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Thoughts, code that ran, text, sound, function calls; what follows a thought is signed."""
    parts: list[dict[str, Any]] = []
    if answer.text and offers(asked, "codeExecution"):
        parts += _code(last_prompt(asked))
    if answer.text:
        parts.append({"text": answer.text})
    if answer.audio:
        sound = b64encode(answer.audio.encode(errors="replace")).decode()
        parts.append({"inlineData": {"mimeType": _AUDIO_TYPE, "data": sound}})
    parts += _function_calls(answer, asked)
    if not answer.reasoning:
        return parts
    signed = [{**part, "thoughtSignature": _SIGNATURE} for part in parts[:1]]
    return [{"text": answer.reasoning, "thought": True}, *signed, *parts[1:]]


def _code(prompt: str) -> list[dict[str, Any]]:
    """Code that the model has run on the server, and what it printed."""
    code = {"language": "PYTHON", "code": f"print({shortened(prompt, 60)!r})\n"}
    result = {"outcome": "OUTCOME_OK", "output": f"{shortened(prompt, 60)}\n"}
    return [{"executableCode": code}, {"codeExecutionResult": result}]


def _function_calls(answer: Answer, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Their ids count on from the calls that the conversation has already."""
    before = [part for content in contents_of(asked) for part in parts_of(content) if field(part, "functionCall")]
    calls = enumerate(answer.tool_calls or (), start=len(before))
    return [
        {"functionCall": {"id": f"call_simulated{number:02d}", "name": name, "args": _arguments(arguments)}}
        for number, (name, arguments) in calls
    ]


def _arguments(arguments: Any) -> Any:
    """Arguments that are a string are JSON already; what is none goes out as it is."""
    if isinstance(arguments, str):
        with suppress(ValueError):
            return json.loads(arguments)
    return arguments


def _grounding(text: str, prompt: str) -> dict[str, Any]:
    """One search, one page that was found, and all of the text supported by it."""
    query = shortened(prompt, 60)
    segment = {"startIndex": 0, "endIndex": len(text.encode(errors="replace")), "text": text}
    return {
        "webSearchQueries": [query],
        "searchEntryPoint": {"renderedContent": '<div class="container"></div>'},
        "groundingChunks": [{"web": {"uri": "https://example.com/simulated", "title": "example.com"}}],
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}],
    }


# Streams


def _steps(whole: Mapping[str, Any], chunks: int | None) -> list[dict[str, Any]]:
    """The candidate in one piece per chunk; the last has all that is no content."""
    content = whole["content"]
    parts = [piece for part in parts_of(content) for piece in _split(part, chunks)]
    if not parts:
        return [dict(whole)]
    steps = [{"content": {**content, "parts": [part]}, "index": whole["index"]} for part in parts]
    return [*steps[:-1], {**whole, **steps[-1]}]


def _split(part: Mapping[str, Any], chunks: int | None) -> list[Mapping[str, Any]]:
    """A part in pieces: text in words, or in ``chunks`` if it is no thought; the last piece has the signature."""
    thought = {"thought": True} if part.get("thought") else {}
    texts = pieces(str(part.get("text", "")), None if thought else chunks)
    return [*({**thought, "text": text} for text in texts[:-1]), {**part, "text": texts[-1]}] if texts else [part]


def _usages(steps: Sequence[Mapping[str, Any]], usage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The usage after each step."""
    thoughts = [any(part.get("thought") for part in parts_of(step["content"])) for step in steps]
    said = [not thought for thought in thoughts]
    return [usage_so_far(usage, thought, each) for thought, each in zip(_shares(thoughts), _shares(said), strict=True)]


def _shares(counted: Sequence[bool]) -> list[Fraction]:
    """Of what counts, how much is out after each step; all of it if nothing counts."""
    whole = sum(counted)
    return [Fraction(done, whole) if whole else Fraction(1) for done in accumulate(counted)]


# What it says when nobody told it what to say


def filled_in(answer: Answer, asked: Mapping[str, Any]) -> Answer:
    """The answer with what was left open made up from the request."""
    said = any(part is not None for part in (answer.text, answer.tool_calls, answer.refusal, answer.audio))
    if not said and answer.finish_reason in _TALKATIVE:
        call = _function_to_call(asked)
        answer = replace(answer, tool_calls=[call]) if call else replace(answer, text=_text(asked))
    if answer.reasoning is None and field(thinking_of(asked), "includeThoughts"):
        answer = replace(answer, reasoning=f"The question is “{shortened(last_prompt(asked), 60)}”.")
    if answer.fault.padding:
        answer = replace(answer, text=(answer.text or "") + "." * answer.fault.padding)
    default = "STOP" if answer.refusal is None else "SAFETY"
    return replace(answer, finish_reason=answer.finish_reason or default)


def _function_to_call(asked: Mapping[str, Any]) -> tuple[str, Any] | None:
    """The first function that may be called, with arguments that fit."""
    for function in callable_functions(asked):
        schema = field(function, "parametersJsonSchema") or json_schema(field(function, "parameters"))
        return str(function["name"]), example_of(schema or {"type": "object"}, shortened(last_prompt(asked), 80))
    return None


def _text(asked: Mapping[str, Any]) -> str:
    prompt = last_prompt(asked)
    kind, schema = wanted_format(asked)
    if kind == "text/x.enum":
        return str(example_of(schema, prompt))
    if kind == "application/json":
        short = shortened(prompt, 80)
        return json.dumps(example_of(schema, short) if schema else {"answer": short})
    return sentence(prompt, function_results(asked))
