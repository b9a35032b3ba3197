"""Every field of every request, answer and error of every operation, and everywhere that it may not be."""

from __future__ import annotations

import pytest

from tests.contract.drivers import DRIVERS, Driver
from tests.needles.exchanges import exchanges
from tests.needles.outputs import Output, Outputs
from tests.needles.rules import leaks
from tests.needles.running import run

GATES = (None, "no_content", "span_only", "event_only", "span_and_event")

pytestmark = [
    pytest.mark.nonconforming("servers say, and programs pass, what no registry has a word for"),
    pytest.mark.timeout(120),
]


@pytest.mark.parametrize("capture", GATES)
@pytest.mark.parametrize("driver", DRIVERS, ids=str)
def test_needles(
    driver: Driver, capture: str | None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Content is behind the gate, credentials are nowhere, plain values are in the attribute that is for them."""
    with Outputs(capture, monkeypatch) as outputs:
        run(driver, exchanges(driver), outputs)
        outputs.extra.append(Output("stderr", "", "".join(capfd.readouterr())))
        found = leaks(outputs.collect(), capture)
    assert not found, "\n".join(map(str, found))
