"""What processes that were killed left in the journal beside a session file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from aiobs.exporters.session import files
from aiobs.exporters.session.fold import Fold, export_source, export_text
from aiobs.exporters.session.journal import is_written, segments


class RecoverResult(NamedTuple):
    """What ``recover`` found, and where it wrote that; ``path`` None: nothing was left behind.

    ``torn`` counts lines that could not be read: a process was killed while it wrote them.
    """

    path: str | None
    segments: int = 0
    sessions: int = 0
    events: int = 0
    torn: int = 0


def recover(path: str | None = None) -> RecoverResult:
    """Add what dead processes left in the journal beside a session file to that file; nothing in it is lost.

    A file that is no export is left alone: the export is written beside it, as ``<name>.recovered.json``.
    """
    target = Path(path or os.environ.get("LLM_OBS_OUT") or files.DEFAULT_PATH).absolute()
    if not files.journal_directory(target).is_dir():
        return RecoverResult(None)
    fold = Fold()
    try:
        with files.file_locks(target):
            left = [segment for segment in segments(files.journal_directory(target)) if not is_written(segment)]
            if not left:
                return RecoverResult(None)
            for segment in left:
                fold.add(segment)
            events, place = len(fold.index), _place_for(target)
            found = RecoverResult(str(place), len(left), len(fold.sessions), events, fold.torn)
            fold.merge(place, always=True)
            files.replace_atomically(place, export_text(fold, include_trace_tree=True))
            files.remove(left)
    finally:
        fold.close()
    files.remove_if_empty(files.journal_directory(target))
    return found


def _place_for(target: Path) -> Path:
    is_free = not target.exists() or target.stat().st_size == 0 or export_source(target) is not None
    return target if is_free else target.with_name(f"{target.stem}.recovered.json")


def left_behind(path: str | None = None) -> list[str]:
    """The session files beside which a journal lies; placeholders in the path stand for anything."""
    given = path or os.environ.get("LLM_OBS_OUT") or files.DEFAULT_PATH
    if given == "-":
        given = files.DEFAULT_PATH
    pattern = Path(files.PLACEHOLDER.sub("*", given)).absolute()
    journals = Path(pattern.anchor).glob(str(files.journal_directory(pattern).relative_to(pattern.anchor)))
    return sorted(str(files.file_of_journal(journal)) for journal in journals if journal.is_dir())
