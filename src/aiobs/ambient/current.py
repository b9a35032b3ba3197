"""What is current: the session, and what the program and its orchestrator say of the work at hand.

One immutable ``Ambient`` lies under one key of the OpenTelemetry context. A span started in a thread that has no
context still finds it: first through its live local parent span, then, the session, as the process's default.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from opentelemetry import trace
from opentelemetry.context import Context, attach, create_key, get_current, get_value, set_value
from opentelemetry.trace import Span

from aiobs.ambient.baggage import received_labels, with_labels
from aiobs.ambient.session import Session
from aiobs.ambient.sources import Attributes, Source, ask_sources, has_sources
from aiobs.guard import guarded
from aiobs.semconv import names
from aiobs.semconv.attributes import put_attributes
from aiobs.settings import resolve

_NO_ATTRIBUTES: Attributes = {}
_KEY = create_key("aiobs-ambient")
_ON_SPAN = "_aiobs_ambient"
_opened: list[Session] = []


@dataclass(frozen=True, slots=True)
class Ambient:
    """What travels with a call; never changed, only replaced.

    ``given`` are the attributes of ``aiobs.context``, ``found`` those of each source, ``received`` the labels that
    came from another service.
    """

    session: Session | None = None
    given: Attributes | None = None
    found: Mapping[Source, Attributes] | None = None
    received: Attributes | None = None

    @property
    def context(self) -> Attributes:
        """The attributes besides the session's: what the program gave wins, then the session, then what was found."""
        if not self.has_context:
            return _NO_ATTRIBUTES
        found: Attributes = dict(self.received or {})
        for attributes in (self.found or {}).values():
            found.update(attributes)
        session = self.session.attributes if self.session is not None else _NO_ATTRIBUTES
        return {key: value for key, value in found.items() if key not in session} | (self.given or {})

    @property
    def attributes(self) -> Attributes:
        """All that is stamped on a span."""
        session = self.session.attributes if self.session is not None else _NO_ATTRIBUTES
        return {**session, **self.context} if self.has_context else session

    @property
    def has_context(self) -> bool:
        """There is more than the session."""
        return bool(self.given or self.found or self.received)


_EMPTY = Ambient()


# Sessions


def enter_session(session: Session) -> None:
    """Make this the session of the current context and, until it ends, the process's default.

    A session that this context was already in becomes its parent; another task's does not.
    """
    ambient = given_here()
    session.parent = _open(ambient.session)
    if session.parent is not None:
        session.meta["parent_session_id"] = session.parent.id
    _opened.append(session)
    guarded(attach_ambient, replace(ambient, session=session))


def leave_session(session: Session) -> None:
    """End a session: the context goes back to its parent, the process to the newest session that is still open.

    Spans that are open keep the session they started in.
    """
    session.ended_at = time.time()
    if session in _opened:
        _opened.remove(session)
    ambient = given_here()
    if ambient.session is session:
        guarded(attach_ambient, replace(ambient, session=_open(session.parent)))


def open_sessions() -> tuple[Session, ...]:
    """Every session of this process that has not ended, oldest first; of all threads and tasks."""
    return tuple(_opened)


def current_session(context: Context | None = None) -> Session | None:
    """The open session of this context, else of its live local parent span, else the process's default; else None.

    ``context``: an OpenTelemetry context; None: the current one.
    """
    return guarded(_nearest_session, context) or _default_session()


def _nearest_session(context: Context | None) -> Session | None:
    for ambient in (_in_context(context), _on_span(trace.get_current_span(context))):
        if ambient is not None and (session := _open(ambient.session)) is not None:
            return session
    return None


def _default_session() -> Session | None:
    return _opened[-1] if _opened else None


def _open(session: Session | None) -> Session | None:
    return session if session is not None and session.ended_at is None else None


# The whole of it


def attach_ambient(ambient: Ambient) -> object:
    """Make it current in this context, its labels in the baggage where these may leave.

    Gives the token that ``opentelemetry.context.detach`` takes back.
    """
    before = given_here()
    return attach(with_labels(set_value(_KEY, ambient), ambient.attributes, before.attributes))


def refresh_baggage(session: Session, before: Attributes) -> None:
    """The labels of a session changed from what they were ``before``: what this context sends on changes too."""
    if given_here().session is session and resolve("AIOBS_BAGGAGE_LABELS"):
        guarded(attach, with_labels(get_current(), session.attributes, before))


def given_here() -> Ambient:
    """The ambient of this very context, without looking further; an empty one where there is none."""
    return guarded(_in_context, None) or _EMPTY


def current_ambient(context: Context | None = None) -> Ambient:
    """What a span that starts in this context gets: session, context, and what the sources say now.

    ``context``: an OpenTelemetry context; None: the current one. The ambient is empty where nothing is said.
    """
    context = get_current() if context is None else context
    if not (context or _opened or has_sources()):
        return _EMPTY
    here = _in_context(context)
    above = _on_span(trace.get_current_span(context))
    session = _open(here.session if here else None) or _open(above.session if above else None) or _default_session()
    given = here.given if here else above.given if above else None
    found = ask_sources(above.found or {} if above else {})
    return Ambient(session, given, found, received_labels(context) if context else None)


def ambient_of(span: Span, context: Context) -> Ambient:
    """What was stamped on a span that has just started; what its context says is stamped where no processor did."""
    if (stamped := _on_span(span)) is not None:
        return stamped
    ambient = current_ambient(context)
    if ambient is not _EMPTY:
        guarded(stamp, span, ambient)
    return ambient


def stamp(span: Span, ambient: Ambient) -> None:
    """Write it on a span that has just started; what the application gave the span itself wins."""
    attributes = ambient.attributes
    if not attributes:
        return
    own = getattr(span, "attributes", None)
    if own and (kept := {names.APPLICATION_SESSION_ID, *ambient.context}.intersection(own)):
        attributes = {key: value for key, value in attributes.items() if key not in kept}
    put_attributes(span, attributes)
    setattr(span, _ON_SPAN, ambient)  # so that children started without context find it; gone when the span is


def _in_context(context: Context | None) -> Ambient | None:
    ambient = get_value(_KEY, context)
    return ambient if isinstance(ambient, Ambient) else None


def _on_span(span: object) -> Ambient | None:
    ambient = getattr(span, _ON_SPAN, None)
    return ambient if isinstance(ambient, Ambient) else None
