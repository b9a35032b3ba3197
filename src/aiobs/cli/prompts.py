"""``aiobs prompts``: what became of the prompts that session files have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from aiobs.cli.finding import exit_with, session_files
from aiobs.errors import UnreadableFile
from aiobs.prompts.analysis import report
from aiobs.prompts.enhance import append_line
from aiobs.prompts.exported import marked_calls

prompts = typer.Typer(
    name="prompts", help="Prompts of functions that are marked with enh_prompt.", no_args_is_help=True
)


@prompts.callback()
def _root() -> None:
    """Keeps the commands' names even while there is only one."""


@prompts.command()
def enhance(
    files: Annotated[list[Path], typer.Argument(help="Session files, and folders of them.", metavar="FILES...")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also add the reports to this file.")] = None,
    function: Annotated[str | None, typer.Option(help="Only functions whose qualified name ends so.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reports as JSON lines.")] = False,
) -> None:
    """Analyse the prompts of marked functions: what varies, what is said twice, what sticks out. Calls no model.

    Exit code 2: a file cannot be read, or is no session file.
    """
    found = [report(name, traces) for name, traces in _calls(files).items() if name.endswith(function or "")]
    for one in found:
        typer.echo(json.dumps(one, ensure_ascii=False) if as_json else "\n".join(_lines(one)))
        if output is not None:
            append_line(str(output), one)
    if not found:
        typer.echo("No marked calls in these files: @observe(enh_prompt=True) marks them.", err=True)


def _calls(files: list[Path]) -> dict[str, Any]:
    try:
        return marked_calls(session_files(files)[0])
    except UnreadableFile as error:
        exit_with(str(error))


def _lines(one: dict[str, Any]) -> Iterator[str]:
    yield f"{one['function']}: {one['calls']} calls, {one['model_calls']} model calls"
    for name, unit in (("duration_ms", "ms"), ("input_tokens", "input tokens"), ("output_tokens", "output tokens")):
        spread = one[name] if name in one else one["tokens"][name]
        if spread is not None:
            yield f"  {unit}: {spread['min']:g} to {spread['max']:g}, mostly {spread['median']:g}"
    for prompt in one["prompts"]:
        place = f"{prompt['role']} of model call {prompt['model_call'] + 1}"
        yield f"  {place}, {prompt['fixed']:.0%} the same in every call:"
        yield from (f"    {line}" for line in prompt["template"].splitlines())
    for outlier in one["outliers"]:
        yield f"  sticks out: {outlier['kind']} {outlier['value']} ({outlier['enh_prompt_id']})"
    for suggestion in one["suggestions"]:
        yield f"  - {suggestion}"
    yield ""
