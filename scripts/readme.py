"""The generated parts of the README and of a page: the map of the source, the options, and what can go wrong.

``--check`` fails when they differ from the source, ``--write`` rewrites them.
"""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path

from aiobs.exporters.replies.failures import TABLE
from aiobs.settings import OPTIONS

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "aiobs"
README = ROOT / "README.md"
FAILURES = ROOT / "docs" / "troubleshooting.md"
ORDER = (
    "settings.py", "runtime.py", "facade.py", "errors.py", "guard.py", "seen.py", "losses.py", "clock.py", "call.py",
    "instrumentation", "capture", "semconv", "ambient", "exporters", "prompts", "reading", "diagnosis", "compat",
    "cli", "testing",
)  # fmt: skip


def source_map() -> str:
    """Every folder and top-level module with the first line of its docstring, in the order of the data's way."""
    found = {path.name for path in SOURCE.iterdir() if _is_source(path)}
    missing = found.symmetric_difference(ORDER)
    if missing:
        sys.exit(f"scripts/readme.py: ORDER and the source differ in: {', '.join(sorted(missing))}")
    lines = [f"{name + ('' if name.endswith('.py') else '/'):<18} {_first_line(SOURCE / name)}" for name in ORDER]
    return "```\nsrc/aiobs/\n" + "\n".join(f"  {line}" for line in lines) + "\n```"


def _is_source(path: Path) -> bool:
    return (path.is_dir() and path.name != "__pycache__") or (path.suffix == ".py" and not path.name.startswith("_"))


def _first_line(path: Path) -> str:
    file = path / "__init__.py" if path.is_dir() else path
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    if not docstring:
        sys.exit(f"{file.relative_to(ROOT)} has no docstring")
    return docstring.splitlines()[0]


def options_table() -> str:
    """One row per option of ``aiobs.settings.OPTIONS``."""
    rows = ["| keyword | variable | default | |", "|---|---|---|---|"]
    for option in OPTIONS:
        keyword = f"`{option.keyword}=`" if option.keyword else ""
        variable = f"`{option.variable}`" if option.variable else ""
        default = "unset" if option.default is None else f"`{option.default}`"
        rows.append(f"| {keyword} | {variable} | {default} | {option.help} |")
    return "\n".join(rows)


def failures_table() -> str:
    """One row per failure of ``aiobs.exporters.replies.failures.TABLE``."""
    rows = ["| failure | what you see | what is under way | what to do |", "|---|---|---|---|"]
    for row in TABLE:
        what, means, do = row.sentences(**_SAMPLE)
        rows.append(f"| {row.when} | {what.rstrip('.')}. {means} | {row.fate} | {do} |")
    return "\n".join(rows).replace("<", "&lt;")


_SAMPLE = {
    "answer": "*status and reason*", "wait": "", "detail": "*detail*", "url": "*URL*", "signal": "traces",
    "timeout": 10,
    "timeout_option": "`timeout=`", "sent": "*names of headers*", "credentials": "`OTEL_EXPORTER_OTLP_HEADERS`",
    "path_rule": "The endpoint gets `/v1/traces` appended, unless it is the signal's own variable.",
    "folder": "*folder*", "path": "*folder*`/refused`",
}  # fmt: skip


def rendered(text: str, parts: dict[str, str], page: Path) -> str:
    """The page with its generated parts as they should be."""
    for name, content in parts.items():
        start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
        if start not in text or end not in text:
            sys.exit(f"{page.name} lacks {start} … {end}")
        head, _, rest = text.partition(start)
        text = f"{head}{start}\n{content}\n{end}{rest.partition(end)[2]}"
    return text


def main() -> None:
    """Check or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    write = parser.parse_args().write
    for page, parts in (
        (README, {"map": source_map(), "options": options_table()}),
        (FAILURES, {"failures": failures_table()}),
    ):
        text = page.read_text(encoding="utf-8")
        expected = rendered(text, parts, page)
        if write:
            page.write_text(expected, encoding="utf-8")
        elif text != expected:
            sys.exit(f"The generated parts of {page.name} are out of date; run: make fmt")


if __name__ == "__main__":
    main()
