"""What is known of a function before it is called: its names, where it is, what of its arguments is told.

A mistake in what is asked for raises here, at decoration.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aiobs.call import Callsite
from aiobs.capture.function import Target
from aiobs.capture.reduce import CapturePolicy, checked_policy, is_secret
from aiobs.errors import ConfigurationError
from aiobs.guard import guarded
from aiobs.semconv import names
from aiobs.semconv.serialise import clean_text

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


TYPES = ("span", "generation", "embedding", "agent", "tool", "chain", "retriever", "evaluator", "guardrail")
"""What ``as_type`` may say."""


@dataclass(frozen=True, slots=True)
class Options:
    """What ``observe(...)`` was given, checked."""

    name: str | None = None
    capture: CapturePolicy | None = None
    capture_args: bool = True
    excluded: frozenset[str] = frozenset()
    capture_result: bool = True
    capture_instance: bool = False
    called_from: bool = False
    enh_prompt: bool = False
    auto_enhance_after: int | None = None
    as_type: str | None = None
    transform: Callable[[list[Any]], str] | None = None

    def named(self, name: str | None) -> Options:
        """The same under another name."""
        return replace(self, name=name)


def checked_options(
    *,
    capture: Any,
    capture_args: bool | Mapping[str, Any],
    capture_result: bool,
    auto_enhance_after: Any,
    as_type: Any,
    capture_input: Any,
    capture_output: Any,
    transform_to_string: Any,
    **others: Any,
) -> Options:
    """The options; raises ConfigurationError, which says what to give instead."""
    capture_args = _one_of("capture_args", capture_args, "capture_input", capture_input)
    capture_result = bool(_one_of("capture_result", capture_result, "capture_output", capture_output))
    if as_type not in (None, *TYPES):
        raise ConfigurationError(f"as_type={as_type!r} must be one of {', '.join(TYPES)}.")
    if transform_to_string is not None and not callable(transform_to_string):
        raise ConfigurationError(f"transform_to_string={transform_to_string!r} must be a function of a list.")
    if auto_enhance_after is not None and (type(auto_enhance_after) is not int or auto_enhance_after < 1):
        raise ConfigurationError(f"auto_enhance_after={auto_enhance_after!r} must be a whole number of 1 or more.")
    excluded = frozenset[str]() if isinstance(capture_args, bool) else _excluded(capture_args)
    return Options(
        capture=checked_policy(capture),
        capture_args=bool(excluded) or bool(capture_args),
        excluded=excluded,
        capture_result=capture_result,
        auto_enhance_after=auto_enhance_after,
        as_type=as_type,
        transform=transform_to_string,
        **others,
    )


def _one_of(name: str, value: Any, alias: str, given: Any) -> Any:
    """An option that has two names, of which a program may use either; what is not said is True."""
    if given is None or value is given:
        return value
    if value is True:
        return given
    raise ConfigurationError(f"{name}={value!r} and {alias}={given!r} are the same option; give one of them.")


def _excluded(given: Any) -> frozenset[str]:
    names = given.get("exclude") if isinstance(given, Mapping) and set(given) == {"exclude"} else None
    if isinstance(names, (list, tuple, set, frozenset)) and all(isinstance(name, str) for name in names):
        return frozenset(names)
    raise ConfigurationError(
        f'capture_args={given!r} must be True, False, or {{"exclude": [...]}} with the names of parameters.'
    )


def function_target(function: Callable[..., Any], options: Options, *, is_static: bool = False) -> Target:
    """The target of a function, a method, a partial, or of anything else that can be called."""
    if not callable(function):
        raise ConfigurationError(_not_callable(function))
    plain = _innermost(function)
    code = getattr(plain, "__code__", None) or getattr(vars(type(plain)).get("__call__"), "__code__", None)
    qualname = str(getattr(plain, "__qualname__", type(plain).__qualname__))
    module = getattr(plain, "__module__", None)
    parameters = [*(guarded(_parameters, function) or ())]
    is_method = not is_static and _is_method(qualname, parameters)
    target = Target(
        name=clean_text(str(options.name or getattr(plain, "__name__", qualname))),
        api=f"{module}.{qualname}",
        module=module,
        callsite=Callsite(code.co_filename, code.co_firstlineno, qualname) if code else None,
        attributes={names.OBSERVATION_TYPE: options.as_type} if options.as_type else {},
        is_method=is_method,
        policy=options.capture,
        capture_args=options.capture_args,
        capture_result=options.capture_result,
        capture_instance=options.capture_instance,
        called_from=options.called_from,
        enh_prompt=options.enh_prompt,
        auto_enhance_after=options.auto_enhance_after,
        transform=options.transform,
    )
    return _with_hidden(target, parameters[1:] if is_method else parameters, options.excluded)


def _not_callable(given: Any) -> str:
    if isinstance(given, str):
        return f"observe({given!r}) is no function; the name of the span is given as observe(name={given!r})."
    if isinstance(given, property):
        return "A property cannot be observed from outside; put @observe below @property."
    return f"observe() takes something that can be called, not {type(given).__name__}."


def _innermost(function: Any) -> Any:
    """What is wrapped or bound by partials and decorators."""
    plain = inspect.unwrap(function)
    while isinstance(plain, partial):
        plain = inspect.unwrap(plain.func)
    return plain


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return [*inspect.signature(function).parameters.values()]


def _is_method(qualname: str, parameters: list[inspect.Parameter]) -> bool:
    """Defined in a class, and its first parameter says so (a bound method has it no more)."""
    scope = qualname.rpartition(".")[0]
    first = parameters[0].name if parameters else ""
    return bool(scope) and not scope.endswith("<locals>") and first in ("self", "cls")


def _with_hidden(target: Target, parameters: list[inspect.Parameter], excluded: frozenset[str]) -> Target:
    """The target with what is redacted: what was excluded, and what is named like a secret."""
    kinds = {parameter.name: parameter.kind for parameter in parameters}
    takes_any = inspect.Parameter.VAR_KEYWORD in kinds.values() or not parameters
    if unknown := sorted(excluded - set(kinds)) if not takes_any else []:
        raise ConfigurationError(f"{target.api} has no parameter {unknown[0]!r} to exclude; it has {', '.join(kinds)}.")
    positional = [name for name, kind in kinds.items() if kind in _POSITIONAL]
    is_hidden = [name in excluded or is_secret(name) for name in positional]
    rest = [name for name, kind in kinds.items() if kind is inspect.Parameter.VAR_POSITIONAL]
    others = [name for name, kind in kinds.items() if kind is inspect.Parameter.VAR_KEYWORD]
    return replace(
        target,
        hides=bool(excluded) or any(is_hidden) or any(map(is_secret, rest)),
        hidden=frozenset(position for position, hides in enumerate(is_hidden) if hides),
        hidden_from=len(positional) if excluded & {*rest} or any(map(is_secret, rest)) else sys.maxsize,
        excluded=excluded,
        keywords=frozenset(kinds) if excluded & {*others} else None,
    )
