"""Webhooks: what is in the outbox, what it holds, and what is said of how it ended."""

from __future__ import annotations

from collections.abc import Iterable

from triphase_protocol import Event, EventType, Hook, HookState, Json, decode, encode

from .deliveries import ENDS, GONE, Deliveries, Told, Wanted, content
from .posts import judge_posts
from .reading import Reading, part
from .violations import Violation


class Hooks:
    """O10."""

    name = "O10"
    says = "What a webhook wants is sent as it was committed, in order, as often as was promised."

    def judge(self, reading: Reading) -> Iterable[Violation]:
        """Return what is missing, wrong, or was delivered otherwise than was promised."""
        deliveries = Deliveries(reading)
        yield from _missing(self.name, deliveries)
        yield from _rows(self.name, deliveries)
        yield from _bodies(self.name, deliveries)
        for told in deliveries.told_of.values():
            yield from _ends(self.name, deliveries, told)
        yield from _gone(self.name, deliveries)
        yield from judge_posts(self.name, deliveries)


def _missing(name: str, deliveries: Deliveries) -> Iterable[Violation]:
    """Find events that are to be delivered, and that the outbox does not know of."""
    by_event: dict[int, list[Wanted]] = {}
    for wanted in deliveries.wanted.values():
        by_event.setdefault(wanted.event.seq, []).append(wanted)
    present = {(hook.seq, hook.url) for hook in deliveries.rows.values()}
    for seq, each in by_event.items():
        missing = [wanted for wanted in each if wanted.place not in present]
        deletion = deliveries.reading.deleted.get(each[0].event.job)
        if deletion is not None:
            # What had ended by then is gone with its job. Which it was nobody knows, if nothing
            # of it was ever sent, but how many.
            missing = missing[_ended_before(deliveries, seq, deletion.seq) :]
        for wanted in missing:
            message = f"nothing in the outbox brings {wanted.event.type.value} where it is wanted"
            yield Violation(name, wanted.event.job, seq, None, message)


def _ended_before(deliveries: Deliveries, seq: int, deletion: int) -> int:
    """Return how many deliveries of an event had ended, and are gone, as its job was deleted."""
    return sum(
        any(
            each.event.type in ENDS and each.event.seq < deletion and each.event.data["seq"] == seq
            for each in told
        )
        for id, told in deliveries.told_of.items()
        if id not in deliveries.rows
    )


def _rows(name: str, deliveries: Deliveries) -> Iterable[Violation]:
    """Find what is twice in the outbox, or is wanted nowhere, and what is left in it."""
    for place, ids in deliveries.at_place.items():
        if len(ids) > 1:
            message = "an event is delivered to one URL under several ids"
            yield Violation(name, None, place[0], None, message)
    for hook in deliveries.rows.values():
        if deliveries.is_known(hook.job) and (hook.seq, hook.url) not in deliveries.wanted:
            message = f"a {hook.event.value} is in the outbox that no webhook wants"
            yield Violation(name, hook.job, hook.seq, None, message)
        if hook.state is HookState.PENDING:
            if deliveries.reading.history.settled:
                message = f"a {hook.event.value} is still to be delivered"
                yield Violation(name, hook.job, hook.seq, None, message)
        elif hook.job not in deliveries.reading.deleted:
            yield from _last_word(name, deliveries, hook)


def _last_word(name: str, deliveries: Deliveries, hook: Hook) -> Iterable[Violation]:
    """Compare a row that has ended with what the log says last of it."""
    told = deliveries.told_of.get(hook.id)
    if not told:
        message = f"a delivery is {hook.state.value}, and the log does not say so"
        yield Violation(name, hook.job, hook.seq, None, message)
        return
    last = told[-1].event
    said = (last.type.value, last.data["status"], last.data["attempt"])
    if said != (f"hook.{hook.state.value}", hook.status, hook.attempts):
        message = f"a delivery is {hook.state.value}, and the log says otherwise"
        yield Violation(name, hook.job, last.seq, None, message)


def _bodies(name: str, deliveries: Deliveries) -> Iterable[Violation]:
    """Find what is sent that is not as it was committed, or is another than was sent before."""
    committed = {event.seq: event for event in deliveries.reading.log}
    for id, (seq, _) in deliveries.places.items():
        posts = deliveries.posts_of.get(id, [])
        row = deliveries.known.get(id)
        body = posts[0].body if row is None else row.body or ""
        event = committed.get(seq)
        job = None if event is None else event.job
        if event is None:
            message = "a delivery is about an event that was never committed"
            yield Violation(name, job, seq, None, message)
        elif not _is_of(deliveries, event, body):
            message = f"what is sent of {event.type.value} is not what was committed"
            yield Violation(name, job, seq, None, message)
        for post in posts:
            if post.body != body:
                message = "a delivery has another body at another try"
                yield Violation(name, job, seq, post.time, message)


def _is_of(deliveries: Deliveries, event: Event, body: str) -> bool:
    """True if a body holds an event, and the record of its job of the same transaction."""
    said = content(body)
    if part(said, "event") != decode(encode(event)) or _type_of(body) != event.type.value:
        return False
    record = part(said, "job")
    last = deliveries.last_of_group(event)
    version = part(record, "version")
    for step in deliveries.reading.steps[event.job]:
        if step.event.version == version:
            deleted = step.event.type is EventType.JOB_DELETED
            state = step.before if deleted else step.after
            return (
                event.seq <= step.event.seq <= last
                and part(record, "id") == event.job
                and part(record, "run") == step.event.run
                and part(record, "state") == (None if state is None else state.value)
            )
    return False


def _type_of(body: str) -> Json:
    return part(decode(body.encode()), "type")


def _ends(name: str, deliveries: Deliveries, told: list[Told]) -> Iterable[Violation]:
    """Find what is said of tries that were none, and ends of a delivery that has ended."""
    again = 0
    for before, each in zip([None, *told], told, strict=False):
        event = each.event
        if before is not None and before.event.type in ENDS:
            again += 1
            if again > len(deliveries.redelivered.get(each.hook, ())):
                message = f"{event.type.value} of a delivery that had ended, and nobody asked"
                yield Violation(name, event.job, event.seq, None, message)
        yield from _shown(name, deliveries, each)
        if event.type is EventType.HOOK_DEAD:
            yield from _given_up(name, deliveries, each)


def _shown(name: str, deliveries: Deliveries, told: Told) -> Iterable[Violation]:
    """Find an answer that nobody has given, in the tries since it had ended before."""
    event, status = told.event, told.status
    if status is None and event.type is not EventType.HOOK_DELIVERED:
        return
    if event.type is EventType.HOOK_DELIVERED and not (status and 200 <= status < 300):
        message = f"a delivery was delivered by the answer {status}"
        yield Violation(name, event.job, event.seq, None, message)
    elif not any(post.status == status for post in deliveries.tries_of(told)):
        message = f"{event.type.value} by the answer {status}, that nobody has given"
        yield Violation(name, event.job, event.seq, None, message)


def _given_up(name: str, deliveries: Deliveries, told: Told) -> Iterable[Violation]:
    """Find a delivery that was given up before its tries were spent."""
    place = deliveries.places.get(told.hook)
    if place is None or place not in deliveries.wanted or told.status == GONE:
        return
    gone = any(post.url == place[1] and post.status == GONE for post in deliveries.posts)
    if gone and told.status is None:
        return
    if deliveries.is_once(told.hook):
        if not deliveries.tries_of(told) and not deliveries.interruptions:
            message = "what is delivered at most once was given up without a try"
            yield Violation(name, told.event.job, told.event.seq, None, message)
    elif told.attempts < deliveries.sending.attempts:
        message = f"it was given up after {told.attempts} tries of {deliveries.sending.attempts}"
        yield Violation(name, told.event.job, told.event.seq, None, message)


def _gone(name: str, deliveries: Deliveries) -> Iterable[Violation]:
    """Find receivers that are gone, and nobody has kept that; or that never said so."""
    disabled = deliveries.reading.history.disabled
    said = {post.url for post in deliveries.posts if post.status == GONE}
    for url in sorted(disabled.keys() - said):
        message = f"nothing is sent to a URL, and it never said that it is gone: {url}"
        yield Violation(name, None, None, None, message)
    for farewell in deliveries.farewells:
        if farewell.url not in disabled and not deliveries.was_enabled(farewell):
            message = f"a URL was gone, and nobody has kept that: {farewell.url}"
            yield Violation(name, None, farewell.seq, farewell.began, message)
