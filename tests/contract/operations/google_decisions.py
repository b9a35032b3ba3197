"""Google GenAI: decisions."""

from __future__ import annotations

from tests.contract.operation import GEMINI, Operation

OPERATIONS = (
    Operation(
        name="gemini-decisions",
        sdk=GEMINI,
        operation="decision",
        api="decisions.create",
        features=("gemini decisions",),
        method=lambda client: client.decisions.create,
        prompt="input",
        arguments={"model": "m", "questions": {"so": {"type": "noul", "instructions": "Is it so?"}}},
        usage={"total_input_tokens": 7, "total_output_tokens": 5},
        tokens=(7, 5),
        needles=1,
    ),
)
