"""``aiobs recover``: fold what a killed process left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiobs.exporters.session.files import journal_directory
from aiobs.exporters.session.journal import newer_segments
from aiobs.exporters.session.recovery import RecoverResult, left_behind
from aiobs.exporters.session.recovery import recover as fold_left_over


def recover(
    path: Annotated[
        str | None,
        typer.Argument(help="The session file; default: LLM_OBS_OUT, else ./llm_observability.json"),
    ] = None,
) -> None:
    """Add what killed processes left in the journal beside a session file to that file."""
    files = left_behind(path)
    found = [result for file in files if (result := _folded(file)).path is not None]
    for result in found:
        _tell(result)
    newer = [segment for file in files for segment in newer_segments(journal_directory(Path(file)))]
    for segment in newer:
        typer.echo(f"Left alone: {segment} was written by a newer aiobs; update aiobs and run this again.", err=True)
    if newer:
        raise typer.Exit(1)
    if not found:
        typer.echo("Nothing to recover: no dead process left a journal beside this file.")


def _folded(file: str) -> RecoverResult:
    try:
        return fold_left_over(file)
    except OSError as error:
        typer.echo(f"{file} cannot be written: {error}. The journal is untouched.", err=True)
        raise typer.Exit(1) from error


def _tell(result: RecoverResult) -> None:
    found = (_count(result.events, "event"), _count(result.sessions, "session"), _count(result.segments, "segment"))
    typer.echo("Recovered {} of {} from {}.".format(*found))
    if result.torn:
        typer.echo(f"Torn, not recovered: {_count(result.torn, 'line')} (a process was killed while it wrote).")
    typer.echo(f"Written to: {result.path}")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
