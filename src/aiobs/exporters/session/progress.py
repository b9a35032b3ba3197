"""What a poll of a job changes of the event of the call that submitted the job: pure functions of events.

The journal has an ``update`` line for each poll. It is a whole event under the identity of the submitting call, so that
one whose call is nowhere to be found can stand for it.
"""

from __future__ import annotations

from typing import Any

from aiobs.call import Call, Progress
from aiobs.exporters.session.record import call_event, identity, response_record

_ERRORS = ("error", "error_details")


def progress_event(record: Progress) -> dict[str, Any]:
    """The poll as an event, with what it found of the job in its response, also of a job that failed."""
    who = identity(record.span_id, record.trace_id, record.parent_id, record.session_id)
    event = call_event(record.poll, who)
    return {**event, "response": {**(response_record(record.poll) or {}), **_job(record.poll)}}


def _job(poll: Call) -> dict[str, Any]:
    took = poll.job_duration_ns
    return {"poll_count": poll.polls, **({} if took is None else {"time_to_done_ms": round(took / 1e6, 3)})}


def has_progress(event: dict[str, Any]) -> bool:
    """Polls have changed this event."""
    return "poll_count" in _response(event)


def _response(event: dict[str, Any]) -> dict[str, Any]:
    found = event.get("response")
    return found if isinstance(found, dict) else {}


def updated(event: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    """The event with what the update says; a job that was done stays as it was, whatever order polls come in."""
    before, now = _response(event), _response(update)
    polls = {"poll_count": max(before.get("poll_count") or 0, now.get("poll_count") or 0)}
    if "time_to_done_ms" in before:
        return {**event, "response": {**before, **polls}}
    said = {key: value for key, value in now.items() if value is not None or key not in before}
    errors = {key: update[key] for key in _ERRORS if update.get(key) is not None}
    return {**event, "response": {**before, **said, **polls}, **errors}
