"""``aiobs merge``: many session files as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiobs.cli.finding import exit_with, session_files
from aiobs.errors import UnreadableFile


def merge(
    paths: Annotated[list[Path], typer.Argument(help="Session files, and folders of them.", metavar="FILES...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; it may be one of FILES.")],
    no_tree: Annotated[bool, typer.Option("--no-tree", help="Leave the tree out: a smaller file.")] = False,
) -> None:
    """Merge session files into one: each span once, sessions by their id, the tree made anew.

    Of a span that is in several files the first file's record counts, so name the newest first. Folders are searched
    through and through; what is no session file in them is passed over. Files may be larger than memory.

    Exit code 2: a file cannot be read, or is no session file; nothing is written then.

    Example: aiobs merge runs/ more.json.gz -o all.json
    """
    from aiobs.exporters.session.files import replace_atomically
    from aiobs.exporters.session.fold import Fold, export_text
    from aiobs.reading import entries

    fold = Fold()
    try:
        files, passed_over = session_files(paths)
        for file in files:
            for _ in entries(file):  # refuses what the fold would pass over
                pass
            if not fold.merge(file, always=True):
                raise UnreadableFile(f"{file} has another layout than ours and is nested too deeply to be read.")
        output.parent.mkdir(parents=True, exist_ok=True)
        replace_atomically(output, export_text(fold, include_trace_tree=not no_tree))
        typer.echo(
            f"Merged {_count(len(files), 'file')}: {_count(len(fold.sessions), 'session')}, "
            f"{_count(len(fold.index), 'event')}."
        )
        for path in passed_over:
            typer.echo(f"Passed over, no session file: {path}")
        typer.echo(f"Written to: {output}")
    except UnreadableFile as error:
        exit_with(f"{error} Nothing was written.")
    except OSError as error:
        exit_with(f"{output} cannot be written: {error.strerror or error}.")
    finally:
        fold.close()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
