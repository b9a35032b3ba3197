"""Which hook puts metadata into requests: one at most, in front of the program's hooks."""

from __future__ import annotations

from aiobs.ambient.openai_metadata import OpenAIMetadata
from aiobs.capture import telemetry
from aiobs.capture.telemetry import Hook
from aiobs.settings import resolve, resolve_with_source


def chosen_hooks(given: tuple[Hook, ...] | None, openai_metadata: bool | str | None) -> tuple[Hook, ...]:
    """The hooks from now on: those given, else those that there are, and the one of metadata as it is wanted.

    ``openai_metadata`` None: as the environment says, else as it was.
    """
    there = telemetry.current().hooks
    metadata = tuple(hook for hook in there if isinstance(hook, OpenAIMetadata))
    others = given if given is not None else tuple(hook for hook in there if hook not in metadata)
    wanted, source = resolve_with_source("openai_metadata", openai_metadata)
    if source != "default":
        metadata = (OpenAIMetadata(adds=True, strict=wanted == "strict"),) if wanted else ()
    return (*metadata, *others)


def heed_marked() -> None:
    """Requests that ``aiobs.compat.marvin.openai`` has marked get their metadata when the call is made."""
    current = telemetry.current()
    if not any(isinstance(hook, OpenAIMetadata) for hook in current.hooks):
        telemetry.update(hooks=(OpenAIMetadata(adds=False, strict=is_strict()), *current.hooks))


def is_strict() -> bool:
    """What does not fit raises, as whoever instrumented or the environment says."""
    hooks = [hook for hook in telemetry.current().hooks if isinstance(hook, OpenAIMetadata)]
    return hooks[0].strict if hooks else resolve("openai_metadata") == "strict"
