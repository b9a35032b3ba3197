"""The package as a whole: what importing it does, and what it offers."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from importlib.metadata import entry_points, version

import pytest

import aiobs


def run(program: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments, "-c", program], capture_output=True, text=True, check=False, **options
    )


def test_import_does_nothing() -> None:
    """Promise 4, S1-01: no SDK, thread, socket, environment change, provider or output.

    breaks-apps #91
    """
    program = """
import os, sys, threading
before = dict(os.environ)
opened = []
sys.addaudithook(lambda event, args: opened.append(event) if event.startswith("socket.") else None)
import aiobs
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"openai", "google", "rich", "typer", "requests", "httpx", "httpx2", "asyncio"}, loaded
assert "opentelemetry" not in loaded
assert threading.active_count() == 1
assert dict(os.environ) == before
from aiobs import observer, observe, Instrumentor
Instrumentor().instrument()
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"openai", "rich", "typer", "requests", "httpx", "httpx2"}, loaded
from opentelemetry import trace, metrics
assert "Proxy" in type(trace.get_tracer_provider()).__name__
assert "Proxy" in type(metrics.get_meter_provider()).__name__
assert threading.active_count() == 1
assert dict(os.environ) == before
assert not opened, opened
"""
    done = run(program, "-W", "error")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_all_is_exact() -> None:
    """Every public name is there, loads, and nothing else is public."""
    assert sorted(aiobs.__all__) == aiobs.__all__
    for name in aiobs.__all__:
        assert getattr(aiobs, name) is not None
    assert set(aiobs.__all__) <= set(dir(aiobs))
    with pytest.raises(AttributeError, match="module 'aiobs' has no attribute 'nonsense'"):
        aiobs.nonsense  # noqa: B018  # the access is the test


def test_the_version_is_the_distributions() -> None:
    """S1-27: one place says it."""
    assert aiobs.__version__ == version("aiobs")


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("opentelemetry_pre_instrument", "aiobs"),
        ("opentelemetry_instrumentor", "aiobs_openai"),
        ("opentelemetry_resource_detector", "aiobs_labels"),
        ("opentelemetry_traces_exporter", "aiobs_json"),
        ("pytest11", "aiobs"),
        ("console_scripts", "aiobs"),
    ],
)
def test_entry_points_load(group: str, name: str) -> None:
    """SX-03: entry points only, each of which loads."""
    (point,) = [point for point in entry_points(group=group) if point.name == name]
    assert point.load() is not None


def test_no_public_function_shares_a_name_with_a_submodule() -> None:
    """``from aiobs import observe`` can never give a module."""
    import pkgutil

    assert not {module.name for module in pkgutil.iter_modules(aiobs.__path__)} & set(aiobs.__all__)


def test_the_extras() -> None:
    """Those that have a feature; ``all`` is all of them but Prefect (design note 012) and what developers need."""
    extras = set(metadata.metadata("aiobs").get_all("Provides-Extra") or [])
    assert extras == {
        *("openai", "google-genai", "grpc", "prefect", "media", "threads"),
        *("prometheus", "redaction", "all", "dev"),
    }
    brought: dict[str, set[str]] = {extra: set() for extra in extras}
    for line in metadata.requires("aiobs") or []:
        requirement, _, extra = line.partition("; extra == ")
        if extra:
            brought[extra.strip("'")].add(requirement)
    assert brought["all"] == set().union(*(brought[extra] for extra in extras - {"prefect", "all", "dev"}))


def test_the_extra_prefect() -> None:
    """S0-21: ``aiobs[prefect]`` brings Prefect; without an extra neither Prefect nor marvin comes."""
    required = metadata.requires("aiobs") or []
    base = [line for line in required if "extra ==" not in line]
    assert [line for line in base if line.startswith(("prefect", "marvin"))] == []
    assert [line.split(";")[1].strip() for line in required if line.startswith("prefect")] == ["extra == 'prefect'"]
