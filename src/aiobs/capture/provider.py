"""The contract between ``capture`` and a provider: tables of operations, methods and pure readers.

Readers never touch anything that can be read only once, never change what they read, and need not be total: each runs
as its own step of the guard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from operator import methodcaller
from typing import Any

from aiobs.call import Call, Choice, Failure, Job, Prompt, Request, Response, Result, Server
from aiobs.capture.callsite import OWN


class Shape(Enum):
    """What an SDK method returned, as far as watching it goes."""

    VALUE = "value"  # the answer
    STREAM = "stream"  # an SDK stream object around `_iterator` and `response`
    ITERATOR = "iterator"  # bare chunks, which the SDK itself reads on behalf of the program
    RAW = "raw"  # a response whose body was read; `parse()` is lazy
    STREAMING = "streaming"  # a response whose body the program has yet to read


@dataclass(frozen=True)
class Method:
    """One method to wrap. ``module`` is imported by the program, never by us; ``qualname`` is ``Class.method``, or the
    name of a function.

    ``is_lazy``: a generator function, or a coroutine function that gives an async generator: the method does nothing
    before that is read. ``requires`` are the parameters the readers rely on: a method without them is reported as
    changed. ``is_new``: older releases have the class without it, which is nothing to warn of.
    """

    module: str
    qualname: str
    is_async: bool = False
    is_lazy: bool = False
    requires: tuple[str, ...] = ()
    is_new: bool = False


Drive = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""What runs in a method's place: the method (bound), its instance, the arguments."""


@dataclass(frozen=True)
class Seam:
    """Functions that the SDK calls on the way, where more can be learned than from its public methods.

    ``drive`` runs in their place. A seam that is absent costs the detail named ``api``, never a call.
    """

    name: str
    api: str
    methods: tuple[Method, ...]
    drive: Drive


def no_prompt(kwargs: dict[str, Any]) -> Prompt:
    """``read_prompt`` of an operation whose request is no content, or none that the conventions have a place for."""
    return Prompt([])


def no_choices(result: Any) -> dict[int, Choice]:
    """``read_choices`` of an operation whose answer is nothing that a model says."""
    return {}


def no_chunks(response: Response, chunk: Any) -> None:
    """``fold_chunk`` of an operation that is not streamed."""


@dataclass(frozen=True)
class Operation:
    """One operation of a provider: its methods and how to read them.

    ``read_request`` and ``read_response`` are cheap and see no content; ``read_prompt`` and ``read_choices`` turn
    content into its neutral shape and run only when some output wants it. ``fold_chunk`` adds one streamed chunk.
    ``settle`` works out, once a stream has ended, what is too dear to work out for each chunk.
    ``session_request`` and ``session_response`` are the shapes of the session file; without them it gets the arguments
    and what every answer has. ``positional`` are the parameters that may be passed by position, in order.
    ``named_after`` finds what the span is named after where that is not the model. ``has_jobs``: an answer can say that
    the work goes on (``Response.job``), or a request ask how far it is (``Request.job``). ``instead`` gives the
    operation that a call is by its arguments, where one method does several things; None: this one. ``read_results``
    finds what the requests of a batch came to in the answer that says that it is done.
    """

    name: str
    api: str
    methods: tuple[Method, ...]
    read_request: Callable[[dict[str, Any]], Request]
    read_response: Callable[[Any], Response]
    read_prompt: Callable[[dict[str, Any]], Prompt] = no_prompt
    read_choices: Callable[[Any], dict[int, Choice]] = no_choices
    fold_chunk: Callable[[Response, Any], None] = no_chunks
    session_request: Callable[[Call], dict[str, Any]] | None = None
    session_response: Callable[[Call], dict[str, Any] | None] | None = None
    settle: Callable[[Response], None] | None = None
    positional: tuple[str, ...] = ()
    named_after: Callable[[dict[str, Any]], Any] | None = None
    has_jobs: bool = False
    instead: Callable[[dict[str, Any]], Operation | None] | None = None
    read_results: Callable[[Any], list[Result]] | None = None

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name, however they were passed."""
        return {**dict(zip(self.positional, args, strict=False)), **kwargs} if args else kwargs


@dataclass(frozen=True)
class Helper:
    """Methods of an SDK that make several requests; one INTERNAL span named ``name`` goes around them.

    ``model_of`` (instance, arguments) gives the model, or the empty string if it is not known, where the call will make
    several requests, and None where it looks like one. ``may_continue`` (of the keyword arguments): an answer can yet
    say (``Response.continues``) that another request follows.
    """

    name: str
    api: str
    methods: tuple[Method, ...]
    model_of: Callable[[Any, tuple[Any, ...], dict[str, Any]], str | None]
    may_continue: Callable[[dict[str, Any]], bool] | None = None


@dataclass(frozen=True)
class Results:
    """Methods that hand a program a file in which the results of a batch may be.

    ``file_of`` finds the file's name in the arguments, ``body_of`` its bytes in what the method returned (None: the
    SDK has not read them). ``read_line`` reads one line of the file of a job: None, or an exception, for one that is no
    result.
    """

    name: str
    api: str
    methods: tuple[Method, ...]
    file_of: Callable[[tuple[Any, ...], dict[str, Any]], str | None]
    body_of: Callable[[Any], bytes | None]
    read_line: Callable[[bytes, Job], Result | None]


@dataclass(frozen=True)
class Provider:
    """One SDK.

    ``name`` is what the session file calls it; ``packages`` are the names it is imported by. ``answer_of`` finds the
    answer in an exception that was raised after one had come (a length limit while parsing), or None. ``secrets_of``
    gives the credentials of a client and of a request's arguments, so that they can be scrubbed from what servers echo.
    ``model_of`` finds the model in the arguments, for the name of the span.
    """

    name: str
    distribution: str
    packages: tuple[str, ...]
    operations: tuple[Operation, ...]
    client_of: Callable[[Any], object]
    server_of: Callable[[Any], Server]
    shape_of: Callable[[Any], Shape]
    failure_of: Callable[[Exception], Failure]
    answer_of: Callable[[BaseException], Any]
    secrets_of: Callable[[Any, dict[str, Any]], tuple[str, ...]]
    model_of: Callable[[dict[str, Any]], Any] = methodcaller("get", "model")
    helpers: tuple[Helper, ...] = ()
    seams: tuple[Seam, ...] = ()
    results: tuple[Results, ...] = ()

    def secrets(self, client: Any, kwargs: dict[str, Any]) -> tuple[str, ...]:
        """The credentials of a client and a request; raises rather than leaving one out."""
        found = self.secrets_of(client, kwargs)
        if not isinstance(found, tuple):
            raise TypeError(f"secrets_of() gave a {type(found).__name__}")
        return found

    @cached_property
    def own_packages(self) -> tuple[str, ...]:
        """Packages whose frames are not the program's."""
        return (*OWN, *self.packages)
