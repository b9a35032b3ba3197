"""What several commands do the same way: find session files, and end with a message."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import typer

from aiobs.errors import UnreadableFile

_SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")


def session_files(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The files that are meant, and what was passed over in folders. Raises UnreadableFile where there are none.

    Files are taken by their names; in folders, those that are session files by what is in them, but no journals.
    """
    given, found, passed_over = list(paths), [], []
    for path in given:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if not path.is_dir() or _is_session_file(file):
                found.append(file)
            elif file.name.endswith(_SUFFIXES) and not _is_in_journal(file):
                passed_over.append(file)
    if not found:
        raise UnreadableFile(f"There is no session file in {', '.join(map(str, given))}.")
    return found, passed_over


def _is_in_journal(file: Path) -> bool:
    return file.parent.name.endswith(".journal")


def _is_session_file(file: Path) -> bool:
    """It begins like one; what is further on is read later."""
    from aiobs.reading import entries

    if not file.name.endswith(_SUFFIXES) or not file.is_file() or _is_in_journal(file):
        return False
    try:
        return next(entries(file), ("", None))[0] in (
            "sessions",
            "events",
            "function_events",
            "generated_at",
            "version",
        )
    except UnreadableFile:
        return False


def exit_with(message: str, code: int = 2) -> NoReturn:
    """Say it on standard error and end."""
    typer.echo(message, err=True)
    raise typer.Exit(code)
