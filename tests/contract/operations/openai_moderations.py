"""OpenAI: moderations."""

from __future__ import annotations

from tests.contract.operation import OPENAI, Operation

OPERATIONS = (
    Operation(
        name="openai-moderations",
        sdk=OPENAI,
        operation="moderation",
        api="moderations.create",
        method=lambda client: client.moderations.create,
        prompt="input",
        needles=1,
    ),
)
