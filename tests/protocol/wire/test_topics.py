"""Topics: what a text means, and that there is one text for each meaning."""

from __future__ import annotations

import attrs
import pytest

from triphase_protocol import Event, EventType, InvalidValue, Job, JobState
from triphase_protocol.wire import Topic, done_topic
from triphase_protocol.wire.topics import TOPIC_MOST

EVENT = Event(seq=1, version=1, at=0.0, job="j1", run=1, phase=None, type=EventType.JOB_FAILED)
JOB = Job(id="j1", type="T", queue="q", state=JobState.FAILED, labels={"customer": "a=b", "x": ""})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("jobs", "jobs"),
        ("jobs?", "jobs"),
        ("jobs?type=B&type=A", "jobs?type=A&type=B"),
        ("jobs?queue=q&type=A&queue=q", "jobs?type=A&queue=q"),
        ("jobs?label=b%3D2&label=a%3D1", "jobs?label=a%3D1&label=b%3D2"),
        ("jobs?label=a=b=c", "jobs?label=a%3Db%3Dc"),
        ("jobs?event=job.failed&event=job.completed", "jobs?event=job.completed&event=job.failed"),
        ("jobs?type=a%20b+c", "jobs?type=a%20b%20c"),
        ("jobs#2", "jobs#2"),
        ("jobs?type=A#x/y", "jobs?type=A#x%2Fy"),
        ("job:j1", "job:j1"),
        ("job:j1?event=job.failed", "job:j1?event=job.failed"),
        ("job:done:j1", "job:done:j1"),
        ("job:a%3Ab", "job:a%3Ab"),
    ],
)
def test_there_is_one_name_for_what_means_the_same(text: str, name: str) -> None:
    topic = Topic.parse(text)
    assert str(topic) == name
    assert Topic.parse(name) == topic


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "begins with none of"),
        ("job", "begins with none of"),
        ("Jobs", "begins with none of"),
        ("job:", "the job's id is missing"),
        ("job:done:", "the job's id is missing"),
        ("jobs?colour=red", "'colour' is none of event, label, queue, type"),
        ("job:j1?type=T", "'type' is none of event"),
        ("jobs?type", "bad query field"),
        ("jobs?label=x", "label 'x' is not NAME=VALUE"),
        ("jobs?event=job.exploded", "'job.exploded' is no type of event"),
        ("jobs?type=" + "x" * TOPIC_MOST, f"more than {TOPIC_MOST} characters"),
    ],
)
def test_a_text_that_names_no_topic_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidValue, match="topic") as caught:
        Topic.parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("jobs", True),
        ("job:j1", True),
        ("job:j2", False),
        ("jobs?event=job.failed", True),
        ("jobs?event=job.completed&event=job.failed", True),
        ("jobs?event=job.completed", False),
        ("job:j1?event=job.completed", False),
        ("jobs?type=T", True),
        ("jobs?type=S&type=T", True),
        ("jobs?type=S", False),
        ("jobs?queue=q&type=T", True),
        ("jobs?queue=p&type=T", False),
        ("jobs?label=customer%3Da%3Db", True),
        ("jobs?label=customer%3Da", False),
        ("jobs?label=customer%3Da%3Db&label=x%3D", True),
        ("jobs?label=customer%3Da%3Db&label=y%3D", False),
    ],
)
def test_which_events_belong_to_a_topic(text: str, wanted: bool) -> None:
    topic = Topic.parse(text)
    about_job = topic.wants_of(EVENT, JOB.type, JOB.queue, JOB.labels)
    assert (topic.wants(EVENT) and about_job) is wanted
    if not topic.events:
        assert topic.wants_job(JOB) is wanted
    assert topic.about_jobs is any(word in text for word in ("type=", "queue=", "label="))


def test_that_a_job_was_deleted_belongs_to_whatever_it_was() -> None:
    gone = attrs.evolve(EVENT, type=EventType.JOB_DELETED)
    assert Topic.parse("jobs?type=S").wants_of(gone, "", "", {})
    assert not Topic.parse("jobs?type=S").wants_of(EVENT, "", "", {})


def test_the_topic_of_an_end() -> None:
    assert Topic.parse(done_topic("j1")) == Topic(job="j1", done=True)
