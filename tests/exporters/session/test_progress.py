"""S1-51: what polls find out of a job changes the event of the call that submitted it, wherever that lies by then."""

from __future__ import annotations

import json
import os
import signal
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from aiobs.call import Call, Failure, Job, Progress, Request, Response, Server
from aiobs.exporters.session.journal import segments
from aiobs.exporters.session.progress import updated
from aiobs.exporters.session.recovery import recover

from .conftest import Recorder, load, model_call
from .test_recovery import JOURNAL, forks, run

SUBMITTED = 0xABC
SPAN_ID = f"{SUBMITTED:016x}"


def submitting(**fields: Any) -> Call:
    """A call that started a job, in the shape of a film."""
    return model_call(
        operation="generate_videos",
        api="models.generate_videos",
        session_response=lambda call: {"model": None, "operation_name": "op", "done": None, "generated_videos": None},
        **fields,
    )


def poll_of(number: int, done: bool = False, session: str = "", span_id: int = SUBMITTED, **fields: Any) -> Progress:
    """The ``number``-th poll of the job, one second after the one before."""
    films = [{"video": {"uri": "gs://film"}}] if done else None
    call = Call(
        provider="gemini",
        operation="fetch_response",
        api="operations.get",
        server=Server("gcp.vertex_ai", None, None),
        request=Request(job="op"),
        response=Response(id="op", job=Job("op", done)),
        started_ns=1_700_000_100_000_000_000 + number * 1_000_000_000,
        polls=number,
        job_duration_ns=1_500_000_000 if done else None,
        session_response=lambda call: {"model": None, "operation_name": "op", "done": done, "generated_videos": films},
    )
    for name, value in fields.items():
        setattr(call, name, value)
    return Progress(call, span_id, 7, None, session)


def submit(recorder: Recorder, session: str, span_id: int = SUBMITTED) -> None:
    recorder.file.write(submitting(), span_id=span_id, trace_id=7, parent_span_id=None, session_id=session)


def poll(recorder: Recorder, session: str, number: int, done: bool = False, **fields: Any) -> None:
    record = poll_of(number, done, session, **fields)
    recorder.file.write(record, span_id=number, trace_id=7, parent_span_id=None, session_id=session)


WAITING = {"model": None, "operation_name": "op", "done": False, "generated_videos": None}
DONE = {
    "model": None,
    "operation_name": "op",
    "done": True,
    "generated_videos": [{"video": {"uri": "gs://film"}}],
    "time_to_done_ms": 1500.0,
}


def test_polls_change_the_event_of_the_submitting_call(recorder: Recorder) -> None:
    """S1-51: no event for a poll; the one there is says how often it was asked, and what came; its times stay."""
    session = recorder.open()
    submit(recorder, session)
    for number in (1, 2):
        poll(recorder, session, number)
    poll(recorder, session, 3, done=True)
    recorder.file.flush()
    export = load()
    (event,) = export["events"]
    assert event["response"] == {**DONE, "poll_count": 3}
    assert (event["api"], event["span_id"], event["error"]) == ("models.generate_videos", SPAN_ID, None)
    assert event["started_at"] == 1_700_000_000.0
    assert event["request"]["model"] == "gpt-4o-mini"
    assert [node["response"] for node in export["trace_tree"]] == [event["response"]]


def test_an_event_that_was_flushed_already_changes_too(recorder: Recorder) -> None:
    """S1-51: a film that is ready after a flush; the event in the earlier file is changed, flush by flush."""
    session = recorder.open(ended_at=None)
    submit(recorder, session)
    recorder.file.flush()
    assert load()["events"][0]["response"]["done"] is None
    poll(recorder, session, 1)
    recorder.file.flush()
    assert load()["events"][0]["response"] == {**WAITING, "poll_count": 1}
    poll(recorder, session, 2, done=True)
    recorder.file.flush()
    (event,) = load()["events"]
    assert event["response"] == {**DONE, "poll_count": 2}
    assert event["started_at"] == 1_700_000_000.0
    assert not JOURNAL.exists()


def test_a_later_session_changes_the_event_of_an_earlier_one(recorder: Recorder) -> None:
    """The file of the earlier session is added to, and its record is what it was, not a guess."""
    first = recorder.open("first")
    submit(recorder, first)
    recorder.file.flush()
    recorder.open("second", started_at=2.0)
    poll(recorder, first, 1, done=True)
    recorder.file.flush()
    export = load()
    assert [session["name"] for session in export["sessions"]] == ["first", "second"]
    assert [event["response"]["done"] for event in export["events"]] == [True]


def test_polls_whose_event_is_nowhere_are_one_event(recorder: Recorder) -> None:
    """The file is gone: what is known of the job is an event under the identity of the submitting call."""
    session = recorder.open(ended_at=None)
    submit(recorder, session)
    recorder.file.flush()
    Path("llm_observability.json").unlink()
    poll(recorder, session, 1)
    poll(recorder, session, 2, done=True)
    recorder.file.flush()
    export = load()
    (event,) = export["events"]
    assert event["response"] == {**DONE, "poll_count": 2}
    assert (event["api"], event["span_id"], event["session_id"]) == ("operations.get", SPAN_ID, session)
    assert [node["span_id"] for node in export["trace_tree"]] == [SPAN_ID]
    poll(recorder, session, 3, done=True)
    recorder.file.flush()
    assert load()["events"][0]["response"]["poll_count"] == 3


def test_a_job_that_failed_is_an_error_of_its_event(recorder: Recorder) -> None:
    """S1-51: error and details are what the poll was told; what came is in the response nevertheless."""
    session = recorder.open()
    submit(recorder, session)
    failure = Failure("INVALID_ARGUMENT", "BAD_REQUEST", "INVALID_ARGUMENT", "no cats")
    poll(recorder, session, 1, done=True, failure=failure)
    recorder.file.flush()
    (event,) = load()["events"]
    assert event["error"] == "INVALID_ARGUMENT: no cats"
    assert event["error_details"]["code"] == "BAD_REQUEST"
    assert (event["response"]["done"], event["response"]["poll_count"]) == (True, 1)


def test_a_job_that_is_done_stays_done(recorder: Recorder) -> None:
    """Polls are told in any order: by another process, or by a segment that is read again."""
    session = recorder.open(ended_at=None)
    submit(recorder, session)
    poll(recorder, session, 3, done=True)
    poll(recorder, session, 2)
    recorder.file.flush()
    assert load()["events"][0]["response"] == {**DONE, "poll_count": 3}
    poll(recorder, session, 1)
    recorder.file.flush()
    assert load()["events"][0]["response"] == {**DONE, "poll_count": 3}
    poll(recorder, session, 4, done=True, job_duration_ns=None)
    recorder.file.flush()
    assert load()["events"][0]["response"] == {**DONE, "poll_count": 4}


def test_the_latest_poll_counts_whenever_it_is_told(recorder: Recorder) -> None:
    """Within one flush by their times; the count of polls never goes back."""

    def told(number: int) -> None:
        poll(recorder, session, number, session_response=lambda call: {"progress": number})

    session = recorder.open(ended_at=None)
    submit(recorder, session)
    for number in (1, 3, 2):
        told(number)
    recorder.file.flush()
    response = load()["events"][0]["response"]
    assert (response["progress"], response["poll_count"]) == (3, 3)
    told(2)
    recorder.file.flush()
    assert load()["events"][0]["response"]["poll_count"] == 3


def test_changing_twice_is_changing_once() -> None:
    """A flush that was interrupted between the file and the journal is repeated."""
    event = {"span_id": SPAN_ID, "response": dict(WAITING), "error": None}
    update = {"span_id": SPAN_ID, "response": {**DONE, "poll_count": 2}, "error": "x: y"}
    once = updated(event, update)
    assert once == updated(once, update)
    assert once["error"] == "x: y"


def test_changes_are_of_their_own_event_and_the_tree_stays(recorder: Recorder) -> None:
    """Two jobs below one span: each event has its own polls, its parent and its place."""
    session = recorder.open()
    above = recorder.span(session, model_call())
    parent = above.get_span_context().span_id
    for span_id in (1, 2):
        recorder.file.write(
            submitting(started_ns=span_id), span_id=span_id, trace_id=7, parent_span_id=parent, session_id=session
        )
    for number, span_id in ((1, 2), (1, 1), (2, 2)):
        record = poll_of(number, session=session, span_id=span_id)
        recorder.file.write(record, span_id=90 + number, trace_id=7, parent_span_id=None, session_id=session)
    above.end()
    recorder.file.flush()
    (root,) = load()["trace_tree"]
    assert [(node["span_id"], node["response"]["poll_count"]) for node in root["children"]] == [
        (f"{1:016x}", 1),
        (f"{2:016x}", 2),
    ]


def test_a_change_that_is_no_event_is_torn(recorder: Recorder) -> None:
    """A line of somebody else's with that name costs itself only."""
    session = recorder.open()
    submit(recorder, session)
    with segments(JOURNAL)[0].open("ab") as file:
        file.write(json.dumps({"update": {"span_id": SPAN_ID}}).encode() + b"\n")
    recorder.file.flush()
    assert [event["span_id"] for event in load()["events"]] == [SPAN_ID]


# Kill, fork

PROGRAM = """
    from tests.exporters.session.test_progress import poll, submit
    submit(recorder, record["id"])
    {between}
    poll(recorder, record["id"], 1)
    poll(recorder, record["id"], 2, done=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("between", ["pass", "recorder.file.flush()"], ids=["in the journal", "in the file"])
def test_the_polls_of_a_killed_process_are_recovered(between: str) -> None:
    """Promise 5: what was found out before the kill is in the recovered event, wherever that was."""
    assert run(PROGRAM.format(between=between)) == -signal.SIGKILL
    recover()
    (event,) = load()["events"]
    assert event["response"] == {**DONE, "poll_count": 2}
    assert not JOURNAL.exists()


@forks
def test_a_child_polls_what_its_parent_submitted(recorder: Recorder) -> None:
    """S1-81: the child's polls change the parent's event, which the child's segment has not."""
    session = recorder.open()
    submit(recorder, session)
    child = os.fork()
    if child == 0:
        poll(recorder, session, 1, done=True)
        os._exit(0)
    os.waitpid(child, 0)
    recorder.file.flush()
    (event,) = load()["events"]
    assert event["response"] == {**DONE, "poll_count": 1}
    assert not JOURNAL.exists()


@forks
def test_a_child_that_flushes_its_polls_first(recorder: Recorder) -> None:
    """The child folds its parent's living segment; the parent's flush afterwards has both once."""
    session = recorder.open()
    submit(recorder, session)
    child = os.fork()
    if child == 0:
        poll(recorder, session, 1, done=True)
        recorder.file.flush()
        os._exit(0)
    os.waitpid(child, 0)
    assert load()["events"][0]["response"] == {**DONE, "poll_count": 1}
    recorder.file.flush()
    (event,) = load()["events"]
    assert event["response"] == {**DONE, "poll_count": 1}


def test_memory_does_not_grow_with_polls(recorder: Recorder) -> None:
    """A flush keeps less for a poll than for a span: 100 B at most, however long the polls' lines are."""
    session, polls = recorder.open(), 4000
    submit(recorder, session)
    long = {"done": False, "text": "x" * 500}
    for number in range(polls):
        poll(recorder, session, number, session_response=lambda call: long)
    tracemalloc.start()
    try:
        recorder.file.flush()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert load()["events"][0]["response"]["poll_count"] == polls - 1
    assert peak < polls * 200 + 600_000
