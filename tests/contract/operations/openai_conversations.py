"""OpenAI: conversations, made, fetched, labelled anew, deleted."""

from __future__ import annotations

from typing import Any

from tests.contract.operation import OPENAI, Operation


def _operation(name: str, method: str, **rest: Any) -> Operation:
    return Operation(
        name=f"openai-conversation-{method}",
        sdk=OPENAI,
        operation=name,
        api=f"conversations.{method}",
        features=("openai conversations",),
        method=lambda client: getattr(client.conversations, method),
        **rest,
    )


OPERATIONS = (
    _operation(
        "create_conversation",
        "create",
        prompt="items",
        asks=lambda prompt: [{"role": "user", "content": prompt}],
        arguments={},
        needles=1,
    ),
    _operation("fetch_conversation", "retrieve", arguments={"conversation_id": "conv_1"}),
    _operation("update_conversation", "update", arguments={"conversation_id": "conv_1", "metadata": {"a": "b"}}),
    _operation("delete_conversation", "delete", arguments={"conversation_id": "conv_1"}),
)
