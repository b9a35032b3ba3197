"""Parts of decisions, whatever the provider: what is asked of an input, and what was found."""

from __future__ import annotations

from typing import Any, cast

from aiobs.call import Part


def question_part(kind: Any, name: Any, instructions: list[Part], options: dict[str, Any]) -> Part:
    """A question: its kind, its name if the program gave one, and what can be answered; None is no option."""
    given = {key: value for key, value in options.items() if value is not None}
    return cast("Part", {"type": "question", "kind": kind, "name": name, "instructions": instructions, **given})


def answer_part(fields: dict[str, Any], **more: Any) -> Part:
    """An answer, from its fields as plain data."""
    rest = {key: value for key, value in fields.items() if key != "type"}
    return cast("Part", {"type": "answer", "kind": fields.get("type"), **more, **rest})
