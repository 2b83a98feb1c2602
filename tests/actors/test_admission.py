"""Admission: limits, priorities and order, as a pure function."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from triphase.admission import admit, room
from triphase_protocol import (
    Job,
    JobState,
    Queue,
    QueueFull,
    QueuePaused,
    QueueUnknown,
    StoreFull,
)


def queued(id: str, *, queue: str = "q", priority: int = 0, position: int = 1) -> Job:
    return Job(
        id=id,
        type="T",
        state=JobState.QUEUED,
        queue=queue,
        priority=priority,
        position=position,
    )


def test_higher_priority_first_then_the_order_of_queueing() -> None:
    jobs = [
        queued("c", position=3),
        queued("a", position=1),
        queued("urgent", priority=5, position=9),
        queued("b", position=2),
    ]
    admission = admit(jobs, queues={"q": Queue(3)}, limit=10, holders={})
    assert [job.id for job in admission.admitted] == ["urgent", "a", "b"]
    assert admission.blocked == {"c": QueueFull("q", 3, 0)}


def test_a_full_queue_stops_only_its_own_jobs() -> None:
    jobs = [queued("a", position=1), queued("b", queue="r", position=2)]
    admission = admit(jobs, queues={"q": Queue(1), "r": Queue(1)}, limit=9, holders={"q": 1})
    assert [job.id for job in admission.admitted] == ["b"]
    assert admission.blocked == {"a": QueueFull("q", 1, 1)}


def test_the_total_limit_goes_over_all_queues() -> None:
    jobs = [queued("a", position=1), queued("b", queue="r", position=2)]
    queues = {"q": Queue(5), "r": Queue(5)}
    admission = admit(jobs, queues=queues, limit=3, holders={"q": 1, "elsewhere": 1})
    assert [job.id for job in admission.admitted] == ["a"]
    assert admission.blocked == {"b": StoreFull(3, 2)}


def test_paused_and_unknown_queues_start_nothing() -> None:
    jobs = [queued("a"), queued("b", queue="nowhere")]
    admission = admit(jobs, queues={"q": Queue(5, paused=True)}, limit=9, holders={})
    assert admission.admitted == ()
    assert admission.blocked == {"a": QueuePaused("q"), "b": QueueUnknown("nowhere")}
    assert room(queues={"q": Queue(5, paused=True)}, limit=9, holders={}) == {}


QUEUES = st.dictionaries(
    st.sampled_from("abc"), st.builds(Queue, st.integers(1, 4), st.booleans()), max_size=3
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-1, 1)), max_size=12),
    QUEUES,
    st.integers(1, 6),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5), max_size=4),
)
def test_limits_hold_and_no_slot_is_left_that_a_job_could_have(
    drawn: list[tuple[str, int]], queues: dict[str, Queue], limit: int, holders: dict[str, int]
) -> None:
    jobs = [
        queued(f"j{index}", queue=queue, priority=priority, position=index + 1)
        for index, (queue, priority) in enumerate(drawn)
    ]
    admission = admit(jobs, queues=queues, limit=limit, holders=holders)
    admitted = {job.id for job in admission.admitted}
    assert admitted | set(admission.blocked) == {job.id for job in jobs}
    assert not admitted & set(admission.blocked)
    in_use = dict(holders)
    for job in admission.admitted:
        in_use[job.queue] = in_use.get(job.queue, 0) + 1
        assert in_use[job.queue] <= queues[job.queue].limit
        assert not queues[job.queue].paused
    if admitted:
        assert sum(in_use.values()) <= limit
    if sum(in_use.values()) < limit:
        for job in jobs:
            if job.id not in admitted:
                queue = queues.get(job.queue)
                full = queue is None or queue.paused or in_use.get(job.queue, 0) >= queue.limit
                assert full
    # What is fetched for each queue is enough to find them all.
    free = room(queues=queues, limit=limit, holders=holders)
    for name in "abcd":
        count = sum(job.queue == name for job in admission.admitted)
        assert count <= free.get(name, 0)
