"""What the records of the session file have in common, whatever the provider."""

from __future__ import annotations

from typing import Any

from aiobs.call import UNITS, Call, Choice, Part, Response, ToolCall, Usage
from aiobs.instrumentation.fields import fields_of


def request_record(call: Call, fields: tuple[str, ...], **read: Any) -> dict[str, Any]:
    """``model``, these fields as they were passed, those of ``read`` as they are given here, and the ``other`` ones."""
    given = call.request.kwargs
    return {
        "model": call.request.model,
        **{key: given.get(key) for key in fields},
        **read,
        "other": {key: value for key, value in given.items() if key != "model" and key not in (*fields, *read)},
    }


def usage_record(usage: Usage | None) -> dict[str, Any] | None:
    """The provider's own counts, and the three that the events of every provider have."""
    if usage is None:
        return None
    known = [tokens for tokens in (usage.input, usage.output) if tokens is not None]
    ours = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": sum(known) if known else None,
    }
    native = usage.native if isinstance(usage.native, dict) else {}
    return {**native, **ours, **(units_record(usage) or {})}


def answer_record(response: Response, said: str | None, **fields: Any) -> dict[str, Any]:
    """``id, model, text, usage, finish_reason``, which the answers of models have, and the fields of this kind."""
    return {
        "id": response.id,
        "model": response.model,
        "text": said,
        "usage": usage_record(response.usage),
        "finish_reason": response.finish_reasons[0] if response.finish_reasons else None,
        **fields,
    }


def called_record(called: ToolCall) -> dict[str, Any]:
    """A call of a tool, in the shape of chat completions."""
    function = {"name": called.name, "arguments": "".join(called.arguments)}
    return {"id": called.id, "type": called.type, "function": function}


def media_of(choice: Choice) -> list[Part]:
    """What an answer has beside words: of each its type, size and hash, and where it is kept."""
    return [part for part in choice.parts if isinstance(part, dict) and "sha256" in part]


def with_extras(record: dict[str, Any], call: Call, **extra: Any) -> dict[str, Any]:
    """The record with those extras that say something, and with how soon a stream began and whether it was read."""
    if call.first_chunk_ns is not None:
        extra["ttft_ms"] = round(call.first_chunk_ns / 1e6, 3)
    return {**record, **{key: value for key, value in (*extra.items(), ("incomplete", call.incomplete)) if value}}


def plain(response: Response) -> str | None:
    """A body that was no JSON."""
    return response.native if response.wants_content and isinstance(response.native, str) else None


def native_usage(response: Response) -> Any:
    """The provider's own usage object as it came; of one whose content is not wanted, the numbers in it."""
    native = response.usage.native if response.usage is not None else None
    return native if response.wants_content else numbers(native)


def numbers(value: Any) -> Any:
    """The numbers in an object, at any depth; None of what is neither."""
    fields = fields_of(value)
    if not fields:
        return value if isinstance(value, (int, float)) else None
    return {key: numbers(item) for key, item in fields.items()}


def units_record(usage: Usage | None) -> dict[str, Any] | None:
    """What was used and not counted in tokens."""
    if usage is None:
        return None
    return {unit: amount for unit in UNITS if (amount := getattr(usage, unit)) is not None}


MOST_NUMBERS = 50_000
"""Numbers of the vectors of one call that the session file gets: about a megabyte."""


def embeddings_record(
    model: str | None, usage: Usage | None, vectors: list[list[float]], *, capture: str
) -> dict[str, Any]:
    """An answer to an embeddings call: how many vectors and how long; the vectors themselves if ``capture`` is full.

    A batch of more than ``MOST_NUMBERS`` is written as its shape, and says that it is ``truncated``: a program that
    embeds its library would wait for its observer, and nobody reads that file.
    """
    is_too_large = capture == "full" and sum(map(len, vectors)) > MOST_NUMBERS
    whole = capture == "full" and not is_too_large
    data: list[dict[str, Any]] = [
        {"index": index, "object": "embedding", **({"embedding": vector} if whole else {})}
        for index, vector in enumerate(vectors)
    ]
    return {
        "id": None,
        "model": model,
        "usage": usage_record(usage),
        "object": "list",
        "data": [] if capture == "none" else data,
        "embedding_dimensions": len(vectors[0]) if vectors else None,
        **({"truncated": True} if is_too_large else {}),
    }
