"""Made-up records and events, of every shape that their classes allow."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from triphase_protocol import (
    Cancelled,
    Completed,
    ErrorRecord,
    Event,
    EventType,
    Failed,
    Interrupted,
    Job,
    JobState,
    NotFound,
    PhaseRecord,
    PhaseState,
    Progress,
    Rejected,
    Retry,
    TimedOut,
)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
count = st.integers(0, 2**63 - 1)
number = st.floats(allow_nan=False, allow_infinity=False)
reason = st.none() | text

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | number | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)

progresses = st.builds(Progress, done=number, total=st.none() | number, message=reason)
errors = st.builds(ErrorRecord, type=text, message=text, traceback=reason)

phases = st.builds(
    PhaseRecord,
    name=text,
    state=st.sampled_from(PhaseState),
    attempt=count,
    spent=st.dictionaries(text, count, max_size=3),
    result=json_values,
    error=st.none() | errors,
    progress=st.none() | progresses,
    started_at=st.none() | number,
    finished_at=st.none() | number,
)

jobs = st.builds(
    Job,
    id=text,
    type=text,
    state=st.sampled_from(JobState),
    run=count,
    version=count,
    payload=json_values,
    phases=st.lists(phases, max_size=3).map(tuple),
    queue=text,
    priority=st.integers(-100, 100),
    position=count,
    key=reason,
    digest=text,
    labels=st.dictionaries(text, text, max_size=3),
    owner=reason,
    result=json_values,
    error=st.none() | errors,
    reason=reason,
    submitted_at=number,
    due_at=number,
    queued_at=st.none() | number,
    started_at=st.none() | number,
    finished_at=st.none() | number,
)

events = st.builds(
    Event,
    seq=count,
    version=count,
    at=number,
    job=text,
    run=count,
    phase=reason,
    type=st.sampled_from(EventType),
    data=st.dictionaries(text, json_values, max_size=3),
)

outcomes = (
    st.builds(Completed, job=text, run=count, result=json_values)
    | st.builds(Failed, job=text, run=count, error=errors)
    | st.builds(Cancelled, job=text, run=count, reason=reason)
    | st.builds(Rejected, job=text, run=count, reason=reason)
    | st.builds(Interrupted, job=text, run=count, reason=reason)
)

retries = st.builds(
    Retry,
    attempts=st.integers(1, 10**9),
    backoff=st.floats(0, 1e9),
    factor=st.floats(1, 1e9),
    limit=st.floats(0, 1e9),
    jitter=st.booleans(),
)

published: st.SearchStrategy[Any] = st.one_of(
    jobs,
    phases,
    progresses,
    errors,
    events,
    outcomes,
    st.builds(TimedOut, job=text),
    st.builds(NotFound, job=text),
    retries,
)
"""An instance of any class that has a published schema."""
