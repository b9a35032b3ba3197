"""As ``marvin.beta.observability.openai``: the Prefect run in the metadata of requests to OpenAI.

Importing it imports neither marvin nor Prefect nor openai. Without any of this, every span has the run anyway, and
``Instrumentor(openai_metadata=True)`` puts it into the requests of the OpenAI SDK.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aiobs.ambient.current import current_ambient
from aiobs.ambient.openai_metadata import Marked, fit, merged_pairs, run_pairs
from aiobs.ambient.prefect import from_environment, from_memory
from aiobs.capture.request_metadata import heed_marked, is_strict
from aiobs.compat.marvin.agents import provider_of, with_settings
from aiobs.guard import guarded
from aiobs.semconv import names

__all__ = ["get_prefect_context", "observable", "openai_request_kwargs"]

Agent = TypeVar("Agent")
_log = logging.getLogger("aiobs")


def observable(agent: Agent, /, **metadata: Any) -> Agent:
    """A new agent whose requests tell OpenAI which Prefect run they are part of; the one that was given is unchanged.

    Its ``model_settings`` have an ``extra_body`` with ``store`` (True, unless the settings say something else) and the
    ``metadata``: what is there, under the Prefect run, under the keyword arguments, as OpenAI takes it (text, 16 pairs
    of 64 and 512 characters). Where aiobs is instrumented the run is that of each call, not that of this one, and the
    span of the call has the keyword arguments as ``aiobs.metadata.<key>``. Where the settings say that nothing is to
    be stored OpenAI would refuse metadata, and gets none. ``agent``: a dataclass, a pydantic or attrs model, or
    anything that can be copied, with ``model_settings``. One whose model is known not to be OpenAI's is copied and
    left as it is, with a warning.
    """
    provider = provider_of(agent)
    if provider is not None:
        warnings.warn(
            f"observable() is for OpenAI models, and this agent's is of {provider}: its requests get no metadata. "
            "Its spans have the Prefect run without observable().",
            stacklevel=2,
        )
        return with_settings(agent, _copied)
    heed_marked()
    return with_settings(agent, lambda settings: _observed(settings, metadata))


def get_prefect_context() -> dict[str, str]:
    """The Prefect run that is current here, up to eight ``prefect.*`` pairs of text; empty outside of one.

    From memory only: Prefect's API is not asked, and Prefect is not imported. DEBUG of the logger ``aiobs`` says why
    it is empty.
    """
    found = guarded(_run) or {}
    if names.FLOW_RUN_ID not in found:
        _log.debug("aiobs: no Prefect run here: neither Prefect's context nor PREFECT__FLOW_RUN_ID names one.")
        return {}
    return {key: str(value) for key, value in found.items()}


def openai_request_kwargs(**metadata: Any) -> dict[str, Any]:
    """``store`` and, if there is any, ``metadata`` for ``client.chat.completions.create(..., **kwargs)``.

    As for ``observable``: the Prefect run under the keyword arguments, as OpenAI takes it.
    """
    heed_marked()
    sent = _fitting({}, metadata)
    return {"store": True, **({"metadata": Marked(sent, metadata, {})} if sent else {})}


def _run() -> dict[str, Any]:
    """Of this thread and task, else of the span that is current, else what the process was started for."""
    around = run_pairs(current_ambient().attributes)
    return run_pairs({**(from_environment() or {}), **around, **(from_memory() or {})})


def _fitting(before: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, str]:
    return fit(merged_pairs(before, get_prefect_context(), metadata), strict=is_strict())[0]


def _observed(settings: Any, metadata: Mapping[str, Any]) -> Any:
    """The settings of an agent with ``extra_body``; a function that makes settings becomes one that makes these."""
    if callable(settings) and not isinstance(settings, Mapping):
        make: Callable[..., Any] = settings
        return lambda *args, **kwargs: _observed(make(*args, **kwargs), metadata)
    merged: dict[str, Any] = _copied(settings or {})
    body = merged.get("extra_body") or {}
    stores = body.get("store", merged.get("openai_store"))
    before = body.get("metadata") or {}
    if isinstance(body, Marked):  # observable() of an observable agent: what the run was then does not count
        before, metadata = body.before, {**body.said, **metadata}
    sent = _fitting(before, metadata) if stores is not False else before
    added = {"metadata": sent} if sent else {}
    merged["extra_body"] = Marked({**body, "store": stores is not False, **added}, metadata, before)
    return merged


def _copied(value: Any) -> Any:
    """A copy as deep as dicts and lists go; clients and timeouts in it are the same."""
    if type(value) is Marked:
        return Marked({key: _copied(item) for key, item in value.items()}, value.said, value.before)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
