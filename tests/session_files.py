"""Every session file that aiobs writes while a test runs, kept to be checked when the test is over."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from aiobs.errors import UnreadableFile
from aiobs.exporters.session import files
from aiobs.exporters.session.files import DEFAULT_PATH
from aiobs.reading.files import lists_of
from aiobs.reading.validation import findings


class Shelf:
    """Links to what was written, also to what has been replaced since."""

    def __init__(self, folder: Path, working_directory: Path) -> None:
        self.folder = folder
        self.working_directory = working_directory
        self.count = 0

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Keep what this process writes from now on."""
        original: Callable[..., None] = files.replace_atomically

        def replace(target: Path, pieces: Any) -> None:
            original(target, pieces)
            self.keep(target)

        monkeypatch.setattr(files, "replace_atomically", replace)

    def keep(self, file: Path) -> None:
        try:
            os.link(file, self.folder / str(self.count))
        except OSError:  # another file system, or a test that breaks this one
            return
        self.count += 1

    def findings(self) -> list[str]:
        """What is wrong with any of them, and with what a child process left in the working directory."""
        return [
            line for file in [*self.folder.iterdir(), self.working_directory / DEFAULT_PATH] for line in faults(file)
        ]


def faults(file: Path) -> list[str]:
    """What the format and the models of viewers say; nothing for what is no session file."""
    try:
        export = lists_of(file)
    except UnreadableFile:
        return []
    return [*map(str, findings(export)), *viewer_faults(export)]


# The models of shepherd-cli


class Callsite(BaseModel):
    file: str
    line: int
    function: str


class ViewerEvent(BaseModel):
    provider: str
    api: str
    request: dict[str, Any]
    response: dict[str, Any] | None = None
    error: str | None = None
    started_at: float
    ended_at: float
    duration_ms: float
    callsite: Callsite | None = None
    span_id: str
    parent_span_id: str | None = None
    session_id: str
    evaluations: list[dict[str, Any]] = Field(default_factory=list)


class ViewerFunction(ViewerEvent):
    request: dict[str, Any] = Field(default_factory=dict)
    name: str
    module: str | None = None
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    enh_prompt: bool = False
    enh_prompt_id: str | None = None
    auto_enhance_after: int | None = None


class ViewerMeta(BaseModel):
    pid: int
    cwd: str


class ViewerSession(BaseModel):
    id: str
    name: str
    started_at: float
    ended_at: float | None = None
    meta: ViewerMeta
    labels: dict[str, str] = Field(default_factory=dict)


class ViewerExport(BaseModel):
    """What shepherd-cli reads; the tree may be null in a file."""

    sessions: list[ViewerSession]
    events: list[ViewerEvent]
    function_events: list[ViewerFunction]
    trace_tree: list[Any] | None
    enh_prompt_traces: list[str] | None
    generated_at: float
    version: int


def viewer_faults(export: dict[str, Any]) -> list[str]:
    try:
        ViewerExport.model_validate(export)
    except ValueError as error:
        return [str(error)]
    return []
