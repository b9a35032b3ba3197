"""Every driver: sync and async, whole and streamed, of each operation in ``operations``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

import pytest

from tests.contract import operations
from tests.contract.operation import NEEDLE, PROMPT, SAID, Driver, Operation
from tests.versions import needs

__all__ = [
    "DRIVERS",
    "NEEDLE",
    "OPERATIONS",
    "PROMPT",
    "SAID",
    "STREAMS",
    "WHOLE",
    "Driver",
    "Operation",
    "parametrize",
]

_MODULES = sorted(module.name for module in pkgutil.iter_modules(operations.__path__))
OPERATIONS: tuple[Operation, ...] = tuple(
    operation for name in _MODULES for operation in importlib.import_module(f"{operations.__name__}.{name}").OPERATIONS
)

DRIVERS = tuple(
    Driver(operation, is_async, streams)
    for operation in OPERATIONS
    for is_async in (False, True)
    for streams in ((False, True) if operation.streamed else (False,))
)
WHOLE = tuple(driver for driver in DRIVERS if not driver.streams)
STREAMS = tuple(driver for driver in DRIVERS if driver.streams)


def _errors(driver: Driver, refused: bool) -> Sequence[str]:
    unread = refused and driver.is_async and driver.streams and driver.of.sdk.name == "gemini"
    return [*(driver.of.refusals if refused else ()), *(["gemini errors of async streams"] if unread else [])]


def parametrize(drivers: Sequence[Driver], *, refused: bool = False) -> pytest.MarkDecorator:
    """A test of each driver, skipped where the installed SDK lacks the operation, or cannot read a refusal of it."""
    params = [pytest.param(driver, marks=needs(*driver.of.features, *_errors(driver, refused))) for driver in drivers]
    return pytest.mark.parametrize("driver", params, ids=str)
