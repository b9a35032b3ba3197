"""Wrapping one method of an SDK class, and taking the wrapper off again.

Taking off restores the very object that was there, unless somebody wrapped ours since: theirs stays, and ours under it
does nothing any more. The same goes for bound methods that a program keeps.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from types import ModuleType
from typing import Any

import wrapt

from aiobs.capture.drivers import call_async, call_sync
from aiobs.capture.provider import Method, Operation, Provider
from aiobs.guard import guarded


class Patch:
    """One wrap point. ``state`` is one of waiting (the module is not imported), patched, absent, changed, removed.

    ``changed`` is patched too: the method lacks a parameter that the readers rely on.
    """

    def __init__(self, provider: Provider, operation: Operation, method: Method) -> None:
        self.provider = provider
        self.operation = operation
        self.method = method
        self.state = "waiting"
        self.active = False
        self._hooked = False
        self._owner: Any = None
        self._original: Any = None
        self._wrapper: Any = None

    def put_on(self) -> None:
        """Wrap the method, now or when its module is imported."""
        self.active = True
        module = sys.modules.get(self.method.module)
        if module is not None:
            guarded(self._wrap, module)
        elif not self._hooked:
            self._hooked = True  # hooks cannot be taken back, so there is one for good
            wrapt.register_post_import_hook(self._on_import, self.method.module)

    def take_off(self) -> None:
        """Restore the method; where that is not possible the wrapper stays as an inert part of somebody's chain."""
        self.active = False
        if self._wrapper is not None and vars(self._owner).get(self._name) is self._wrapper:
            setattr(self._owner, self._name, self._original)
            self._wrapper = None
        self.state = "removed" if self._owner is not None else "waiting"

    @property
    def _name(self) -> str:
        return self.method.qualname.rpartition(".")[2]

    def _on_import(self, module: ModuleType) -> None:
        """Inside the user's import statement: a failure here must not break it."""
        if self.active:
            guarded(self._wrap, module)

    def _wrap(self, module: ModuleType) -> None:
        owner: Any = module
        for part in self.method.qualname.split(".")[:-1]:
            owner = getattr(owner, part, None)
        original = vars(owner).get(self._name) if owner is not None else None
        if original is None:
            self.state = "absent"
            return
        if not self._is_ours(original):
            self._owner, self._original = owner, original
            self._wrapper = wrapt.FunctionWrapper(original, self._call)
            setattr(owner, self._name, self._wrapper)
        self.state = "patched" if self._fits(original) else "changed"

    def _is_ours(self, function: Any) -> bool:
        """Our wrapper is there already, perhaps under somebody else's."""
        while function is not None:
            if function is self._wrapper:
                return True
            function = getattr(function, "__wrapped__", None)
        return False

    def _fits(self, function: Any) -> bool:
        parameters = inspect.signature(function).parameters
        return all(name in parameters for name in self.method.requires)

    def _call(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self.active:
            return wrapped(*args, **kwargs)
        drive = call_async if self.method.is_async else call_sync
        return drive(self.provider, self.operation, wrapped, instance, args, kwargs)


def is_installed(provider: Provider) -> bool:
    """The SDK can be imported; it is not imported for that."""
    try:
        return all(importlib.util.find_spec(package) is not None for package in provider.packages)
    except (ImportError, ValueError):
        return False
