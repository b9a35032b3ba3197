"""OpenAI: responses fetched by their id, whole and streamed, and cancelled."""

from __future__ import annotations

from tests.contract.operation import OPENAI, Operation
from tests.contract.operations.openai_texts import RESPONSES

OPERATIONS = (
    Operation(
        name="openai-retrieve",
        sdk=OPENAI,
        operation="fetch_response",
        api="responses.retrieve",
        features=("openai streams of stored responses",),
        method=lambda client: client.responses.retrieve,
        streamed=lambda client: client.responses.retrieve,
        arguments={"response_id": "resp_stored1"},
        stream_arguments={"stream": True},
        said=RESPONSES.said,
        piece=RESPONSES.piece,
        usage=RESPONSES.usage,
        reason="stop",
        opening=RESPONSES.opening,
        needles=1,
    ),
    Operation(
        name="openai-cancel",
        sdk=OPENAI,
        operation="cancel_response",
        api="responses.cancel",
        features=("openai responses.cancel",),
        method=lambda client: client.responses.cancel,
        arguments={"response_id": "resp_stored1"},
        usage=RESPONSES.usage,
        reason="cancelled",
    ),
)
