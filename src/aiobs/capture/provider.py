"""The contract between ``capture`` and a provider: tables of operations, methods and pure readers.

Readers never touch anything that can be read only once, never change what they read, and need not be total: each runs
as its own step of the guard.

The entries of the tables are told apart by identity and never changed. That they are not frozen, and have no equality
and no repr, is because each method that a dataclass gets is compiled when this is imported, and a frozen one sets each
field by a call: for these seven classes and their 400 entries that is 3.4 ms of 38.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from operator import methodcaller
from typing import Any, NamedTuple

from aiobs.call import Call, Choice, Document, Failure, Job, Message, Prompt, Request, Response, Result, Server
from aiobs.capture.callsite import OWN
from aiobs.semconv.credentials import secrets_in


class Shape(Enum):
    """What an SDK method returned, as far as watching it goes."""

    VALUE = "value"  # the answer
    STREAM = "stream"  # an SDK stream object around `_iterator` and `response`
    ITERATOR = "iterator"  # bare chunks, which the SDK itself reads on behalf of the program
    RAW = "raw"  # a response whose body was read; `parse()` is lazy
    STREAMING = "streaming"  # a response whose body the program has yet to read


@dataclass(eq=False, repr=False)
class Method:
    """One method to wrap. ``module`` is imported by the program, never by us; ``qualname`` is ``Class.method``, or the
    name of a function.

    ``is_lazy``: a generator function, or a coroutine function that gives an async generator: the method does nothing
    before that is read. ``is_paged``: an async method that gives an awaitable, which can be iterated too, and makes its
    request then. ``requires`` are the parameters the readers rely on: a method without them is reported as changed.
    ``instead_of``: a method of the same class, which if it exists is the one to wrap.
    """

    module: str
    qualname: str
    is_async: bool = False
    is_lazy: bool = False
    is_paged: bool = False
    requires: tuple[str, ...] = ()
    instead_of: str | None = None


Drive = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""What runs in a method's place: the method (bound), its instance, the arguments."""


@dataclass(eq=False, repr=False)
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


def no_documents(result: Any) -> list[Document]:
    """``read_documents`` of an operation that finds none."""
    return []


def no_answer(http_response: Any) -> Any:
    """``read_body`` of an operation that is answered by JSON."""
    return None


def no_chunks(response: Response, chunk: Any) -> None:
    """``fold_chunk`` of an operation that is not streamed."""


@dataclass(eq=False, repr=False)
class Operation:
    """One operation of a provider: its methods and how to read them.

    ``read_request`` and ``read_response`` are cheap and see no content; ``read_prompt`` and ``read_choices`` turn
    content into its neutral shape and run only when some output wants it. ``fold_chunk`` adds one streamed chunk.
    ``settle`` works out, once a stream has ended, what is too dear to work out for each chunk.
    ``session_request`` and ``session_response`` are the shapes of the session file; without them it gets the arguments
    and what every answer has. ``positional`` are the parameters that may be passed by position, in order.
    ``read_documents`` gives what a search has found. ``read_body`` gives what the readers read of a raw response, the
    body of which has been read and is no JSON object. ``read_recalled`` reads from an answer what it repeats of the
    request that it once answered, in place of ``read_prompt``. ``named_after`` finds what the span is named after where
    that is not the model. ``has_jobs``: an answer can say that the work goes on (``Response.job``), or a request ask
    how far it is (``Request.job``). ``instead`` gives the operation that a call is by its arguments, where one method
    does several things; None: this one. ``read_results`` finds what the requests of a batch came to in the answer that
    says that it is done. ``since``: the first release of the SDK that is known to have it; that an older one has it not
    is no fault.
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
    read_recalled: Callable[[Any], Prompt] | None = None
    read_documents: Callable[[Any], list[Document]] = no_documents
    read_body: Callable[[Any], Any] = no_answer
    since: str | None = None
    instead: Callable[[dict[str, Any]], Operation | None] | None = None
    read_results: Callable[[Any], list[Result]] | None = None

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name, however they were passed."""
        return {**dict(zip(self.positional, args, strict=False)), **kwargs} if args else kwargs


@dataclass(eq=False, repr=False)
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


class Step(Enum):
    """What an event does to a response of its session, or to the session itself."""

    ASKED = "asked"  # sent: a response is wanted
    CREATED = "created"  # a response begins; nothing of it is here yet
    SPEAKS = "speaks"  # a piece of a response, which begins with it if none is open
    GOES_ON = "goes on"  # a piece of a response that is open
    ENDS = "ends"  # a response came to its end
    INTERRUPTED = "interrupted"  # an open response was interrupted; that it ends is said later
    BREAKS_OFF = "breaks off"  # a response was interrupted, and ends by that
    FAILS = "fails"  # an error that ends a response
    WHOLE = "whole"  # something of another kind was answered, all of it by this event
    TROUBLE = "trouble"  # an error, perhaps about a response that was asked for
    SESSION = "session"  # about the session as a whole


class Sign(NamedTuple):
    """What one event, sent or received, tells of its session.

    ``key`` tells responses apart that are open at a time; ``chunk`` is what ``fold_chunk`` gets, the event itself if it
    is None. ``asked``: the parameters of a response that is wanted; without them what was sent asks for one only where
    none is open. ``settings``: what holds for the session from now on.
    Input for the next response: ``messages``; ``sound``, a piece of it (mime type, bytes or base64), which is called
    ``item`` later on and has a ``transcript``; ``clears``: the sound so far is thrown away.
    """

    step: Step | None = None
    key: str | None = None
    chunk: Any = None
    asked: Any = None
    settings: Mapping[str, Any] | None = None
    messages: tuple[Message, ...] = ()
    sound: tuple[str | None, str | bytes] | None = None
    item: str | None = None
    transcript: str | None = None
    clears: bool = False


NOTHING = Sign()
"""What most events tell."""


class Ending(Enum):
    """What an exception from a connection says about it."""

    CLOSED = "closed"
    BROKEN = "broken"


@dataclass(eq=False, repr=False)
class Socket:
    """A connection that stays open, over which requests and answers pass as events.

    ``session`` is the operation of all of it, ``response`` that of each answer in it, ``whole`` that of those that come
    in one event and that no event asks for; it reads them as answers. Their readers get the arguments
    of ``connects`` and ``settings`` (of the session, the newest); those of an answer also ``model``, ``asked``,
    ``inputs`` (an ``Inputs``) and ``conversation``. The session's ``fold_chunk`` gets the connection first, then every
    event about the session. ``connects`` give a manager, whose ``enters`` dial; ``is_lazy`` ones give an async context
    manager of the standard library, which dials when it is entered. ``read_sent`` (name of the method, arguments,
    whether content is wanted) and ``read_received`` (event, the same) say what an event tells; ``read_ending`` what an
    exception does. ``initial`` gives the session's settings as ``connects`` got them. ``attached_to``: it is a further
    connection to the session of that id, which counts nothing that another one of this process counts. ``since`` as of
    an ``Operation``.
    """

    api: str
    connects: tuple[Method, ...]
    sends: tuple[Method, ...]
    receives: tuple[Method, ...]
    closes: tuple[Method, ...]
    session: Operation
    response: Operation
    read_sent: Callable[[str, tuple[Any, ...], dict[str, Any], bool], Sign]
    read_received: Callable[[Any, bool], Sign]
    read_ending: Callable[[BaseException], Ending | None]
    enters: tuple[Method, ...] = ()
    initial: Callable[[dict[str, Any]], dict[str, Any]] = dict
    whole: Operation | None = None
    attached_to: Callable[[dict[str, Any]], str | None] | None = None
    since: str | None = None

    @property
    def methods(self) -> tuple[Method, ...]:
        """All of them, the one that connects first."""
        return (*self.connects, *self.enters, *self.sends, *self.receives, *self.closes)


@dataclass(eq=False, repr=False)
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


@dataclass(eq=False, repr=False)
class Provider:
    """One SDK.

    ``name`` is what the session file calls it; ``packages`` are the names it is imported by. ``answer_of`` finds the
    answer in an exception that was raised after one had come (a length limit while parsing), or None. ``secrets_of``
    gives the credentials of a client, so that they can be scrubbed from what servers echo; those of a request are found
    by the names of its fields.
    ``model_of`` finds the model in the arguments, for the name of the span. ``request_id_header`` is the header that
    tells the provider's id of a request, if one does. ``rivals`` are other instrumentations of the SDK, by their
    modules, which are their scopes, too: a call that one of them records is not recorded again. ``beneath``: those that
    listen below the methods; they are no wrap points of the SDK.
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
    secrets_of: Callable[[Any], tuple[str, ...]]
    model_of: Callable[[dict[str, Any]], Any] = methodcaller("get", "model")
    request_id_header: str | None = None
    helpers: tuple[Helper, ...] = ()
    seams: tuple[Seam, ...] = ()
    results: tuple[Results, ...] = ()
    sockets: tuple[Socket, ...] = ()
    rivals: tuple[str, ...] = ()
    beneath: tuple[Seam, ...] = ()

    def secrets(self, client: Any, kwargs: dict[str, Any]) -> tuple[str, ...]:
        """The credentials of a client and a request; raises rather than leaving one out."""
        found = self.secrets_of(client)
        if not isinstance(found, tuple):
            raise TypeError(f"secrets_of() gave a {type(found).__name__}")
        return (*found, *secrets_in(kwargs))

    @cached_property
    def own_packages(self) -> tuple[str, ...]:
        """Packages whose frames are not the program's."""
        return (*OWN, *self.packages)
