"""What the provider does in the contract's programs."""

from __future__ import annotations

from collections.abc import Callable

from aiobs.testing import Answer, Fault, Simulator
from tests.contract.drivers import NEEDLE, SAID, Driver

Script = Callable[[Simulator, Driver], None]


def answered(simulator: Simulator, driver: Driver) -> None:
    """The provider answers."""
    simulator.reply(SAID, usage=driver.of.usage)


def refused(status: int) -> Script:
    """The provider says no, and quotes the prompt."""

    def script(simulator: Simulator, driver: Driver) -> None:
        simulator.fail(status, code=driver.of.sdk.codes[status], message=f"You said {NEEDLE}")

    return script


def malformed(simulator: Simulator, driver: Driver) -> None:
    """The body, or the second chunk, is no JSON."""
    simulator.fault(malformed=True)


def cut(simulator: Simulator, driver: Driver) -> None:
    """The connection is cut after one chunk, or in the middle of the body."""
    simulator.next(Answer(SAID, fault=Fault(cut_after=1 if driver.streams else 0)))


def hung_up(simulator: Simulator, driver: Driver) -> None:
    """The connection closes without an answer."""
    simulator.fault(hang_up=True)


SCRIPTS: dict[str, Script] = {
    "answered": answered,
    "400": refused(400),
    "429": refused(429),
    "500": refused(500),
    "malformed": malformed,
    "cut": cut,
    "hung-up": hung_up,
}
