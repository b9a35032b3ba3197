"""OpenAI: legacy completions."""

from __future__ import annotations

from tests.contract.operation import OPENAI, Operation

OPERATIONS = (
    Operation(
        name="openai-completions",
        sdk=OPENAI,
        operation="text_completion",
        api="completions.create",
        method=lambda client: client.completions.create,
        streamed=lambda client: client.completions.create,
        prompt="prompt",
        stream_arguments={"stream": True, "stream_options": {"include_usage": True}},
        said=lambda answer: answer.choices[0].text,
        piece=lambda chunk: "".join(choice.text for choice in chunk.choices),
        usage={"prompt_tokens": 7, "completion_tokens": 5},
        tokens=(7, 5),
        reason="stop",
        opening=[
            b'data: {"id": "c", "model": "m", "object": "text_completion", "created": 1, "choices": '
            b'[{"index": 0, "text": "N33DLE", "finish_reason": null, "logprobs": null}]}\n\n'
        ],
    ),
)
