"""OpenAI: sessions of agents, opened with input; streams of their turns are in the tests of the family."""

from __future__ import annotations

from tests.contract.operation import OPENAI, Operation

OPERATIONS = (
    Operation(
        name="openai-agents",
        sdk=OPENAI,
        operation="invoke_agent",
        api="beta.agents.sessions.create",
        features=("openai agents",),
        method=lambda client: client.beta.agents.sessions.create,
        prompt="input",
        arguments={"environment": {"type": "none"}, "agent_id": "a"},
        needles=1,
    ),
)
