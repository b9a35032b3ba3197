"""The command line: one file per command."""

from __future__ import annotations

import typer

from aiobs.cli.doctor import doctor
from aiobs.cli.merge import merge
from aiobs.cli.prompts import prompts
from aiobs.cli.recover import recover
from aiobs.cli.show import show
from aiobs.cli.validate import validate

app = typer.Typer(name="aiobs", help="Observability for programs that call language models.", no_args_is_help=True)
app.command()(doctor)
app.command()(merge)
app.command()(recover)
app.add_typer(prompts)
app.command()(show)
app.command()(validate)


@app.callback()
def _root() -> None:
    """Keeps the commands' names even while there is only one."""


def main() -> None:
    """Entry point of the ``aiobs`` script."""
    app()
