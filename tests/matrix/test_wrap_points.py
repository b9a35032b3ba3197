"""What is wrapped of the installed release, and how that is said: never an error, never in silence."""

from __future__ import annotations

import inspect
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from aiobs import Instrumentor
from aiobs.capture.provider import Method, Provider
from aiobs.diagnosis.providers import ProviderState, inspect_providers
from aiobs.diagnosis.versions import installed_version
from aiobs.instrumentation import wrap_points
from aiobs.instrumentation.patching import is_installed
from tests.matrix.absent import ABSENT, UNRECORDED

PROVIDERS = [provider for provider, _ in wrap_points()]
each_sdk = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.distribution)


def is_due(method: Method) -> bool:
    """No other method of its class is wrapped instead."""
    owner = method.qualname.rpartition(".")[0]
    return method.instead_of is None or named(f"{method.module}:{owner}.{method.instead_of}") is None


@pytest.fixture
def release(provider: Provider) -> tuple[str, str]:
    """Distribution and version of the SDK that is here."""
    version = installed_version(provider.distribution)
    if version is None:
        pytest.skip(f"{provider.distribution} is not installed")
    return provider.distribution, version


@pytest.fixture
def state(provider: Provider) -> Iterator[dict[str, Any]]:
    """What ``status()`` says after ``instrument()``, with all modules of the SDK imported."""
    inspect_providers()  # imports them
    instrumentor = Instrumentor([provider.name]).instrument()
    yield instrumentor.status()[provider.name]
    instrumentor.uninstrument()


def methods_of(provider: Provider) -> dict[str, Method]:
    """Every method of a provider's table by its place."""
    rows = (*provider.operations, *provider.helpers, *provider.sockets, *provider.seams, *provider.results)
    return {f"{method.module}:{method.qualname}": method for row in rows for method in row.methods}


def named(place: str) -> Any:
    """What has this name in the installed SDK, as its class or module holds it; None if nothing."""
    module, _, qualname = place.partition(":")
    *owner, name = qualname.split(".")
    try:
        found = pkgutil.resolve_name(f"{module}:{'.'.join(owner)}" if owner else module)
    except (ImportError, AttributeError):
        return None
    return vars(found).get(name)


@each_sdk
def test_absent_points_are_those_of_this_release(provider: Provider, release: tuple[str, str], state: Any) -> None:
    """status() names exactly the methods that this release has not, and instrument() raised nothing."""
    assert release in ABSENT, f"add a row for {release} to tests/matrix/absent.py"
    found = {place for place, said in state["methods"].items() if said != "patched"}
    assert found == set(ABSENT[release])
    assert {state["methods"][place] for place in found} <= {"absent", "waiting"}


@each_sdk
def test_every_method_that_exists_is_patched(provider: Provider, release: tuple[str, str], state: Any) -> None:
    """Looked up in the SDK itself, not in the table of absent ones: what exists is wrapped by us."""
    there = {place for place, row in methods_of(provider).items() if named(place) is not None and is_due(row)}
    assert there == {place for place, said in state["methods"].items() if said == "patched"}
    assert {type(named(place)).__name__ for place in there} == {"FunctionWrapper"}


@each_sdk
def test_something_is_patched(provider: Provider, release: tuple[str, str], state: Any) -> None:
    """Never a silent no-op: requests are recorded, sync and async."""
    assert (state["available"], state["patched"], state["reason"]) == (True, True, "")
    for operation in provider.operations[:1]:
        said = [state["methods"][f"{method.module}:{method.qualname}"] for method in operation.methods[:2]]
        assert said == ["patched", "patched"]


@each_sdk
def test_what_readers_rely_on_is_there(provider: Provider, release: tuple[str, str]) -> None:
    """No method of this release lacks a parameter that its row requires."""
    for place, method in methods_of(provider).items():
        if (function := named(place)) is not None:
            assert set(method.requires) <= set(inspect.signature(function).parameters), place


@pytest.fixture(scope="module")
def doctor() -> subprocess.CompletedProcess[str]:
    """``aiobs doctor --json`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "aiobs", "doctor", "--json"], capture_output=True, text=True, check=False
    )


def told(doctor: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(doctor.stdout)
    return found


def operations_of(doctor: subprocess.CompletedProcess[str], provider: Provider) -> list[dict[str, Any]]:
    (found,) = [one for one in told(doctor)["providers"] if one["name"] == provider.name]
    operations: list[dict[str, Any]] = found["operations"]
    return operations


@each_sdk
def test_doctor_names_the_absent_points(
    provider: Provider, release: tuple[str, str], doctor: subprocess.CompletedProcess[str]
) -> None:
    """Exactly those of the table, and it calls operations and details that are not there by their names."""
    operations = operations_of(doctor, provider)
    points = [point for operation in operations for point in operation["points"]]
    absent = {point["target"] for point in points if point["state"] in ("absent", "no module")}
    assert absent == set(ABSENT[release])
    unrecorded = {one["api"]: one["summary"] for one in operations if not one["recorded"]}
    assert unrecorded == UNRECORDED.get(release, {})


def test_doctor_finds_nothing_broken(doctor: subprocess.CompletedProcess[str]) -> None:
    """docs/doctor.md: an older SDK that can do less is no error, nor a warning: exit code 0, notes at most."""
    assert (doctor.returncode, doctor.stderr) == (0, "")
    found = told(doctor)
    assert found["healthy"] is True
    of_sdks = [
        one for one in found["findings"] if one["code"].startswith(("operation", "provider", "signature", "old"))
    ]
    assert {one["level"] for one in of_sdks} <= {"note"}


def test_an_sdk_that_is_not_here_is_said() -> None:
    """status() and doctor agree on what is installed, and at least one SDK is."""
    states: dict[str, ProviderState] = {one.name: one for one in inspect_providers()}
    said = {name: state["available"] for name, state in Instrumentor().status().items()}
    assert said == {name: one.installed for name, one in states.items()}
    assert said == {provider.name: is_installed(provider) for provider in PROVIDERS}
    assert any(said.values())


def test_each_operation_has_a_main_method() -> None:
    """The first two methods of a provider's first operation are the sync and the async way to a model."""
    first = [provider.operations[0] for provider in PROVIDERS]
    assert [[method.is_async for method in operation.methods[:2]] for operation in first] == [[False, True]] * len(
        first
    )
