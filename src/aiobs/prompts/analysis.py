"""What the calls of one function tell about its prompts: a pure function of their traces, which calls no model.

Per prompt (the n-th model call of the function, and who speaks): what is the same in every call and what varies, what
is said twice, and whether the form of the answer is said. Of all calls: tokens,
times, errors, and those that stick out.
"""

from __future__ import annotations

import re
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from aiobs.capture.prompt_trace import ModelCall, PromptTrace

MOST_COMPARED = 20
"""Texts that a template is worked out from."""

MOST_PROMPTS = 20
MOST_EXAMPLES = 3
LONGEST_EXAMPLE = 80
LONGEST_TEXT = 4_096
SHORTEST_SENTENCE = 4
"""Words; what is shorter may well be said twice."""

FEWEST_FOR_OUTLIERS = 4

_WORDS = re.compile(r"\w+ ?|[^\w\s] ?|\s+")
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+|\n+")
_FORMAT = re.compile(
    r"\b(?:json|yaml|xml|csv|markdown|html|table|bullets?|bulleted|list|numbered|schema|format(?:ted)?|columns?"
    r"|(?:one|two|three|\d+)\s+(?:\w+\s+)?(?:words?|sentences?|lines?|paragraphs?|items?|characters?)"
    r"|(?:answer|reply|respond|return|output|say)\s+(?:only|with|in|as|exactly|either|just))\b",
    re.IGNORECASE,
)


def report(function: str, traces: Sequence[PromptTrace]) -> dict[str, Any]:
    """Everything that was found out, as plain JSON values."""
    calls = [call for one in traces for call in one.calls]
    prompts = list(_prompts(traces))
    return {
        "function": function,
        "generated_at": time.time(),
        "calls": len(traces),
        "enh_prompt_ids": [one.enh_prompt_id for one in traces],
        "model_calls": len(calls),
        "models": dict(Counter(call.model or "unknown" for call in calls)),
        "prompts": prompts,
        "tokens": {name: _spread(_counts(calls, name)) for name in ("input_tokens", "output_tokens")},
        "duration_ms": _spread([one.duration_ms for one in traces]),
        "errors": dict(Counter(_error_kind(one.error) for one in traces if one.error)),
        "outliers": list(_outliers(traces)),
        "suggestions": [suggestion for prompt in prompts for suggestion in _suggestions(prompt)],
    }


# Prompts


def _prompts(traces: Sequence[PromptTrace]) -> Iterator[dict[str, Any]]:
    """Each place in the function where something is said to a model, as a template."""
    places: dict[tuple[int, int, str], list[str]] = {}
    for one in traces:
        for number, call in enumerate(one.calls):
            for position, message in enumerate(call.messages):
                places.setdefault((number, position, message["role"]), []).append(message["content"][:LONGEST_TEXT])
    asked = {number for number in {place[0] for place in places} if _asks_for_form(traces, number)}
    for (number, position, role), texts in [*places.items()][:MOST_PROMPTS]:
        yield {
            "model_call": number,
            "message": position,
            "role": role,
            "seen": len(texts),
            **template(texts),
            "said_twice": said_twice(texts[0]),
            "says_format": number in asked,
        }


def _asks_for_form(traces: Sequence[PromptTrace], number: int) -> bool:
    """The form of the answer is asked for somewhere in that model call, in words or by a parameter."""
    calls = [one.calls[number] for one in traces if len(one.calls) > number]
    return any(call.output_type is not None or _FORMAT.search(_instructions(call)) for call in calls[:MOST_COMPARED])


def _instructions(call: ModelCall) -> str:
    """What the program says; not what a model said before, which may look like anything."""
    return "\n".join(message["content"] for message in call.messages if message["role"] not in ("assistant", "model"))


def template(texts: Sequence[str]) -> dict[str, Any]:
    """What is the same in all of the texts, with ``{1}``, ``{2}`` … for what varies, and examples of that.

    ``fixed`` is the share of the characters that is the same, in the middle one of them.
    """
    different = list(dict.fromkeys(texts))[:MOST_COMPARED]
    common = _words(different[0])
    for text in different[1:]:
        common = _common(common, _words(text))
    gaps = [_gaps(common, _words(text)) for text in different]
    varies = [place for place in range(len(common) + 1) if any(gap[place] for gap in gaps)]
    return {
        "template": _written(common, varies),
        "variables": [_examples(gap[place] for gap in gaps) for place in varies],
        "fixed": round(statistics.median(len("".join(common)) / len(text) if text else 1.0 for text in different), 3),
    }


def _words(text: str) -> list[str]:
    return _WORDS.findall(text)


def _common(one: list[str], other: list[str]) -> list[str]:
    """The words of one that the other has in the same order; single blanks between what differs do not count."""
    found = [one[start : start + size] for start, _, size in _blocks(one, other)]
    return [word for words in found if "".join(words).strip() for word in words]


def _gaps(common: list[str], words: list[str]) -> list[str]:
    """What the text has before each of the common words, and after the last."""
    gaps, at = [""] * (len(common) + 1), 0
    for start, found, size in [*_blocks(common, words), (len(common), len(words), 0)]:
        gaps[start] = "".join(words[at:found])
        at = found + size
    return gaps


def _blocks(one: list[str], other: list[str]) -> list[tuple[int, int, int]]:
    """Where both have the same words: the beginnings and ends that they share, and what lies between."""
    most = min(len(one), len(other))
    head = next((at for at in range(most) if one[at] != other[at]), most)
    tail = next((at for at in range(most - head) if one[-1 - at] != other[-1 - at]), most - head)
    matcher = SequenceMatcher(None, one[head : len(one) - tail], other[head : len(other) - tail], autojunk=False)
    middle = [(block.a + head, block.b + head, block.size) for block in matcher.get_matching_blocks()]
    found = [(0, 0, head), *middle, (len(one) - tail, len(other) - tail, tail)]
    return [block for block in found if block[2]]


def _written(common: list[str], varies: list[int]) -> str:
    numbers = {place: f"{{{number}}}" for number, place in enumerate(varies, 1)}
    return "".join(numbers.get(place, "") + word for place, word in enumerate([*common, ""]))


def _examples(values: Iterable[str]) -> list[str]:
    different = list(dict.fromkeys(values))[:MOST_EXAMPLES]
    return [value if len(value) <= LONGEST_EXAMPLE else value[:LONGEST_EXAMPLE] + "..." for value in different]


def said_twice(text: str) -> list[str]:
    """The sentences that the text has more than once, but for case and punctuation."""
    seen: Counter[str] = Counter()
    first: dict[str, str] = {}
    for sentence in _SENTENCE_ENDS.split(text):
        plain = " ".join(re.findall(r"\w+", sentence.lower()))
        if plain.count(" ") + 1 >= SHORTEST_SENTENCE:
            seen[plain] += 1
            first.setdefault(plain, sentence.strip())
    return [first[plain] for plain, count in seen.items() if count > 1]


def _suggestions(prompt: dict[str, Any]) -> Iterator[str]:
    """What could be done about one prompt, in words."""
    place = f"model call {prompt['model_call'] + 1}, {prompt['role']} message {prompt['message'] + 1}"
    for sentence in prompt["said_twice"]:
        yield f"{place}: says twice: {sentence[:LONGEST_EXAMPLE]}"
    if prompt["message"] == 0 and not prompt["says_format"]:
        yield f"model call {prompt['model_call'] + 1}: does not say in what form the answer should come"
    if prompt["role"] == "system" and prompt["variables"]:
        yield f"{place}: varies between calls; put what varies into the user message, so that the rest can be cached"


# Numbers


def _counts(calls: Iterable[ModelCall], name: str) -> list[float]:
    return [call.usage[name] for call in calls if name in call.usage]


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    """Smallest, middle, largest and sum; None of none."""
    if not values:
        return None
    return {
        "min": min(values),
        "median": statistics.median(values),
        "max": max(values),
        "total": round(sum(values), 3),
    }


def _outliers(traces: Sequence[PromptTrace]) -> Iterator[dict[str, Any]]:
    """Calls that stick out, by Tukey's rule, and by at least half again of the middle one; and those that failed."""
    for kind, values in (
        ("duration_ms", [one.duration_ms for one in traces]),
        ("tokens", [float(sum(sum(call.usage.values()) for call in one.calls)) for one in traces]),
    ):
        limit = _limit(values)
        for one, value in zip(traces, values, strict=True):
            if limit is not None and value > limit:
                yield {"enh_prompt_id": one.enh_prompt_id, "kind": kind, "value": value, "usual": round(limit, 3)}
    for one in traces:
        if one.error:
            yield {"enh_prompt_id": one.enh_prompt_id, "kind": "error", "value": _error_kind(one.error)}


def _limit(values: Sequence[float]) -> float | None:
    if len(values) < FEWEST_FOR_OUTLIERS:
        return None
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return max(high + 1.5 * (high - low), 1.5 * middle)


def _error_kind(error: str | None) -> str:
    """The class; the message may say anything."""
    return (error or "").partition(":")[0]
