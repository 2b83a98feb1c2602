"""What receivers of webhooks see: which requests, of whom, when, and how often."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Final

from triphase.hooks import InvalidWebhook, verify_webhook
from triphase_protocol import EventType
from triphase_simulations.history import Post
from triphase_simulations.receivers import SECRET

from .deliveries import ENDS, Deliveries, Told, number
from .lives import Life
from .reading import EPOCH, MOMENT, STALL_MOST
from .violations import Violation

PROMPT: Final = 0.5
"""Virtual seconds in which an event is posted to a receiver that is well, if nothing disturbs."""


def judge_posts(name: str, deliveries: Deliveries) -> Iterable[Violation]:
    """Return requests that should not have been, or not then; and those that came too late."""
    for id, posts in deliveries.posts_of.items():
        yield from _same(name, deliveries, id, posts)
        yield from _often(name, deliveries, id, posts)
        for told in deliveries.told_of.get(id, ()):
            if told.event.type is EventType.HOOK_FAILED:
                yield from _patience(name, deliveries, told, posts)
    for post in deliveries.posts:
        yield from _signed(name, deliveries, post)
    yield from _order(name, deliveries)
    yield from _gone(name, deliveries)
    yield from _at_once(name, deliveries)
    yield from _cut_off(name, deliveries)
    yield from _late(name, deliveries)


def _same(name: str, deliveries: Deliveries, id: str, posts: list[Post]) -> Iterable[Violation]:
    """Find deliveries that go to two URLs, or were posted before what they tell was durable."""
    place = deliveries.places.get(id)
    for post in posts:
        if place is None:
            message = "what was posted cannot be read"
            yield Violation(name, None, None, post.time, message)
            continue
        if post.url != place[1]:
            message = "a delivery goes to another URL at another try"
            yield Violation(name, None, place[0], post.time, message)
        if post.durable < place[0]:
            message = "an event was posted before it was durable"
            yield Violation(name, None, place[0], post.time, message)


def _often(name: str, deliveries: Deliveries, id: str, posts: list[Post]) -> Iterable[Violation]:
    """Find deliveries that were posted too often, or once more while they were under way."""
    again = sorted(deliveries.redelivered.get(id, ()))
    for before, post in itertools.pairwise(posts):
        if before.process == post.process and before.ended and post.time < before.ended:
            message = "a delivery was posted while it was under way"
            yield Violation(name, None, None, post.time, message)
    if deliveries.is_once(id):
        if len(posts) > 1 + len(again):
            message = f"what is delivered at most once was posted {len(posts)} times"
            yield Violation(name, None, None, posts[-1].time, message)
        return
    # What dies, or starts anew since a write was refused, loses what it has not written down.
    most = deliveries.sending.attempts + deliveries.interruptions
    for since, until in itertools.pairwise([-math.inf, *again, math.inf]):
        tries = [post for post in posts if since < post.time < until]
        if len(tries) > most:
            message = f"a delivery was tried {len(tries)} times, and {most} are the most"
            yield Violation(name, None, None, tries[-1].time, message)


def _patience(
    name: str, deliveries: Deliveries, told: Told, posts: list[Post]
) -> Iterable[Violation]:
    """Find a try that came before its time, or before the receiver wanted it."""
    event, retry_at = told.event, number(told.event.data["retry_at"])
    tries = deliveries.tries_of(told)
    if retry_at is None or not tries:
        return
    word, _, seconds = tries[-1].answer.partition(":")
    if word == "429" and told.status == 429 and retry_at - event.at < float(seconds) - MOMENT:
        message = f"it is to be tried again after {retry_at - event.at:g} s, not {seconds} s"
        yield Violation(name, event.job, event.seq, None, message)
    following = next((post for post in posts if post.durable >= event.seq), None)
    if following is None or deliveries.reading.stepped:
        return
    hastened = deliveries.was_redelivered([told.hook], tries[-1].time, following.time)
    early = retry_at - EPOCH - following.time
    if early > MOMENT and not hastened:
        message = f"it was tried again {early:g} s before its time"
        yield Violation(name, event.job, event.seq, following.time, message)


def _signed(name: str, deliveries: Deliveries, post: Post) -> Iterable[Violation]:
    """Find a request that its receiver could not verify."""
    wanted = deliveries.wanted.get(deliveries.places.get(post.id, (0, "")))
    if wanted is None:
        return
    if not wanted.plan.signed:
        if "webhook-signature" in post.headers:
            message = "what is not to be signed was signed"
            yield Violation(name, wanted.event.job, wanted.event.seq, post.time, message)
        return
    # What the clock showed is known only if nobody has set it.
    stamp = post.headers.get("webhook-timestamp", "")
    stepped = deliveries.reading.stepped and stamp.isdigit()
    now = float(stamp) if stepped else EPOCH + post.time
    try:
        verify_webhook(post.headers, post.body.encode(), SECRET, now=now)
    except InvalidWebhook as exc:
        message = f"a request cannot be verified: {exc.problem.value}"
        yield Violation(name, wanted.event.job, wanted.event.seq, post.time, message)


def _order(name: str, deliveries: Deliveries) -> Iterable[Violation]:
    """Find an event that was posted to a URL before the one before it had ended there."""
    before: dict[tuple[str, str], str] = {}
    for place, wanted in sorted(deliveries.wanted.items(), key=itemgetter(0)):
        event, ids = wanted.event, deliveries.at_place.get(place, [])
        line = event.job, wanted.plan.url
        earlier = before.pop(line, None)
        if len(ids) != 1:
            continue
        before[line] = ids[0]
        posts = deliveries.posts_of.get(ids[0])
        if posts is None or earlier is None or _has_ended(deliveries, earlier, event.job, posts[0]):
            continue
        message = f"{event.type.value} was posted before the event before it had ended"
        yield Violation(name, event.job, event.seq, posts[0].time, message)


def _has_ended(deliveries: Deliveries, id: str, job: str, post: Post) -> bool:
    """True if a delivery had ended once as something was posted, or nobody would have said so."""
    deletion = deliveries.reading.deleted.get(job)
    if deletion is not None and deletion.seq <= post.durable:
        return True
    told = deliveries.told_of.get(id, ())
    return any(each.event.type in ENDS and each.event.seq <= post.durable for each in told)


def _gone(name: str, deliveries: Deliveries) -> Iterable[Violation]:
    """Find what was posted to a URL that was gone."""
    for farewell in deliveries.farewells:
        for post in deliveries.posts:
            if (
                post.url == farewell.url
                and post.durable >= farewell.seq
                and post.time > farewell.known + _begun_before(deliveries, post)
                and not deliveries.was_enabled(farewell, post.time)
            ):
                message = "a request to a URL that was gone"
                yield Violation(name, None, farewell.seq, post.time, message)


def _begun_before(deliveries: Deliveries, post: Post) -> float:
    """Return how long ago it may have been begun: what goes out once is written down before."""
    if not deliveries.is_once(post.id):
        return MOMENT
    return math.inf if deliveries.reading.refused else STALL_MOST


def _at_once(name: str, deliveries: Deliveries) -> Iterable[Violation]:
    """Find more requests under way than there may be."""
    sending = deliveries.sending
    for process in sorted({post.process for post in deliveries.posts}):
        mine = [post for post in deliveries.posts if post.process == process]
        most, when = most_at_once(mine)
        if most > sending.limit:
            message = f"{most} requests were under way, and the limit is {sending.limit}"
            yield Violation(name, None, None, when, message)
        for url in sorted({post.url for post in mine}):
            most, when = most_at_once(post for post in mine if post.url == url)
            if most > sending.limit_each:
                message = f"{most} requests to one URL were under way, not {sending.limit_each}"
                yield Violation(name, None, None, when, message)


def most_at_once(posts: Iterable[Post]) -> tuple[int, float]:
    """Return how many requests of one process were under way at most, and when first.

    Those that were never heard of do not count: nobody knows when they were over.
    """
    changes: list[tuple[float, int]] = []
    for post in posts:
        if post.ended is not None and post.ended > post.time:
            changes += [(post.time, 1), (post.ended, -1)]
    now, most, when = 0, 0, 0.0
    for time, change in sorted(changes):
        now += change
        if now > most:
            most, when = now, time
    return most, when


def _cut_off(name: str, deliveries: Deliveries) -> Iterable[Violation]:
    """Find requests that were cut off by a process that left, and had time to wait for them."""
    reading = deliveries.reading
    if reading.refused:
        # Then a part of it may have started anew.
        return
    for post in deliveries.posts:
        life = next((life for life in reading.lives if life.lane == post.process), None)
        if post.ended is not None or life is None or not _left_by_itself(life):
            continue
        gone, leaving = life.gone or 0.0, life.leaving or 0.0
        if gone < leaving + reading.scenario.drain_timeout - MOMENT:
            message = f"a request was cut off {gone - leaving:g} s after its process was told to go"
            yield Violation(name, None, None, post.time, message)


def _left_by_itself(life: Life) -> bool:
    there = life.gone is not None and life.leaving is not None
    return there and not life.killed and life.crashed_at is None


def _late(name: str, deliveries: Deliveries) -> Iterable[Violation]:
    """Find what was posted late, to receivers that are well, in runs that nothing disturbed."""
    reading, sending = deliveries.reading, deliveries.sending
    drained = any(op.what == "drain" for op in reading.scenario.ops)
    if not reading.undisturbed or drained or len(reading.lives) != 1:
        return
    if most_at_once(deliveries.posts)[0] >= sending.limit:
        return
    for place in _first_of_each(deliveries):
        wanted = deliveries.wanted[place]
        first = deliveries.posts_of[deliveries.at_place[place][0]][0]
        waited = first.time - reading.virtual(wanted.event)
        if waited > PROMPT:
            message = f"{wanted.event.type.value} was posted {waited:g} s after it happened"
            yield Violation(name, wanted.event.job, wanted.event.seq, first.time, message)


def _first_of_each(deliveries: Deliveries) -> Iterator[tuple[int, str]]:
    """Return the first event of each job to each URL whose receiver is well, if it was posted."""
    plans = {plan.url: plan.answers for plan in deliveries.reading.scenario.receivers}
    seen: set[tuple[str, str]] = set()
    for place, wanted in sorted(deliveries.wanted.items(), key=itemgetter(0)):
        line = wanted.event.job, wanted.plan.url
        if line in seen:
            continue
        seen.add(line)
        ids = deliveries.at_place.get(place, [])
        well = all(answer == "ok" for answer in plans.get(wanted.plan.url, ()))
        if well and len(ids) == 1 and ids[0] in deliveries.posts_of:
            yield place
