"""OpenAI: chat completions, responses, embeddings."""

from __future__ import annotations

from typing import Any

from tests.contract.operation import OPENAI, Operation


def _chat_piece(chunk: Any) -> str:
    return "".join(choice.delta.content or "" for choice in chunk.choices)


def _event(kind: str, rest: str) -> bytes:
    return f'event: {kind}\ndata: {{"type": "{kind}", {rest}}}\n\n'.encode()


_BEGUN = (
    '"response": {"id": "resp_1", "object": "response", "created_at": 1, "status": "in_progress", "model": "m", '
    '"output": [], "parallel_tool_calls": true, "tool_choice": "auto", "tools": []}'
)

CHAT = Operation(
    name="openai-chat",
    sdk=OPENAI,
    operation="chat",
    api="chat.completions.create",
    method=lambda client: client.chat.completions.create,
    streamed=lambda client: client.chat.completions.create,
    prompt="messages",
    asks=lambda prompt: [{"role": "user", "content": prompt}],
    stream_arguments={"stream": True, "stream_options": {"include_usage": True}},
    said=lambda answer: answer.choices[0].message.content,
    piece=_chat_piece,
    usage={"prompt_tokens": 7, "completion_tokens": 5},
    tokens=(7, 5),
    reason="stop",
    opening=[
        b'data: {"id": "c", "model": "m", "object": "chat.completion.chunk", "created": 1, "choices": '
        b'[{"index": 0, "delta": {"role": "assistant", "content": "N33DLE"}, "finish_reason": null}]}\n\n'
    ],
)

RESPONSES = Operation(
    name="openai-responses",
    sdk=OPENAI,
    operation="chat",
    api="responses.create",
    features=("openai responses",),
    method=lambda client: client.responses.create,
    streamed=lambda client: client.responses.create,
    prompt="input",
    stream_arguments={"stream": True},
    said=lambda answer: answer.output_text,
    piece=lambda event: event.delta if event.type == "response.output_text.delta" else "",
    usage={"input_tokens": 7, "output_tokens": 5},
    tokens=(7, 5),
    reason="stop",
    opening=[
        _event("response.created", f'"sequence_number": 0, {_BEGUN}'),
        _event(
            "response.output_text.delta",
            '"sequence_number": 1, "item_id": "i", "output_index": 0, "content_index": 0, "delta": "N33DLE", '
            '"logprobs": []',
        ),
    ],
)

EMBEDDINGS = Operation(
    name="openai-embeddings",
    sdk=OPENAI,
    operation="embeddings",
    api="embeddings.create",
    method=lambda client: client.embeddings.create,
    prompt="input",
    usage={"prompt_tokens": 7},
    tokens=(7, None),
)

OPERATIONS = (CHAT, RESPONSES, EMBEDDINGS)
