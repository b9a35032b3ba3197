"""What import-linter cannot say: which files may import a subpackage of OpenTelemetry or a provider's SDK."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "aiobs"
SEES_THE_SDK = ("runtime.py", "exporters/", "ambient/otel.py", "metrics/prometheus.py", "testing/")


def imports_of(file: Path) -> set[str]:
    """Every module that a file imports, also within functions, but not under TYPE_CHECKING."""
    return {name for node in executed(ast.parse(file.read_text("utf-8"))) for name in modules_of(node)}


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is in it, without the bodies of ``if TYPE_CHECKING``."""
    yield node
    only_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    for child in node.orelse if isinstance(node, ast.If) and only_for_types else ast.iter_child_nodes(node):
        yield from executed(child)


def modules_of(node: ast.AST) -> list[str]:
    """What an import statement imports; ``from a import b`` may mean the module ``a.b``."""
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def importers_of(*packages: str) -> set[str]:
    """The source files that import one of the packages, or anything below it."""
    return {
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        for module in imports_of(file)
        if any(f"{module}.".startswith(f"{package}.") for package in packages)
    }


def test_the_opentelemetry_sdk_is_imported_where_pipelines_are_made() -> None:
    """Everything else knows the OpenTelemetry API only."""
    assert {file for file in importers_of("opentelemetry.sdk") if not file.startswith(SEES_THE_SDK)} == set()


def test_provider_sdks_are_imported_by_the_simulator_only() -> None:
    """S1-01: elsewhere an SDK's types are seen under TYPE_CHECKING, never imported."""
    assert {file for file in importers_of("openai", "google") if not file.startswith("testing/")} == set()


def test_providers_do_not_see_each_other() -> None:
    """A provider's folder can be taken out without another one noticing."""
    folders = [folder.name for folder in (SOURCE / "instrumentation").iterdir() if (folder / "__init__.py").exists()]
    assert "openai" in folders
    for folder in folders:
        importers = importers_of(f"aiobs.instrumentation.{folder}")
        assert {file for file in importers if not file.startswith(f"instrumentation/{folder}/")} == set(), folder
