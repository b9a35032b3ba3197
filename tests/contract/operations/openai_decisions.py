"""OpenAI: decisions."""

from __future__ import annotations

from tests.contract.operation import OPENAI, Operation

OPERATIONS = (
    Operation(
        name="openai-decisions",
        sdk=OPENAI,
        operation="decision",
        api="decisions.create",
        features=("openai decisions",),
        method=lambda client: client.decisions.create,
        prompt="input",
        arguments={"model": "m", "questions": [{"type": "predicate", "instructions": "Is it so?", "name": "so"}]},
        usage={"input_tokens": 7, "output_tokens": 5},
        tokens=(7, 5),
        needles=1,
    ),
)
