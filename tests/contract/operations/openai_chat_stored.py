"""OpenAI: stored chat completions, listed, fetched and labelled anew."""

from __future__ import annotations

from tests.contract.operation import OPENAI, Operation
from tests.contract.operations.openai_texts import CHAT

_FEATURES = ("openai stored completions",)

OPERATIONS = (
    Operation(
        name="openai-list",
        sdk=OPENAI,
        operation="list_responses",
        api="chat.completions.list",
        features=_FEATURES,
        method=lambda client: client.chat.completions.list,
        arguments={"limit": 2},
        usage=CHAT.usage,
    ),
    Operation(
        name="openai-chat-retrieve",
        sdk=OPENAI,
        operation="fetch_response",
        api="chat.completions.retrieve",
        features=_FEATURES,
        method=lambda client: client.chat.completions.retrieve,
        arguments={"completion_id": "chatcmpl-stored1"},
        said=CHAT.said,
        usage=CHAT.usage,
        reason="stop",
        needles=1,
    ),
    Operation(
        name="openai-chat-update",
        sdk=OPENAI,
        operation="update_response",
        api="chat.completions.update",
        features=_FEATURES,
        method=lambda client: client.chat.completions.update,
        arguments={"completion_id": "chatcmpl-stored1", "metadata": {"a": "b"}},
        usage=CHAT.usage,
    ),
)
