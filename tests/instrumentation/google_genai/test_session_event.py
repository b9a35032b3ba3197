"""A call of generate_content in the session file."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from aiobs import observer
from aiobs.testing import Simulator
from tests.versions import needs

PARTS = [
    {"text": "Let me see.", "thought": True},
    {"text": "A contract."},
    {"functionCall": {"name": "look_up", "args": {"word": "API"}}},
]
USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 4, "cachedContentTokenCount": 2}


def answered(simulator: Simulator, body: dict[str, Any]) -> dict[str, Any]:
    """The response of the one event of a call that is answered so."""
    simulator.raw(json.dumps(body).encode(), headers={"content-type": "application/json"})
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        simulator.gemini().models.generate_content(model="gemini-2.5-flash", contents="What is an API?")
        observer.end()
    assert [str(one.message) for one in warned] == []
    (event,) = json.loads(Path(str(observer.flush())).read_text())["events"]
    response: dict[str, Any] = event["response"]
    return response


@needs("gemini thoughts and modalities")
def test_an_answer_literally(simulator: Simulator, caplog: Any) -> None:
    """S1-47: the model that answered, the text without thoughts, candidates and usage as they came, and our counts.

    Reading the text makes the SDK say nothing, which it does of ``response.text`` where there are other parts.
    """
    observer.observe()
    content = {"role": "model", "parts": PARTS}
    response = answered(
        simulator,
        {
            "candidates": [{"content": content, "finishReason": "STOP", "index": 0, "avgLogprobs": -0.5}],
            "usageMetadata": {**USAGE, "totalTokenCount": 12},
            "modelVersion": "gemini-2.5-flash-001",
            "responseId": "r-1",
        },
    )
    assert (response["model"], response["id"]) == ("gemini-2.5-flash-001", "r-1")
    assert (response["text"], response["finish_reason"]) == ("A contract.", "stop")
    (candidate,) = response["candidates"]
    assert (candidate["finish_reason"], candidate["index"], candidate["avg_logprobs"]) == ("STOP", 0, -0.5)
    assert [sorted(part) for part in candidate["content"]["parts"]] == [
        ["text", "thought"],
        ["text"],
        ["function_call"],
    ]
    assert response["usage"] == {
        "prompt_token_count": 5,
        "candidates_token_count": 3,
        "thoughts_token_count": 4,
        "cached_content_token_count": 2,
        "total_token_count": 12,
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "total_tokens": 12,
    }
    assert caplog.records == []


def test_an_answer_without_anything(simulator: Simulator) -> None:
    """S1-47: what the answer has not is null, not an error."""
    observer.observe()
    response = answered(simulator, {})
    assert (response["model"], response["text"], response["candidates"]) == (None, None, [])
