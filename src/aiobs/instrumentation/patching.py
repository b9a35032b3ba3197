"""Wrapping one method of an SDK class, and taking the wrapper off again.

Taking off restores the very object that was there, unless somebody wrapped ours since: theirs stays, and ours under it
does nothing any more. The same goes for bound methods that a program keeps. Where another instrumentation of the same
SDK was there first, ours goes under its wrapper: whichever came first, theirs is around ours, and a call has one span.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import warnings
from collections.abc import Collection, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import wrapt

from aiobs.capture.drivers import (
    call_async,
    call_lazily,
    call_paged,
    call_sync,
    help_async,
    help_lazily,
    help_sync,
)
from aiobs.capture.provider import Drive, Helper, Method, Operation, Provider, Results, Seam, Socket
from aiobs.capture.results import read_async, read_sync
from aiobs.capture.sockets import close, connect, connect_lazily, enter, receive, send
from aiobs.guard import guarded


class Patch:
    """One wrap point. ``state`` is one of waiting (the module is not imported), patched, absent, changed, removed.

    ``changed`` is patched too: the method lacks a parameter that the readers rely on, named in ``missing``.
    """

    def __init__(
        self,
        operation: Operation | Helper | Seam | Results | Socket,
        method: Method,
        drive: Drive,
        rivals: tuple[str, ...] = (),
    ) -> None:
        self.operation = operation
        self._rivals = rivals
        self.method = method
        self._drive = drive
        self.state = "waiting"
        self.missing: tuple[str, ...] = ()
        self.active = False
        self._hooked = False
        self._owner: Any = None
        self._place: tuple[Any, str] = (None, "")  # of our wrapper: the class, or somebody's wrapper around the method
        self._original: Any = None
        self._wrapper: Any = None
        self._deprecation: str | None = None

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
        places = (self._place, (self._owner, self._name))  # theirs may have been taken off since
        found = [place for place in places if self._wrapper is not None and self._is_it(_held(*place))]
        for holder, name in found:
            setattr(holder, name, self._original)
        if found:
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
        if original is None or self.method.instead_of in vars(owner):
            self.state = "absent"
            return
        if not self._is_ours(original):
            self._owner, self._place = owner, _place(owner, self._name, self._rivals)
            self._original = original = _held(*self._place)
            self._deprecation = _deprecation(original)
            self._wrapper = wrapt.FunctionWrapper(original, self._call)
            setattr(*self._place, self._wrapper)
        self.missing = self._missing(original)
        self.state = "changed" if self.missing else "patched"

    def _is_it(self, found: Any) -> bool:
        """Our wrapper, or what OpenTelemetry's ``unwrap()`` makes of it when it takes off one around it."""
        return found is self._wrapper or getattr(found, "_self_parent", None) is self._wrapper

    def _is_ours(self, function: Any) -> bool:
        """Our wrapper is there already, perhaps under somebody else's."""
        while function is not None:
            if self._wrapper is not None and self._is_it(function):
                return True
            function = getattr(function, "__wrapped__", None)
        return False

    def _missing(self, function: Any) -> tuple[str, ...]:
        parameters = _parameters(function)
        return tuple(name for name in self.method.requires if name not in parameters)

    def _call(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._deprecation is not None:
            warnings.warn(self._deprecation, DeprecationWarning, stacklevel=2)
            wrapped = wrapped.__wrapped__.__get__(instance, type(instance))
        try:
            return self._drive(wrapped, instance, args, kwargs) if self.active else wrapped(*args, **kwargs)
        finally:
            del args, kwargs  # the traceback of an error keeps this frame


def _place(owner: Any, name: str, rivals: tuple[str, ...]) -> tuple[Any, str]:
    """The class and the method, or the innermost wrapper that another instrumentation has around it."""
    place = owner, name
    while _is_of(rivals, found := _held(*place)):
        place = found, "__wrapped__"
    return place


def _is_of(rivals: tuple[str, ...], found: Any) -> bool:
    if not isinstance(found, wrapt.FunctionWrapper):
        return False
    return str(getattr(found._self_wrapper, "__module__", "")).startswith(rivals)


def _held(holder: Any, name: str) -> Any:
    """What is there, unbound."""
    return vars(holder).get(name) if isinstance(holder, type) else getattr(holder, name, None)


def _parameters(function: Any) -> Collection[str]:
    """The names of its parameters; of a plain function without ``inspect.signature``, which takes far longer."""
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    if code is None or hasattr(plain, "__signature__"):
        return inspect.signature(function).parameters
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names


def _deprecation(function: Any) -> str | None:
    """What calling a deprecated method warns of, if it is one by ``typing_extensions.deprecated``.

    That warns in the name of whoever called it, which would be us: it would be shown with our file and line, and by
    default not at all, as Python shows such warnings to the program's own main module. So we warn in its place.
    """
    message = getattr(function, "__deprecated__", None)
    return message if isinstance(message, str) and hasattr(function, "__wrapped__") else None


def patches_of(provider: Provider) -> tuple[Patch, ...]:
    """Every wrap point of a provider: its operations, its helpers, its sockets, its seams, what reads results."""
    return (
        *(
            Patch(what, method, _recorder(provider, what, method), provider.rivals)
            for what in provider.operations
            for method in what.methods
        ),
        *(
            Patch(what, method, _helper(provider, what, method), provider.rivals)
            for what in provider.helpers
            for method in what.methods
        ),
        *(
            Patch(socket, method, drive)
            for socket in provider.sockets
            for method, drive in _on_socket(provider, socket)
        ),
        *(Patch(seam, method, seam.drive) for seam in provider.seams for method in seam.methods),
        *(Patch(what, method, _reader(provider, what, method)) for what in provider.results for method in what.methods),
    )


def patches_beneath(provider: Provider) -> tuple[Patch, ...]:
    """What is wrapped of other instrumentations."""
    return tuple(Patch(seam, method, seam.drive) for seam in provider.beneath for method in seam.methods)


def _recorder(provider: Provider, operation: Operation, method: Method) -> Drive:
    if method.is_async:
        return partial(call_paged if method.is_paged else call_async, provider, operation)
    return partial(call_lazily if method.is_lazy else call_sync, provider, operation)


def _helper(provider: Provider, helper: Helper, method: Method) -> Drive:
    if method.is_lazy:
        return partial(help_lazily, provider, helper)
    return partial(help_async if method.is_async else help_sync, provider, helper)


def _reader(provider: Provider, results: Results, method: Method) -> Drive:
    return partial(read_async if method.is_async else read_sync, provider, results)


def _on_socket(provider: Provider, socket: Socket) -> Iterator[tuple[Method, Drive]]:
    """The methods of a connection, each with what runs in its place."""
    for method in socket.connects:
        yield method, partial(connect_lazily if method.is_lazy else connect, provider, socket)
    for methods, drives in (
        (socket.enters, enter),
        (socket.sends, send),
        (socket.receives, receive),
        (socket.closes, close),
    ):
        yield from ((method, drives[method.is_async]) for method in methods)


def is_installed(provider: Provider) -> bool:
    """The SDK can be imported; it is not imported for that."""
    try:
        return all(importlib.util.find_spec(package) is not None for package in provider.packages)
    except (ImportError, ValueError):
        return False
