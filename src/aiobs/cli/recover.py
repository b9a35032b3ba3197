"""``aiobs recover``: fold what a killed process left behind."""

from __future__ import annotations

from typing import Annotated

import typer

from aiobs.exporters.session_file import recover as fold_left_over


def recover(
    path: Annotated[str | None, typer.Argument(help="The session file; default as for flush().")] = None,
) -> None:
    """Fold the journal that a killed process left beside a session file into that file."""
    found = fold_left_over(path)
    if found.path is None:
        typer.echo("Nothing to recover: no dead process left a journal beside this file.")
        return
    typer.echo(f"Recovered {found.events} events of {found.sessions} sessions from {found.segments} segments.")
    typer.echo(f"Written to: {found.path}")
