"""The wrap points that each release of the matrix has not; what a release has is what is left of the table.

They lie in ``absent.json``, by distribution and release: ``absent`` are ``module:qualname``, ``unrecorded`` is what
``aiobs doctor`` says in its lines about operations and details that are not there. ``python -m tests.matrix.absent``
writes those of the installed releases anew, to be looked through: the tests compare with the SDK itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiobs.diagnosis.providers import ProviderState, inspect_providers

FILE = Path(__file__).with_name("absent.json")

_TABLE: dict[str, dict[str, Any]] = json.loads(FILE.read_text("utf-8"))
ABSENT: dict[tuple[str, str], frozenset[str]] = {
    (name, release): frozenset(row["absent"]) for name, rows in _TABLE.items() for release, row in rows.items()
}
UNRECORDED: dict[tuple[str, str], dict[str, str]] = {
    (name, release): row["unrecorded"] for name, rows in _TABLE.items() for release, row in rows.items()
}


def row_of(state: ProviderState) -> dict[str, Any]:
    """What the installed release lacks."""
    points = [point for operation in state.operations for point in operation.points]
    unrecorded = {one.api: one.summary for one in state.operations if one.unrecorded or not one.is_in_this_version}
    return {
        "absent": sorted({point.target for point in points if point.state in ("absent", "no module")}),
        "unrecorded": dict(sorted(unrecorded.items())),
    }


def main() -> None:
    """Write the rows of the installed releases."""
    for state in inspect_providers():
        if state.version is not None:
            _TABLE.setdefault(state.distribution, {})[state.version] = row_of(state)
    FILE.write_text(json.dumps(_TABLE, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
