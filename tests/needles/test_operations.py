"""Every field of every request, answer and error of every operation, and everywhere that it may not be."""

from __future__ import annotations

import pytest

from tests.contract.drivers import DRIVERS, Driver
from tests.needles.exchanges import exchanges
from tests.needles.outputs import SETTINGS, Output, Outputs, Setting
from tests.needles.rules import leaks
from tests.needles.running import run

pytestmark = [
    pytest.mark.nonconforming("servers say, and programs pass, what no registry has a word for"),
    pytest.mark.timeout(120),
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("driver", DRIVERS, ids=str)
def test_needles(
    driver: Driver, setting: Setting, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Content is behind the gate, credentials are nowhere, plain values are in the attribute that is for them."""
    with Outputs(setting, monkeypatch) as outputs:
        run(driver, exchanges(driver), outputs)
        outputs.extra.append(Output("stderr", "", "".join(capfd.readouterr())))
        found = leaks(outputs.collect(), setting.capture)
    assert not found, "\n".join(map(str, found))
