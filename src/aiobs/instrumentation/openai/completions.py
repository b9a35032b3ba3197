"""Legacy completions: how requests, answers and chunks are read.

Chunks and answers are alike, and but for the choices they are those of chat completions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from aiobs.call import Call, Choice, Message, Part, Prompt, Request, Response
from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.fields import get, items, text
from aiobs.instrumentation.openai import chat
from aiobs.instrumentation.openai.requests import as_sent, request_record

if TYPE_CHECKING:
    from openai.types import Completion

_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop": "stop_sequences",
    "seed": "seed",
    "n": "choice_count",
}
_CONFIG = ("best_of", "echo", "logprobs")


def read_request(kwargs: dict[str, Any]) -> Request:
    """Model and parameters; ``extra_body`` overrides them, as it does on the wire."""
    given = as_sent(kwargs)
    return Request(
        model=text(given.get("model")),
        params={name: given[key] for key, name in _PARAMETERS.items() if given.get(key) is not None},
        stream=bool(given.get("stream")),
        config={key: given[key] for key in _CONFIG if isinstance(given.get(key), int)},
    )


def read_prompt(kwargs: dict[str, Any]) -> Prompt:
    """One user message for each prompt: text or tokens, and the suffix that is to follow what the model says."""
    suffix = kwargs.get("suffix")
    end: list[Part] = [{"type": "suffix", "content": suffix}] if isinstance(suffix, str) else []
    return Prompt([_message(_prompt_part(each), end) for each in _prompts(kwargs.get("prompt"))])


def _message(prompt: Part, end: list[Part]) -> Message:
    return {"role": "user", "parts": [prompt, *end]}


def _prompts(given: Any) -> list[Any]:
    """A text, a list of texts, a list of tokens, a list of those."""
    if isinstance(given, str):
        return [given]
    several = [*items(given)]
    return [several] if several and all(isinstance(each, int) for each in several) else several


def _prompt_part(prompt: Any) -> Part:
    if isinstance(prompt, str):
        return {"type": "text", "content": prompt}
    return cast("Part", {"type": "tokens", "tokens": [each for each in items(prompt) if isinstance(each, int)]})


def read_choices(result: Completion | Any) -> dict[int, Choice]:
    """What the model said, by choice: several prompts have each their own."""
    choices: dict[int, Choice] = {}
    _fold_choices(choices, result, wants_content=True)
    return choices


def fold_chunk(response: Response, chunk: Completion | Any) -> None:
    """Add one chunk."""
    chat.read_identity(response, chunk)
    if (usage := chat.usage_of(get(chunk, "usage"))) is not None:
        response.usage = usage
    _fold_choices(response.choices, chunk, wants_content=response.wants_content)


def _fold_choices(choices: dict[int, Choice], source: Any, *, wants_content: bool) -> None:
    for position, choice in enumerate(items(get(source, "choices"))):
        known = choices.setdefault(chat.index_of(choice, position), Choice())
        known.finish_reason = get(choice, "finish_reason") or known.finish_reason
        said = get(choice, "text")
        if wants_content and isinstance(said, str):
            known.say("text", said)


def session_request(call: Call) -> dict[str, Any]:
    """``model, prompt, suffix, temperature, max_tokens, other``: the request as it was passed."""
    return request_record(call, "prompt", "suffix", "temperature", "max_tokens")


_MODULE = "openai.resources.completions"
_REQUIRED = ("model", "prompt", "stream")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="text_completion",
        api="completions.create",
        methods=(
            Method(_MODULE, "Completions.create", requires=_REQUIRED),
            Method(_MODULE, "AsyncCompletions.create", is_async=True, requires=_REQUIRED),
        ),
        read_request=read_request,
        read_response=chat.read_response,
        read_prompt=read_prompt,
        read_choices=read_choices,
        fold_chunk=fold_chunk,
        session_request=session_request,
        session_response=chat.session_response,
    ),
)
