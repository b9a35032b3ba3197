"""Every operation of every SDK, whatever the provider does: the program sees what it saw."""

from __future__ import annotations

import pytest

from tests.contract.drivers import DRIVERS, Driver
from tests.contract.programs import to_the_end
from tests.contract.scripts import SCRIPTS, Script
from tests.differential.engine import Bench
from tests.differential.looks import look_at_method
from tests.differential.scene import Scene, both

every_driver = pytest.mark.parametrize("driver", DRIVERS, ids=str)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@every_driver
def test_the_program_sees_what_it_saw(bench: Bench, driver: Driver, script: Script) -> None:
    """Answers, chunks, errors, copies, requests, arguments, warnings, output, logs, tasks, the process.

    breaks-apps #8, #13, #40, #41, #45, #68, #70, #98
    """
    bench.compare(to_the_end(driver), driver, script)


@both
async def introspect(scene: Scene) -> None:
    """What tools ask of a method and of what a call of it gives."""
    method = scene.stage.ask.func  # type: ignore[attr-defined]  # a partial of a bound method
    again = getattr(scene.resource, method.__name__)
    scene.note(look_at_method(method), method == again, hash(method) == hash(again))
    scene.note(look_at_method(getattr(type(scene.resource), method.__name__).__get__(scene.resource)))
    called = scene.stage.ask()
    scene.note(called)
    called.close() if hasattr(called, "close") else None


@every_driver
def test_methods_look_the_same(bench: Bench, driver: Driver) -> None:
    """Signature, names, documentation, source, kind and equality of methods, and what an unawaited call is.

    breaks-apps #43
    """
    bench.compare(introspect, driver)


@both
async def wrongly(scene: Scene) -> None:
    """Calls that no SDK takes."""
    method = scene.stage.ask.func  # type: ignore[attr-defined]  # a partial of a bound method
    for args, kwargs in (
        ((), {}),
        ((), {"nonsense": 1}),
        ((1, 2, 3), {}),
        ((), {**scene.arguments, "nonsense": 1}),
        ((), {"model": None}),
        ((), {"self": 1, **scene.arguments}),
        ((), {"wrapped": 1, "instance": 2, "provider": 3, **scene.arguments}),
    ):
        try:
            result = await scene.wait(method(*args, **kwargs))
            scene.note(await scene.next(result) if hasattr(result, "send") else "no error")
        except Exception as error:
            scene.note(error)


@pytest.mark.nonconforming("one of the requests has no model that could be named")
@every_driver
def test_wrong_arguments_fail_in_the_sdks_words(bench: Bench, driver: Driver) -> None:
    """Missing, unknown and surplus arguments raise what they raise without us.

    breaks-apps #44
    """
    bench.compare(wrongly, driver)
