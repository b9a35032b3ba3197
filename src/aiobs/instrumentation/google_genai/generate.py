"""generate_content: how requests, answers and chunks are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from aiobs.call import MODALITIES, Call, Choice, Request, Response, Said, ToolCall, Usage
from aiobs.instrumentation.fields import count, counts, items, text, texts
from aiobs.instrumentation.google_genai.contents import part_of
from aiobs.instrumentation.google_genai.fields import bare_model, field, fields_of, given, plain, word
from aiobs.instrumentation.records import usage_record, with_extras
from aiobs.semconv.serialise import to_json

if TYPE_CHECKING:
    from google.genai.types import Candidate, GenerateContentResponse
    from google.genai.types import Part as NativePart

_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_output_tokens": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop_sequences": "stop_sequences",
    "seed": "seed",
    "candidate_count": "choice_count",
}
_MODALITIES = {"IMAGE": "image", "AUDIO": "speech", "TEXT": "text"}


# Request


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model and parameters of the config."""
    config = given(kwargs.get("config"))
    params = {_PARAMETERS[key]: value for key, value in config.items() if key in _PARAMETERS}
    top_k = config.get("top_k")
    if isinstance(top_k, (int, float)) and isfinite(top_k) and top_k == int(top_k):
        params["top_k"] = int(top_k)  # the SDK makes it a float
    if (level := plain(field(config.get("thinking_config"), "thinking_level"))) is not None:
        params["reasoning_level"] = level
    if not _SHAPE.isdisjoint(config) and (output := _output_type(config)) is not None:
        params["output_type"] = output
    return Request(model=bare_model(kwargs.get("model")), params=params)


_SHAPE = frozenset({"response_modalities", "response_mime_type", "response_schema", "response_json_schema"})


def read_stream_request(kwargs: dict[str, Any]) -> Request:
    """The same of a request whose answer is streamed, also if none comes."""
    return replace(read_request(kwargs), stream=True)


def _output_type(config: Mapping[str, Any]) -> str | None:
    modalities = [str(plain(item)).upper() for item in items(config.get("response_modalities"))]
    for modality, output in _MODALITIES.items():
        if modality in modalities:
            return output
    mime_type = config.get("response_mime_type")
    if "response_schema" in config or "response_json_schema" in config:
        return "text" if mime_type == "text/x.enum" else "json"
    if isinstance(mime_type, str):
        return "json" if mime_type == "application/json" else "text"
    return None


# Response


def read_response(result: GenerateContentResponse | Any) -> Response:
    """Ids, usage and finish reasons; a prompt that was blocked has no candidate, and the reason of the block."""
    answer = _answer(result)
    fields = fields_of(answer)
    candidates = items(fields.get("candidates"))
    id_, model = texts(fields.get("response_id"), fields.get("model_version"))
    response = Response(
        id=id_,
        model=model,
        usage=read_usage(counts_of(fields.get("usage_metadata"))),
        finish_reasons=[word(field(candidate, "finish_reason")) for candidate in candidates],
        native=answer,
    )
    if not response.finish_reasons:
        _read_block(response, answer)
    elif response.finish_reasons[0] == "continuation":
        response.continues = bool(field(next(iter(candidates)), "continuation_token"))
    return response


def _answer(result: Any) -> Any:
    """The answer; with ``should_return_http_response`` it is the body that the SDK did not parse."""
    if field(result, "candidates") is not None:
        return result
    body = field(field(result, "sdk_http_response"), "body")
    if not isinstance(body, str):
        return result
    try:
        return from_json(body)
    except ValueError:
        return result


def _read_block(response: Response, answer: Any) -> None:
    reason = word(field(field(answer, "prompt_feedback"), "block_reason"))
    if reason is not None:
        response.finish_reasons = [reason]


def counts_of(usage: Any) -> dict[str, Any]:
    """The counts that the provider gave, by their snake_case names."""
    return {name: value for name, value in fields_of(usage).items() if value is not None and name in _COUNTS}


_COUNTS = frozenset(
    {
        "prompt_token_count",
        "cached_content_token_count",
        "candidates_token_count",
        "thoughts_token_count",
        "tool_use_prompt_token_count",
        "total_token_count",
        "prompt_tokens_details",
        "cache_tokens_details",
        "candidates_tokens_details",
        "tool_use_prompt_tokens_details",
    }
)


def read_usage(given: dict[str, Any]) -> Usage | None:
    """Tokens by the conventions: what tools put into the prompt is input, thoughts are output."""
    if not given:
        return None
    prompt, tools, said, thoughts, cached = counts(*map(given.get, _TOTALS))
    return Usage(
        {name: value for name, value in given.items() if type(value) is int},
        _sum(prompt, tools),
        _sum(said, thoughts),
        cached,
        reasoning=thoughts,
        **_shares(given),
    )


_TOTALS = (
    "prompt_token_count",
    "tool_use_prompt_token_count",
    "candidates_token_count",
    "thoughts_token_count",
    "cached_content_token_count",
)


def _shares(given: dict[str, Any]) -> dict[str, int]:
    """Tokens by modality, by the names of ``Usage``, where the provider says."""
    shares: dict[str, int] = {}
    for name in filter(given.get, _DETAILS):
        for detail in items(given[name]):
            modality, tokens = word(field(detail, "modality")), count(field(detail, "token_count"))
            if modality in MODALITIES and tokens is not None:
                share = f"{_DETAILS[name]}_{modality}"
                shares[share] = shares.get(share, 0) + tokens
    return shares


_DETAILS = {
    "prompt_tokens_details": "input",
    "tool_use_prompt_tokens_details": "input",
    "candidates_tokens_details": "output",
    "cache_tokens_details": "cache_read",
}


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else (one or 0) + other


def read_choices(result: GenerateContentResponse | Any) -> dict[int, Choice]:
    """What the model said, by candidate."""
    choices: dict[int, Choice] = {}
    for position, candidate in enumerate(items(field(_answer(result), "candidates"))):
        index = field(candidate, "index")
        choice = choices[index if type(index) is int else position] = Choice()
        _fold_candidate(choice, candidate)
    return choices


# Stream


def fold_chunk(response: Response, chunk: GenerateContentResponse | Any) -> None:
    """Add one chunk; the common one, a piece of text of the only candidate, takes the short way."""
    usage = chunk.usage_metadata
    if usage is not None:
        _keep_usage(response, usage)
    candidates, known = chunk.candidates, response.choices.get(0)
    if known is not None and candidates and len(candidates) == 1:
        candidate = candidates[0]
        is_piece = candidate.__pydantic_fields_set__ <= _PIECE and candidate.index in (None, 0)
        if is_piece and (not response.wants_content or _is_text(known, candidate)):
            return
    _fold_other(response, chunk)


def _keep_usage(response: Response, usage: Any) -> None:
    """Counts are running totals, and the last one of each counts; they are read when the stream has ended."""
    kept = response.native
    if kept is None:
        response.native = usage
    elif isinstance(kept, dict):
        kept.update(counts_of(usage))
    elif kept.__pydantic_fields_set__ <= usage.__pydantic_fields_set__:
        response.native = usage
    else:
        response.native = {**counts_of(kept), **counts_of(usage)}


def settle(response: Response) -> None:
    """Work out the usage."""
    if response.native is not None:
        response.usage = read_usage(counts_of(response.native))


def _is_text(known: Choice, candidate: Candidate) -> bool:
    """Keep the text of a candidate that has nothing else to say: what the server sent is what pydantic calls set."""
    parts = candidate.content.parts if candidate.content is not None else None
    if not parts or len(parts) != 1 or parts[0].__pydantic_fields_set__ != _TEXT or type(parts[0].text) is not str:
        return False
    known.say("text", parts[0].text)
    return True


_PIECE = {"content", "index", "safety_ratings", "token_count", "avg_logprobs"}
_TEXT = {"text"}


def _fold_other(response: Response, chunk: Any) -> None:
    response.id = text(field(chunk, "response_id")) or response.id
    response.model = text(field(chunk, "model_version")) or response.model
    for position, candidate in enumerate(items(field(chunk, "candidates"))):
        index = field(candidate, "index")
        choice = response.choices.setdefault(index if type(index) is int else position, Choice())
        choice.finish_reason = word(field(candidate, "finish_reason")) or choice.finish_reason
        if field(candidate, "continuation_token"):
            response.continues = True
        if response.wants_content:
            _fold_candidate(choice, candidate)
    first = response.choices.get(0)
    if first is not None and first.finish_reason not in (None, "continuation"):
        response.continues = False
    if not response.choices and not response.finish_reasons:
        _read_block(response, chunk)


def _fold_candidate(choice: Choice, candidate: Candidate | Any) -> None:
    """Add a whole candidate, or a piece of one: they have the same fields."""
    choice.finish_reason = word(field(candidate, "finish_reason")) or choice.finish_reason
    for part in items(field(field(candidate, "content"), "parts")):
        _fold_part(choice, part)
    if (grounding := field(candidate, "grounding_metadata")) is not None:
        _fold_grounding(choice, grounding)


def _fold_part(choice: Choice, part: NativePart | Any) -> None:
    said = field(part, "text")
    if isinstance(said, str):
        choice.say("reasoning" if field(part, "thought") else "text", said)
    elif (call := field(part, "function_call")) is not None:
        _fold_call(choice, call)
    else:
        choice.parts.append(part_of(part))


def _fold_call(choice: Choice, call: Any) -> None:
    """A call comes whole, or, where arguments are streamed, its name first and then their pieces."""
    pieces = items(field(call, "partial_args"))
    known = choice.call("streamed") if pieces or field(call, "will_continue") else ToolCall()
    known.id = field(call, "id") or known.id
    known.name = str(field(call, "name") or known.name)
    if isinstance(arguments := field(call, "args"), Mapping):
        known.arguments.append(to_json(plain(arguments)))
    known.arguments.extend(_piece(piece) for piece in pieces)
    if pieces or field(call, "will_continue"):
        if not field(call, "will_continue"):
            del choice.calls["streamed"]
    else:
        choice.parts.append(known)


def _piece(piece: Any) -> str:
    values = (field(piece, f"{kind}_value") for kind in ("string", "number", "bool", "null"))
    value = next((value for value in values if value is not None), None)
    return to_json({str(field(piece, "json_path")): plain(value)}) + "\n"


def _fold_grounding(choice: Choice, grounding: Any) -> None:
    """A search that the provider made: what was asked, and what was found; the last word on it counts."""
    queries = plain(field(grounding, "web_search_queries"))
    sources = [plain(field(chunk, "web")) for chunk in items(field(grounding, "grounding_chunks"))]
    choice.parts[:] = [
        part for part in choice.parts if isinstance(part, (Said, ToolCall)) or _SEARCH not in part.values()
    ]
    asked = {"type": _SEARCH, "queries": queries}
    choice.parts.append({"type": "server_tool_call", "id": _SEARCH, "name": _SEARCH, "server_tool_call": asked})
    found = {"type": _SEARCH, "sources": sources}
    choice.parts.append({"type": "server_tool_call_response", "id": _SEARCH, "server_tool_call_response": found})


_SEARCH = "google_search"


# Session file


def session_request(call: Call) -> dict[str, Any]:
    """``model, contents, system_instruction, config, other``: the request as it was passed."""
    given = call.request.kwargs
    config = plain(given.get("config"))
    if isinstance(config, dict):
        config = {key: value for key, value in config.items() if key not in _TRANSPORT}
    return {
        "model": call.request.model,
        "contents": plain(given.get("contents")),
        "system_instruction": plain(field(given.get("config"), "system_instruction")),
        "config": config,
        "other": {},
    }


_TRANSPORT = ("http_options", "httpOptions")


def session_response(call: Call) -> dict[str, Any] | None:
    """``model, text, candidates, usage``; None for a call without an answer."""
    response = call.response
    if response is None:
        return None
    choices = [response.choices[index] for index in sorted(response.choices)]
    whole = plain(field(response.native, "candidates")) if choices else None
    record = {
        "model": response.model,
        "text": choices[0].said("text") if choices else None,
        "candidates": whole if isinstance(whole, list) else [_candidate(choice) for choice in choices],
        "usage": usage_record(response.usage),
        "finish_reason": response.finish_reasons[0] if response.finish_reasons else None,
    }
    feedback = plain(field(response.native, "prompt_feedback")) if response.wants_content else None
    return with_extras(record, call, id=response.id, prompt_feedback=feedback)


def _candidate(choice: Choice) -> dict[str, Any]:
    """A candidate put together from chunks, in the shape of one that came whole."""
    reason = choice.finish_reason
    return {
        "content": {"role": "model", "parts": [_session_part(part) for part in choice.parts]},
        "finish_reason": reason.upper() if reason else None,
    }


def _session_part(part: Any) -> Any:
    if isinstance(part, Said):
        joined = "".join(part.fragments)
        return {"text": joined, "thought": True} if part.kind == "reasoning" else {"text": joined}
    if isinstance(part, ToolCall):
        arguments = from_json("".join(part.arguments)) if len(part.arguments) == 1 else part.arguments
        return {"function_call": {"id": part.id, "name": part.name, "args": arguments}}
    return part
