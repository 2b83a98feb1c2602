"""Webhooks: what is missing, wrong, sent too often, too early or to the wrong one is said."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from triphase.hooks import read_secrets, signed_headers
from triphase_protocol import Event, HookState
from triphase_simulations.history import Entry, History, Post
from triphase_simulations.oracles import judge
from triphase_simulations.oracles.posts import most_at_once
from triphase_simulations.receivers import SECRET

from .hooked import (
    HOOKED,
    LEFT,
    LOST,
    SENDING,
    faults,
    hook_of,
    hooked,
    job_id,
    left,
    lost,
    posts_of,
    told,
    url,
    with_hook,
    with_more,
    with_post,
    with_posts,
    with_told,
    without_told,
)

SEEDS = range(1, 21)


def test_a_calm_history_with_webhooks_is_good_and_has_it_all() -> None:
    assert judge(hooked(), HOOKED) == []
    assert {post.answer.partition(":")[0] for post in hooked().posts} == {
        *("ok", "slow", "lost", "429", "410", "500", "refuse")
    }
    said = {event.type.value for event in hooked().log}
    assert said >= {"hook.delivered", "hook.failed", "hook.dead"}
    assert len(hooked().redelivered) == 2
    assert list(hooked().disabled) == [url("gone")]


def test_a_process_that_leaves_may_cut_off_what_takes_too_long() -> None:
    assert judge(left(), LEFT) == []
    assert [post.ended for post in left().posts].count(None) == 2


@pytest.mark.parametrize("seed", [0, *SEEDS])
def test_whatever_disturbs_them_nothing_goes_wrong(seed: int) -> None:
    assert judge(lost(seed), LOST) == []


def test_the_seeds_disturb_in_every_way() -> None:
    assert {kind for seed in SEEDS for kind, _, _ in lost(seed).used} == set(LOST.kinds)
    assert all(lost(seed).posts for seed in SEEDS)


# The outbox


def test_nothing_brings_an_event_where_it_is_wanted() -> None:
    lacking = hook_of("steps", "job.started")
    hooks = tuple(hook for hook in hooked().hooks if hook is not lacking)
    said = {"O10: nothing in the outbox brings job.started where it is wanted"}
    assert faults(attrs.evolve(hooked(), hooks=hooks)) == said


def deleted() -> tuple[History, Event]:
    """A history in which jobs were deleted, and the end of a delivery of one."""
    history = lost(0)
    gone = {event.job for event in history.log if event.type.value == "job.deleted"}
    there = {hook.id for hook in history.hooks}
    return history, next(
        event
        for event in history.log
        if event.type.value == "hook.delivered"
        and event.job in gone
        and event.data["event"] == "job.completed"
        and event.data["hook"] not in there
    )


def test_of_a_deleted_job_what_has_ended_may_be_gone_and_nothing_else() -> None:
    history, end = deleted()
    assert faults(history, LOST) == set()
    said = faults(without_told(end, history=history), LOST)
    assert "O10: nothing in the outbox brings job.completed where it is wanted" in said


def test_something_is_in_the_outbox_that_no_webhook_wants() -> None:
    more = attrs.evolve(hook_of("well"), id="j99", url=url("steps"))
    history = attrs.evolve(hooked(), hooks=(*hooked().hooks, more))
    assert "O10: a job.completed is in the outbox that no webhook wants" in faults(history)


def test_an_event_has_two_ids() -> None:
    more = attrs.evolve(hook_of("well"), id="j99")
    history = attrs.evolve(hooked(), hooks=(*hooked().hooks, more))
    assert "O10: an event is delivered to one URL under several ids" in faults(history)
    tries = posts_of("busy")
    history = with_post(tries[1], id="j99")
    assert "O10: an event is delivered to one URL under several ids" in faults(history)


def test_something_is_still_to_be_delivered_at_the_end() -> None:
    history = with_hook(hook_of("well"), state=HookState.PENDING)
    assert faults(history) == {"O10: a job.completed is still to be delivered"}
    # Of a run that was broken off nobody knows what was still to come.
    assert faults(attrs.evolve(history, settled=False)) == set()


@pytest.mark.parametrize(
    "changes", [{"state": HookState.DEAD}, {"status": 201}, {"attempts": 7}], ids=str
)
def test_a_row_says_something_else_than_the_log(changes: dict[str, Any]) -> None:
    (said,) = faults(with_hook(hook_of("well"), **changes))
    assert said.startswith("O10: a delivery is")
    assert said.endswith("the log says otherwise")


def test_the_log_does_not_say_that_a_delivery_has_ended() -> None:
    history = without_told(told("well", "hook.delivered"))
    assert faults(history) == {"O10: a delivery is delivered, and the log does not say so"}


# What is sent


def worded(post: Post, old: str, new: str) -> str:
    """Return a body that says something else."""
    assert old in post.body
    return post.body.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"state":"completed"', '"state":"running"'),
        ('"type":"job.completed"', '"type":"job.failed"'),
        ('"phase":null', '"phase":"b"'),
        ('"run":1', '"run":2'),
        ("{", "["),
    ],
)
def test_what_is_sent_is_not_what_was_committed(old: str, new: str) -> None:
    (post,) = posts_of("well")
    body = worded(post, old, new)
    history = attrs.evolve(with_hook(hook_of("well"), body=body), posts=list(hooked().posts))
    history = attrs.evolve(
        history, posts=[attrs.evolve(p, body=body) if p is post else p for p in history.posts]
    )
    assert "O10: what is sent of job.completed is not what was committed" in faults(history)


def test_a_delivery_has_another_body_at_another_try() -> None:
    second = posts_of("busy")[1]
    history = with_post(second, body=worded(second, '"run":1', '"run":2'))
    assert faults(history) == {"O10: a delivery has another body at another try"}


def test_a_delivery_goes_to_another_url_at_another_try() -> None:
    history = with_post(posts_of("busy")[1], url=url("well"))
    assert faults(history) == {"O10: a delivery goes to another URL at another try"}


def test_what_was_posted_cannot_be_read() -> None:
    history = with_post(posts_of("busy")[1], id="j99", body="{}")
    assert "O10: what was posted cannot be read" in faults(history)


def test_an_event_is_posted_before_it_is_durable() -> None:
    (post,) = posts_of("well")
    history = with_post(post, durable=hook_of("well").seq - 1)
    assert "O10: an event was posted before it was durable" in faults(history)


def test_an_event_is_posted_that_was_never_committed() -> None:
    (post,) = posts_of("well")
    seq = hook_of("well").seq
    history = attrs.evolve(hooked(), log=tuple(e for e in hooked().log if e.seq != seq))
    assert post in history.posts
    assert "O10: a delivery is about an event that was never committed" in faults(history)


def signed(post: Post, ago: int) -> dict[str, str]:
    """Return the headers of a post that was signed so long ago."""
    now = int(post.headers["webhook-timestamp"])
    return signed_headers(post.id, now - ago, post.body.encode(), read_secrets("it", SECRET))


def test_a_signature_is_missing_wrong_old_or_too_much() -> None:
    (post,) = posts_of("well")
    headers = dict(post.headers)
    bare = {key: value for key, value in headers.items() if key != "webhook-signature"}
    said = "O10: a request cannot be verified: "
    assert faults(with_post(post, headers=bare)) == {f"{said}missing"}
    forged = {**headers, "webhook-signature": "v1,aGVsbG8="}
    assert faults(with_post(post, headers=forged)) == {f"{said}signature"}
    assert faults(with_post(post, headers=signed(post, 1000))) == {f"{said}old"}
    history = with_post(posts_of("busy")[0], headers=headers)
    assert faults(history) == {"O10: what is not to be signed was signed"}


def test_when_somebody_sets_the_clock_nobody_knows_how_old_a_signature_is() -> None:
    (post,) = posts_of("well")
    history = with_post(post, headers=signed(post, 1000))
    stepped = Entry(time=0.0, lane="clock", what="stepped", data={"seconds": -3600.0})
    assert faults(attrs.evolve(history, entries=[*history.entries, stepped])) == set()


# How often, and when


def test_a_delivery_ends_again_and_nobody_asked() -> None:
    history = attrs.evolve(hooked(), redelivered=[])
    assert faults(history) == {
        "O10: hook.delivered of a delivery that had ended, and nobody asked",
        "O10: what is delivered at most once was posted N times",
        "O10: a delivery was tried N times, and N are the most",
    }


def test_what_goes_out_at_most_once_is_posted_again_for_each_who_asks() -> None:
    again = attrs.evolve(posts_of("once")[1], time=11.0, ended=11.1)
    history = with_more(again)
    assert faults(history) == {"O10: what is delivered at most once was posted N times"}
    asked = attrs.evolve(history, redelivered=[*hooked().redelivered, (10.9, again.id)])
    assert faults(asked) == set()


def test_a_delivery_is_tried_more_often_than_it_may_be() -> None:
    third = posts_of("broken")[2]
    more = [attrs.evolve(third, time=third.time + n, ended=third.time + n + 0.1) for n in (1, 2)]
    said = "O10: a delivery was tried N times, and N are the most"
    assert faults(with_more(*more)) == {said}
    # A death loses a count.
    lives = [
        Entry(time=0.6, lane="node", what="killed", data={"why": "so"}),
        Entry(time=0.6, lane="node#2", what="started"),
    ]
    history = with_more(more[0])
    history = attrs.evolve(history, entries=[*history.entries, *lives])
    assert said not in faults(history)


def test_a_delivery_is_given_up_too_early() -> None:
    scenario = attrs.evolve(HOOKED, sending=attrs.evolve(SENDING, attempts=5))
    assert faults(hooked(), scenario) == {"O10: it was given up after N tries of N"}


def test_at_most_once_is_given_up_without_a_try() -> None:
    history = with_posts(lambda post: None if post is posts_of("once")[0] else post)
    assert faults(history) == {"O10: what is delivered at most once was given up without a try"}


def test_somebody_is_said_to_have_answered_and_has_not() -> None:
    (post,) = posts_of("well")
    said = {"O10: hook.delivered by the answer N, that nobody has given"}
    assert faults(with_post(post, status=None)) == said
    assert faults(with_post(post, durable=told("well", "hook.delivered").seq)) == said
    history = with_post(posts_of("busy")[0], status=None)
    assert faults(history) == {"O10: hook.failed by the answer N, that nobody has given"}


def test_what_was_delivered_before_does_not_count_after_a_redelivery() -> None:
    history = with_post(posts_of("broken")[3], status=None)
    assert faults(history) == {"O10: hook.delivered by the answer N, that nobody has given"}


@pytest.mark.parametrize("status", [None, 500])
def test_what_is_delivered_was_not_accepted(status: int | None) -> None:
    end = told("well", "hook.delivered")
    history = with_told(end, status=status)
    history = attrs.evolve(history, hooks=with_hook(hook_of("well"), status=status).hooks)
    (said,) = faults(history)
    assert said.startswith("O10: a delivery was delivered by the answer")


def test_a_receiver_that_asks_for_patience_does_not_get_it() -> None:
    failed = told("busy", "hook.failed")
    history = with_told(failed, retry_at=failed.at + 1.0)
    assert faults(history) == {"O10: it is to be tried again after N s, not N s"}


def test_a_try_comes_before_its_time() -> None:
    second = posts_of("busy")[1]
    history = with_post(second, time=second.time - 1.0)
    assert faults(history) == {"O10: it was tried again N s before its time"}
    asked = attrs.evolve(history, redelivered=[*hooked().redelivered, (1.0, second.id)])
    assert faults(asked) == set()


def test_a_delivery_is_posted_while_it_is_under_way() -> None:
    (post,) = posts_of("slow-one")
    history = with_more(attrs.evolve(post, time=1.0, ended=1.1))
    assert faults(history) >= {"O10: a delivery was posted while it was under way"}


def test_an_event_is_posted_before_the_one_before_it_has_ended() -> None:
    (post,) = posts_of("steps", "job.started")
    history = with_post(post, durable=told("steps", "hook.delivered").seq - 1)
    said = "O10: job.started was posted before the event before it had ended"
    assert said in faults(history)


# Receivers


def test_a_url_is_gone_and_nobody_has_kept_that() -> None:
    history = attrs.evolve(hooked(), disabled={})
    assert faults(history) == {
        "O10: a URL was gone, and nobody has kept that: https://gone.example/in"
    }
    asked = attrs.evolve(history, redelivered=[*hooked().redelivered, (1.0, hook_of("gone").id)])
    assert faults(asked) == set()


def test_nothing_is_sent_to_a_url_that_never_said_that_it_is_gone() -> None:
    history = attrs.evolve(hooked(), disabled={**hooked().disabled, url("well"): 0.0})
    (said,) = faults(history)
    assert said.startswith("O10: nothing is sent to a URL, and it never said that it is gone")


def sent_to_the_gone(after: float) -> History:
    """Return a history in which something goes to a URL that is gone, so long afterwards."""
    (post,) = posts_of("gone")
    late, end = hook_of("gone-later"), post.ended
    assert end is not None
    assert late.body is not None
    more = attrs.evolve(
        post,
        id=late.id,
        body=late.body,
        time=end + after,
        ended=end + after + 0.1,
        durable=max(told("gone", "hook.dead").seq, late.seq),
        answer="500",
        status=500,
    )
    return with_more(more)


def test_something_is_sent_to_a_url_that_is_gone() -> None:
    assert faults(sent_to_the_gone(2.0)) == {"O10: a request to a URL that was gone"}
    # At the same moment it may have been begun before.
    assert faults(sent_to_the_gone(0.0)) == set()
    id = hook_of("gone-later").id
    asked = attrs.evolve(sent_to_the_gone(2.0), redelivered=[*hooked().redelivered, (2.1, id)])
    assert faults(asked) == set()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"limit_each": 1}, "O10: N requests to one URL were under way, not N"),
        ({"limit": 3}, "O10: N requests were under way, and the limit is N"),
    ],
    ids=["each", "all"],
)
def test_more_are_under_way_than_may_be(limits: dict[str, int], said: str) -> None:
    scenario = attrs.evolve(HOOKED, sending=attrs.evolve(SENDING, **limits))
    assert faults(hooked(), scenario) == {said}


def test_what_ends_as_another_begins_is_not_under_way_with_it() -> None:
    (post,) = posts_of("well")
    spans = [(0.0, 1.0), (1.0, 2.0), (1.5, 3.0), (1.6, None), (2.0, 2.0)]
    posts = [attrs.evolve(post, time=begin, ended=end) for begin, end in spans]
    assert most_at_once(posts) == (2, 1.5)
    assert most_at_once([]) == (0, 0.0)


def test_a_request_is_cut_off_though_there_was_time() -> None:
    scenario = attrs.evolve(LEFT, drain_timeout=2.0)
    assert faults(left(), scenario) == {
        "O10: a request was cut off N s after its process was told to go"
    }


def test_an_event_is_posted_late_to_a_receiver_that_is_well() -> None:
    (post,) = posts_of("well")
    scenario = attrs.evolve(HOOKED, sending=attrs.evolve(SENDING, limit=50))
    history = with_post(post, time=post.time + 0.6, ended=post.time + 0.7)
    said = {"O10: job.completed was posted N s after it happened"}
    assert faults(history, scenario) == said
    # With all places taken it may have had to wait for one.
    assert faults(history) == set()
    assert faults(attrs.evolve(history, used={("stall", "store.write", 3): 1.0}), scenario) == set()
    assert faults(attrs.evolve(history, used={("hold", "committer", 3): 2.0}), scenario) == said


def test_who_is_not_known_is_not_judged() -> None:
    name = job_id("well")
    jobs = tuple(job for job in hooked().jobs if job.id != name)
    entries = [entry for entry in hooked().entries if entry.lane != "client:well"]
    assert faults(attrs.evolve(hooked(), jobs=jobs, entries=entries)) == set()
