"""Which content an exporter may have. The gate of ``capture_content`` is before it: a policy only takes away."""

from __future__ import annotations

import re
from typing import Any

from aiobs.exporters.rewriting.rewriter import DESCRIPTION, Step
from aiobs.semconv import names
from aiobs.settings import CaptureContent

_CONTENT = re.compile(
    r"gen_ai\.(input\.messages|output\.messages|system_instructions|tool\.definitions|tool\.call\.(arguments|result)"
    r"|retrieval\.(query\.text|documents)|memory\.(query\.text|records)|prompt\.variable|evaluation\.explanation)"
    r"|aiobs\.(input|output|prompt\.enhancement\.(?!function|prompt_ids|span_ids|trace_ids))"
    # As others call it: the conventions as they were, OpenInference, OpenLLMetry, Langfuse, Pydantic AI.
    r"|gen_ai\.(prompt|completion)\.\d|gen_ai\.(prompt|completion|content)$|(input|output)\.value$"
    r"|llm\.(input_messages|output_messages|prompts|prompt_template|completions|function_call|tools)\b"
    r"|(retrieval|reranker)\.\w*documents|embedding\.embeddings|tool\.parameters|message\.content"
    r"|traceloop\.entity\.(input|output)|langfuse\.(observation|trace)\.(input|output)"
    r"|tool_arguments|tool_response|all_messages_events|final_result"
)
_ERROR_TEXTS = frozenset({names.EXCEPTION_MESSAGE, names.EXCEPTION_STACKTRACE, DESCRIPTION})


def is_content(name: str) -> bool:
    """Attributes of that name hold what a model or a function was given or gave, in any of the usual dialects."""
    return _CONTENT.match(name) is not None


def without_content(mode: CaptureContent | None, *, on_spans: bool) -> Step | None:
    """The step that takes away what this mode does not allow on spans (or on log records); None if it allows all."""
    if mode is None:
        return None
    has_content = mode.on_spans if on_spans else mode.on_events
    describes_errors = mode.on_spans or mode.on_events
    if has_content and describes_errors:
        return None

    def step(name: str, value: Any) -> Any:
        is_text_of_error = name in _ERROR_TEXTS and not describes_errors
        return None if is_text_of_error or (not has_content and is_content(name)) else value

    return step
