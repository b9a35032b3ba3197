"""OpenAI: conversations made short, tokens counted, and responses below ``beta``."""

from __future__ import annotations

from dataclasses import replace

from tests.contract.operation import OPENAI, Operation
from tests.contract.operations import openai_stored
from tests.contract.operations.openai_texts import RESPONSES

COMPACT = Operation(
    name="openai-compact",
    sdk=OPENAI,
    operation="chat",
    api="responses.compact",
    features=("openai responses.compact",),
    method=lambda client: client.responses.compact,
    prompt="input",
    usage=RESPONSES.usage,
    tokens=(7, 5),
    needles=1,
)
COUNT = Operation(
    name="openai-count",
    sdk=OPENAI,
    operation="count_tokens",
    api="responses.input_tokens.count",
    features=("openai responses.compact",),
    method=lambda client: client.responses.input_tokens.count,
    prompt="input",
    needles=1,
)
RETRIEVE, CANCEL = openai_stored.OPERATIONS
BETA = ("openai responses.compact",)

OPERATIONS = (
    COMPACT,
    COUNT,
    replace(
        RESPONSES,
        name="openai-beta-create",
        api="beta.responses.create",
        features=BETA,
        method=lambda client: client.beta.responses.create,
        streamed=lambda client: client.beta.responses.create,
        said=lambda answer: "".join(part.text for item in answer.output for part in item.content),
    ),
    replace(
        RETRIEVE,
        name="openai-beta-retrieve",
        api="beta.responses.retrieve",
        features=BETA,
        method=lambda client: client.beta.responses.retrieve,
        streamed=lambda client: client.beta.responses.retrieve,
        said=lambda answer: "".join(part.text for item in answer.output for part in item.content),
    ),
    replace(
        CANCEL,
        name="openai-beta-cancel",
        api="beta.responses.cancel",
        features=BETA,
        method=lambda client: client.beta.responses.cancel,
    ),
    replace(
        COMPACT,
        name="openai-beta-compact",
        api="beta.responses.compact",
        method=lambda client: client.beta.responses.compact,
    ),
    replace(
        COUNT,
        name="openai-beta-count",
        api="beta.responses.input_tokens.count",
        method=lambda client: client.beta.responses.input_tokens.count,
    ),
)
