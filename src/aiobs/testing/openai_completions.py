"""OpenAI's legacy completions, whole and streamed: one answer for each prompt, ``n`` times.

Of ``Answer``, ``text``, ``finish_reason``, ``usage``, ``fields``, ``choice``, ``choices`` and ``chunks`` mean something
here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

from aiobs.testing.improvise import as_count, as_dict, overlaid, pieces, sentence, token_count
from aiobs.testing.openai_common import CREATED, JSON_HEADERS, SSE_HEADERS, bad_request, missing
from aiobs.testing.script import Answer, Reply, Request

Said = Sequence[tuple[str, Answer]]
"""What goes out for each choice, and the Answer that it is of."""


def reply(request: Request, answer: Answer) -> Reply:
    """The answer to ``POST /completions``."""
    asked = request.json
    if not isinstance(asked, dict):
        return bad_request("We could not parse the JSON body of your request.")
    if not asked.get("model"):
        return missing("model")
    said = _said(asked, answer)
    common = {"id": f"cmpl-simulated{request.number:06d}", "object": "text_completion", "created": CREATED}
    common |= {"model": asked["model"], "system_fingerprint": "fp_simulated"}
    usage = overlaid(_usage(asked, said), answer.usage or {})
    if asked.get("stream"):
        return Reply(200, SSE_HEADERS, [*_events(asked, said, {**common, **answer.fields}, usage)])
    choices = [{**_choice(index, text, _reason(one)), **one.choice} for index, (text, one) in enumerate(said)]
    body = {**common, "choices": choices, "usage": usage, **answer.fields}
    return Reply(200, JSON_HEADERS, json.dumps(body).encode())


def _said(asked: Mapping[str, Any], answer: Answer) -> Said:
    prompts = [prompt for prompt in _prompts(asked.get("prompt")) for _ in range(as_count(asked.get("n"), 128) or 1)]
    given = chain(answer.choices or [answer], repeat(answer))
    return [(_text(asked, prompt, one), one) for prompt, one in zip(prompts, given, strict=False)]


def _text(asked: Mapping[str, Any], prompt: Any, answer: Answer) -> str:
    said = answer.text if answer.text is not None else sentence(str(prompt), [])
    return f"{prompt}{said}" if asked.get("echo") else said


def _prompts(prompt: Any) -> list[Any]:
    """A text, a list of texts, tokens, a list of those; none is one that says nothing."""
    if isinstance(prompt, list) and not all(isinstance(each, int) for each in prompt):
        return prompt
    return ["nothing" if prompt is None or prompt == [] else prompt]


def _reason(answer: Answer) -> str:
    return answer.finish_reason or "stop"


def _choice(index: int, text: str, reason: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


def _events(
    asked: Mapping[str, Any], said: Said, common: Mapping[str, Any], usage: Mapping[str, Any]
) -> Iterator[bytes]:
    """Pieces and a finish reason per choice; usage if it was asked for; ``[DONE]``."""
    wants_usage = bool(as_dict(asked.get("stream_options")).get("include_usage"))
    counted: dict[str, Any] = {"usage": None} if wants_usage else {}

    def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
        return b"data: " + json.dumps({**common, "choices": choices, **counted, **more}).encode() + b"\n\n"

    for index, (text, answer) in enumerate(said):
        for piece in pieces(text, answer.chunks):
            yield event([_choice(index, piece, None)])
        yield event([{**_choice(index, "", _reason(answer)), **answer.choice}])
    if wants_usage:
        yield event([], usage=usage)
    yield b"data: [DONE]\n\n"


def _usage(asked: Mapping[str, Any], said: Said) -> dict[str, Any]:
    prompt = token_count(json.dumps(asked.get("prompt")))
    made = sum(token_count(text) for text, _ in said)
    return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}


ROUTES = ((re.compile(r"POST (/v1|/openai/v1|/openai/deployments/[^/]+)?/completions"), reply),)
