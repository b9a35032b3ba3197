"""Token counts on their way: read from whatever a server sent, summed, written as attributes."""

from __future__ import annotations

from typing import Any

import pytest

from aiobs.call import Call, Request, Response, Server, Usage, total_usage
from aiobs.instrumentation.fields import counts, texts
from aiobs.semconv.encode import end_attributes


class Text(str):
    """A text of the program's own class."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ((), ()),
        ((3, 0, None), (3, 0, None)),
        ((2**53 - 1, 1), (2**53 - 1, 1)),
        ((2**53, 1), (None, 1)),
        ((2**80, 1), (None, 1)),
        ((-1, 2), (None, 2)),
        ((-(2**80), 2), (None, 2)),
        ((True, 2), (None, 2)),
        ((1.0, "2", [3], 4), (None, None, None, 4)),
    ],
)
def test_counts(given: tuple[Any, ...], read: tuple[int | None, ...]) -> None:
    """What is no number of tokens is none; it does not take the others with it."""
    assert counts(*given) == read


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ((), ()),
        (("a", None, "b"), ("a", None, "b")),
        (("", "b"), (None, "b")),
        ((5, "b", ["c"]), (None, "b", None)),
        ((Text("a"), "b"), (None, "b")),
    ],
)
def test_texts(given: tuple[Any, ...], read: tuple[str | None, ...]) -> None:
    """What is no text, or says nothing, is none; it does not take the others with it."""
    assert texts(*given) == read


def written(response: Response) -> dict[str, Any]:
    """The attributes of an answer."""
    call = Call("openai", "chat", "", Server("openai", None, None), Request(), response)
    return {key: value for key, value in end_attributes(call).items() if key.startswith("gen_ai.")}


def test_each_count_has_its_attribute() -> None:
    """Every field of a usage goes where the conventions want it."""
    usage = Usage({"native": 0}, *range(1, 15))
    assert usage.cache_read_audio == 14
    assert written(Response(usage=usage)) == {
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.cache_write.input_tokens": 4,
        "gen_ai.usage.text.input_tokens": 5,
        "gen_ai.usage.image.input_tokens": 6,
        "gen_ai.usage.audio.input_tokens": 7,
        "gen_ai.usage.reasoning.output_tokens": 8,
        "gen_ai.usage.text.output_tokens": 9,
        "gen_ai.usage.image.output_tokens": 10,
        "gen_ai.usage.audio.output_tokens": 11,
        "gen_ai.usage.text.cache_read.input_tokens": 12,
        "gen_ai.usage.image.cache_read.input_tokens": 13,
        "gen_ai.usage.audio.cache_read.input_tokens": 14,
    }


def test_a_count_of_zero_is_written() -> None:
    """Zero is a count; None is not."""
    assert written(Response(usage=Usage(input=0, input_audio=0))) == {
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.usage.audio.input_tokens": 0,
    }


def test_an_answer_says_who_it_is() -> None:
    """Ids in any script: what UTF-8 has no word for is replaced, in the one that has it."""
    assert written(Response(id="é", model="m\ud800")) == {
        "gen_ai.response.id": "é",
        "gen_ai.response.model": "m�",
    }


def test_the_sum_of_several_requests() -> None:
    """Counts are summed where they are given, the providers' own objects key by key."""
    one = Usage({"total": 3, "tier": "a"}, 1, 2, input_text=1)
    other = Usage({"total": 7, "tier": "b"}, 3, 4, cache_read=0, output_audio=4)
    assert total_usage([one, other]) == Usage(
        {"total": 10, "tier": "b"}, 4, 6, cache_read=0, input_text=1, output_audio=4
    )
    assert total_usage([one, Usage(object(), 1)]) == Usage(None, 2, 2, input_text=1)
    assert total_usage([one]) is one
    assert total_usage([]) is None
