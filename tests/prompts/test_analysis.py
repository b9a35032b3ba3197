"""What the analysis of prompts finds out."""

from __future__ import annotations

from typing import Any

import pytest

from aiobs.capture.prompt_trace import ModelCall, PromptTrace
from aiobs.prompts.analysis import report, said_twice, template


@pytest.mark.parametrize(
    ("texts", "expected", "variables"),
    [
        (["Say it: one. Now.", "Say it: two or three. Now."], "Say it: {1}. Now.", [["one", "two or three"]]),
        (["same", "same"], "same", []),
        (["", ""], "", []),
        (["one", "two"], "{1}", [["one", "two"]]),
        (["From Ann to Bob: hi", "From Eve to Joe: hi"], "From {1}to {2}: hi", [["Ann ", "Eve "], ["Bob", "Joe"]]),
        (["tail", "long tail"], "{1}tail", [["", "long "]]),
    ],
)
def test_template_and_variables(texts: list[str], expected: str, variables: list[list[str]]) -> None:
    """S1-67: what is the same in every call, and examples of what varies."""
    found = template(texts)
    assert (found["template"], found["variables"]) == (expected, variables)


def test_instructions_that_are_said_twice() -> None:
    """S1-67: sentences, but for case and punctuation; short ones may be said twice."""
    text = "Answer in two short sentences. Hello!\nanswer in two short sentences\nHello!"
    assert said_twice(text) == ["Answer in two short sentences."]


def trace(number: int, text: str = "Tell me.") -> PromptTrace:
    call = ModelCall("m", [{"role": "user", "content": text}], "ok", {"input_tokens": 10, "output_tokens": 2})
    return PromptTrace(str(number), duration_ms=100.0 + number, calls=[call])


def test_numbers_and_what_sticks_out() -> None:
    """S1-67: tokens, times, errors; the calls that took far longer, used far more, or failed, by their ids."""
    traces = [trace(number) for number in range(8)]
    traces[3].duration_ms = 9_000.0
    traces[4].calls[0].usage = {"input_tokens": 5_000, "output_tokens": 2}
    traces[5].error = "ValueError: needle"
    found = report("f", traces)
    assert found["tokens"]["input_tokens"] == {"min": 10, "median": 10.0, "max": 5_000, "total": 5_070}
    assert found["errors"] == {"ValueError": 1}
    told = [(one["enh_prompt_id"], one["kind"]) for one in found["outliers"]]
    assert told == [("3", "duration_ms"), ("4", "tokens"), ("5", "error")]
    assert "needle" not in str(found)


@pytest.mark.parametrize(
    ("text", "output_type", "is_missing"),
    [
        ("Tell me about cats.", None, True),
        ("Tell me about cats in two sentences.", None, False),
        ("Tell me about cats. Reply only with yes or no.", None, False),
        ("Tell me about cats as JSON.", None, False),
        ("Tell me about cats.", "json", False),
    ],
)
def test_the_form_of_the_answer(text: str, output_type: str | None, is_missing: bool) -> None:
    """S1-67: a prompt that does not say in what form the answer should come, in words or by a parameter."""
    one = trace(1, text)
    one.calls[0].output_type = output_type
    assert any("in what form" in suggestion for suggestion in report("f", [one])["suggestions"]) is is_missing


@pytest.mark.parametrize("traces", [[], [PromptTrace("1")], [PromptTrace("1", calls=[ModelCall(None)])]])
def test_nothing_to_analyse(traces: list[PromptTrace]) -> None:
    """S1-67: no calls, no model calls, no content: a report without findings."""
    found: dict[str, Any] = report("f", traces)
    assert (found["prompts"], found["outliers"], found["suggestions"]) == ([], [], [])
