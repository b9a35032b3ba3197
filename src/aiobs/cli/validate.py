"""``aiobs validate``: what session files break of their format, and of what viewers want."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from aiobs.errors import UnreadableFile

_SHOWN = 50


def validate(
    files: Annotated[
        list[str] | None, typer.Argument(help="Session files; default: ./llm_observability.json", metavar="FILE...")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All findings as JSON.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the format and end.")] = False,
) -> None:
    """Check session files against the format, version 1, and against what viewers of them want.

    Each finding has the place in the file as a JSON path. The format is published as a JSON Schema:
    schemas/llm_observability.v1.json.

    Exit code 0: nothing was found. 1: something was. 2: a file cannot be read, or is no session file.

    Example: aiobs validate llm_observability.json
    """
    from aiobs.reading.schema import published  # other commands do not pay for it
    from aiobs.reading.validation import Finding
    from aiobs.reading.validation import validate as check

    if schema:
        typer.echo(json.dumps(published(), indent=2))
        raise typer.Exit
    found: dict[str, list[Finding]] = {}
    refused: dict[str, str] = {}
    for file in files or ("./llm_observability.json",):
        try:
            found[file] = check(file)
        except UnreadableFile as error:
            refused[file] = str(error)
    if as_json:
        listed = {file: [finding._asdict() for finding in findings] for file, findings in found.items()}
        typer.echo(json.dumps({"findings": listed, "unreadable": refused}, indent=2, ensure_ascii=False))
    else:
        for file, findings in found.items():
            _tell(file, [(finding.rule, str(finding)) for finding in findings])
    for text in refused.values():
        typer.echo(text, err=True)
    raise typer.Exit(2 if refused else 1 if any(found.values()) else 0)


def _tell(file: str, findings: list[tuple[str, str]]) -> None:
    if not findings:
        typer.secho(f"{file}: valid", fg="green")
        return
    count = len(findings)
    typer.secho(f"{file}: {count:,} {'finding' if count == 1 else 'findings'}", fg="red", bold=True)
    for rule, text in findings[:_SHOWN]:
        typer.echo(f"  {rule:<6}  {text}")
    if count > _SHOWN:
        typer.echo(f"  … and {count - _SHOWN:,} more; --json has all of them.")
