"""Agents of any library: who provides the model, and a copy with other settings."""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable
from typing import Any, TypeVar

Agent = TypeVar("Agent")

_OTHERS = {
    "anthropic": "Anthropic", "claude": "Anthropic", "bedrock": "Amazon Bedrock", "aws": "Amazon Bedrock",
    "google": "Google", "gemini": "Google", "vertexai": "Google", "gcp": "Google", "vertex": "Google",
    "cohere": "Cohere", "command": "Cohere", "mistral": "Mistral", "groq": "Groq", "huggingface": "Hugging Face",
}  # fmt: skip
"""How providers, and models without one, are called that do not take what OpenAI takes; all others may."""


def provider_of(agent: Any) -> str | None:
    """Who the agent asks, if that is known not to be OpenAI or anybody who is compatible; else None."""
    model = getattr(agent, "model", None)
    named = (model, getattr(agent, "provider_name", None), getattr(model, "system", None))
    for name in filter(lambda one: isinstance(one, str), named):
        word = str(name).lower().removeprefix("gateway/").partition(":")[0]
        for beginning, provider in _OTHERS.items():
            if word == beginning or word.startswith((f"{beginning}-", f"{beginning}.", f"{beginning}_")):
                return provider
    return None


def with_settings(agent: Agent, change: Callable[[Any], Any]) -> Agent:
    """A copy of the agent, whatever it is made with, that has ``change(model_settings)`` as its settings."""
    settings = change(getattr(agent, "model_settings", None))
    for applies, made in _WAYS:
        if applies(agent):
            try:
                copied: Agent = made(agent, settings)
            except (TypeError, ValueError):  # a constructor that does not take its own fields
                continue
            return copied
    return _plain(agent, settings)


def _takes_its_fields(agent: Any) -> bool:
    """A dataclass with the constructor of one; pydantic-ai's agents have one of their own."""
    parameters = getattr(agent, "__dataclass_params__", None)
    return bool(getattr(parameters, "init", False))


def _evolve(agent: Any, settings: Any) -> Any:
    return sys.modules["attr"].evolve(agent, model_settings=settings)


def _plain(agent: Agent, settings: Any) -> Agent:
    copied = copy.copy(agent)
    object.__setattr__(copied, "model_settings", settings)
    return copied


_WAYS: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], Any]], ...] = (
    (lambda agent: hasattr(agent, "model_copy"), lambda agent, new: agent.model_copy(update={"model_settings": new})),
    (_takes_its_fields, lambda agent, new: dataclasses.replace(agent, model_settings=new)),
    (lambda agent: hasattr(agent, "__attrs_attrs__"), _evolve),
)
