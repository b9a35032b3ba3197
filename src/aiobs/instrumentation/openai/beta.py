"""Responses below ``client.beta``: the same shapes by another way, so the same readers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from aiobs.capture.provider import Method, Operation
from aiobs.instrumentation.openai import items, responses
from aiobs.instrumentation.openai.compact import COMPACT, COUNT
from aiobs.instrumentation.openai.stored import CANCEL, RETRIEVE

_MODULE = "openai.resources.beta.responses.responses"
_REQUIRED = ("input", "model", "stream")

_CREATE = Operation(
    name="chat",
    api="beta.responses.create",
    methods=(
        Method(_MODULE, "Responses.create", requires=_REQUIRED),
        Method(_MODULE, "AsyncResponses.create", is_async=True, requires=_REQUIRED),
    ),
    read_request=responses.read_request,
    read_response=responses.read_response,
    read_prompt=items.read_prompt,
    read_choices=responses.read_choices,
    fold_chunk=responses.fold_chunk,
    session_request=responses.session_request,
    session_response=responses.session_response,
    settle=responses.settle,
    has_jobs=True,
)


def _below_beta(operation: Operation) -> Operation:
    return replace(operation, api=f"beta.{operation.api}", methods=tuple(_methods(operation)))


def _methods(operation: Operation) -> Iterator[Method]:
    """In the file itself: the package would import it when it is looked at."""
    for method in operation.methods:
        below = method.module.replace("openai.resources.responses", "openai.resources.beta.responses")
        module = below if below.endswith("input_tokens") else f"{below}.responses"
        yield replace(method, module=module)


OPERATIONS: tuple[Operation, ...] = (_CREATE, *map(_below_beta, (RETRIEVE, CANCEL, COMPACT, COUNT)))
