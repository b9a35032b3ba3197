"""An export as aiobs writes it, to read and to break."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SESSION = "6f2c1a5e-9f0e-4a53-8d38-0b1f5a4f7c11"


def event(number: int, parent: int | None = None, **fields: Any) -> dict[str, Any]:
    """A model call; its span is the number, and so is when it began."""
    return {
        "provider": "openai",
        "api": "chat.completions.create",
        "request": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "other": {}},
        "response": {"id": "c", "model": "gpt-4o-mini", "text": "Hello", "usage": {"prompt_tokens": 3}},
        "error": None,
        **common(number, parent),
        **fields,
    }


def function(number: int, parent: int | None = None, **fields: Any) -> dict[str, Any]:
    """A function call."""
    return {
        "provider": "function",
        "api": "app.research",
        "name": "research",
        "module": "app",
        "args": ["q"],
        "kwargs": {},
        "result": [1],
        "error": None,
        **common(number, parent),
        "enh_prompt": False,
        "enh_prompt_id": None,
        "auto_enhance_after": None,
        **fields,
    }


def common(number: int, parent: int | None) -> dict[str, Any]:
    return {
        "started_at": float(number),
        "ended_at": number + 0.5,
        "duration_ms": 500.0,
        "callsite": {"file": "app.py", "line": 12, "function": "main"},
        "span_id": f"{number:016x}",
        "parent_span_id": None if parent is None else f"{parent:016x}",
        "trace_id": "0" * 31 + "1",
        "session_id": SESSION,
        "evaluations": [],
    }


def an_export(**fields: Any) -> dict[str, Any]:
    """One session with a call inside a function."""
    call, around = event(2, parent=1, context={"prefect.task_run.id": "t-1"}, cost_usd=0.5), function(1)
    inner = {"event_type": "provider", **call, "children": []}
    export = {
        "sessions": [
            {
                "id": SESSION,
                "name": "night run",
                "started_at": 0.5,
                "ended_at": None,
                "meta": {"pid": 7, "cwd": "/srv", "argv0": "app.py"},
                "labels": {"team": "x"},
            }
        ],
        "events": [call],
        "function_events": [around],
        "trace_tree": [{"event_type": "function", **around, "children": [inner]}],
        "enh_prompt_traces": None,
        "generated_at": 9.0,
        "version": 1,
        **fields,
    }
    found: dict[str, Any] = export if fields else json.loads(json.dumps(export))
    return found


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The export in a file."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(an_export(), indent=2))
    return path
