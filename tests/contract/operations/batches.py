"""Batches of both SDKs: submitting one. Asking after one and its results are in ``tests/instrumentation``."""

from __future__ import annotations

from tests.contract.operation import GEMINI, OPENAI, Operation

OPERATIONS = (
    Operation(
        name="openai-batch",
        sdk=OPENAI,
        operation="create_batch",
        api="batches.create",
        method=lambda client: client.batches.create,
        prompt="metadata",
        asks=lambda prompt: {"note": prompt},
        arguments={"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
    ),
    Operation(
        name="gemini-batch",
        sdk=GEMINI,
        operation="create_batch",
        api="batches.create",
        method=lambda client: client.batches.create,
        prompt="src",
        asks=lambda prompt: [{"contents": [{"role": "user", "parts": [{"text": prompt}]}]}],
        features=("gemini batches",),
    ),
)
