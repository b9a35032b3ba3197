"""When an operation is recorded, and what it means when it is not."""

from __future__ import annotations

import pytest

from aiobs.diagnosis.providers import OperationState, ProviderState, WrapPoint, check_providers, inspect_providers
from aiobs.instrumentation import wrap_points


def operation(*points: str, kind: str = "Operation") -> OperationState:
    """``"C.create patched"``; a class that begins with Async is asynchronous."""
    named = (point.split(" ", 1) for point in points)
    found = tuple(WrapPoint(f"module:{name}", name.startswith("Async"), state) for name, state in named)
    return OperationState("chat.create", kind, found)


def findings(*operations: OperationState) -> list[tuple[str, str, str]]:
    state = ProviderState("sdk", "sdk", True, "2.0", ">=1.40", None, operations)
    return [(finding.level.value, finding.code, finding.means) for finding in check_providers([state])]


RECORDED = operation("C.create patched", "AsyncC.create patched")


@pytest.mark.parametrize(
    ("points", "summary"),
    [
        (("C.create patched", "AsyncC.create patched"), "2 of 2 wrap points"),
        (("C.create patched", "C.parse absent"), "1 of 2 wrap points (1 belongs to other versions)"),
        (("C.create absent", "C.create patched", "C.parse no module"),
         "1 of 3 wrap points (2 belong to other versions)"),
        (("C.create patched", "AsyncC.create absent", "AsyncC.parse patched"),
         "not recorded: AsyncC.create not found"),
        (("C.create absent", "AsyncC.create absent", "C.parse patched"),
         "not recorded: C.create, AsyncC.create not found"),
        (("C.create no module", "AsyncC.create no module"), "not in this version"),
    ],
)  # fmt: skip
def test_one_line_per_operation(points: tuple[str, ...], summary: str) -> None:
    """Promise 6: old and new spellings are no problem while the main method is wrapped, sync and async."""
    assert operation(*points).summary == summary


def test_what_is_lost() -> None:
    """Requests, the span around several of them, or a detail."""
    half = ("C.create patched", "AsyncC.create absent")
    assert findings(operation(*half)) == [
        ("warning", "operation-missing", "Calls of chat.create through it are not recorded.")
    ]
    assert findings(RECORDED, operation(*half, kind="Helper")) == [
        ("warning", "operation-missing", "The requests that chat.create makes are recorded without a span around them.")
    ]
    assert findings(RECORDED, operation(*half, kind="Seam")) == [
        ("note", "operation-missing", "Spans lack a detail: chat.create.")
    ]


def test_any_spelling_of_a_seam_will_do() -> None:
    """Its functions are alternatives; none of them is the main one."""
    assert findings(RECORDED, operation("C.old absent", "C.new patched", kind="Seam")) == []


def test_an_operation_that_this_version_has_not() -> None:
    """An older SDK is not broken because it can do less."""
    absent = operation("C.create no module", "AsyncC.create no module")
    assert findings(RECORDED, absent) == [("note", "operation-absent", "There is nothing to record.")]


def test_only_seams_are_not_enough() -> None:
    """Nothing of it is recorded."""
    seam = operation("C.create patched", kind="Seam")
    assert findings(seam) == [("error", "not-patched", "Its calls are not recorded.")]


def test_the_process_is_left_as_it_was() -> None:
    """What was not wrapped before is not afterwards; every method of every table was looked at."""
    before = [(patch.active, patch.state == "patched") for _, patches in wrap_points() for patch in patches]
    found = inspect_providers()
    assert [(patch.active, patch.state == "patched") for _, patches in wrap_points() for patch in patches] == before
    points = [point for state in found for operation in state.operations for point in operation.points]
    installed = {state.name for state in found if state.installed}
    assert len(points) == sum(len(patches) for provider, patches in wrap_points() if provider.name in installed)
    assert {point.state for point in points} <= {"patched", "absent", "no module"}


def test_every_installed_sdk_is_recorded_in_full() -> None:
    """Promise 6, with the SDKs that these tests run with."""
    assert [finding for finding in check_providers(inspect_providers()) if finding.level.value != "note"] == []
