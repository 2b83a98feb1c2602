"""What simulations of webhooks should have met: goals about deliveries, their receivers and ends.

A try is *under way* from when it is posted until its sender hears of it, gives up, or is gone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Self, TypeVar

import attrs

from triphase_protocol import Delivery, EventType, HookState

from .history import Entry, History, Post
from .receivers import WORDS
from .scenario import Scenario, SendingPlan
from .world import OVER

K = TypeVar("K")

Goal = Callable[["Posts"], bool]


@attrs.frozen
class Posts:
    """The tries of a run."""

    history: History
    sending: SendingPlan
    followed: bool
    by_id: Mapping[str, Sequence[Post]]
    """Those of each delivery, in the order in which they began."""

    by_receiver: Mapping[tuple[str, str], Sequence[Post]]
    """Those that one life of the process has made to one receiver, in that order."""

    @classmethod
    def of(cls, history: History, scenario: Scenario) -> Self:
        """Return the tries of a run of a scenario."""
        return cls(
            history,
            scenario.sending or SendingPlan(),
            scenario.followed,
            _grouped(history.posts, lambda post: post.id),
            _grouped(history.posts, lambda post: (post.process, post.url)),
        )

    def meanwhile(self, *whats: str) -> Iterator[tuple[Post, Entry]]:
        """Yield what happened, of these words, with each try that was under way by then."""
        for entry in self.history.all(*whats):
            for post in self.history.posts:
                if _under_way(post, entry.time) and entry.data.get("why") != OVER:
                    yield post, entry


def hook_goals_of(history: History, scenario: Scenario) -> Iterator[str]:
    """Yield the goals about webhooks that a run has met."""
    if history.posts or history.hooks:
        posts = Posts.of(history, scenario)
        yield from (name for name, met in HOOK_GOALS.items() if met(posts))


def _grouped(posts: Iterable[Post], key: Callable[[Post], K]) -> dict[K, list[Post]]:
    found: dict[K, list[Post]] = {}
    for post in posts:
        found.setdefault(key(post), []).append(post)
    return found


def _under_way(post: Post, time: float) -> bool:
    return post.time < time < (math.inf if post.ended is None else post.ended)


def _did(word: str) -> Goal:
    return lambda posts: any(post.answer.partition(":")[0] == word for post in posts.history.posts)


def _crashed(posts: Posts) -> bool:
    """A process died, and not of what it posted, while that was under way."""
    return any(
        entry.lane == post.process and post.ended is None and post.answer != "die"
        for post, entry in posts.meanwhile("killed")
    )


def _left(posts: Posts) -> bool:
    """A process began to leave while a try of it was under way, and waited for its end."""
    return any(
        entry.lane == post.process and post.ended is not None
        for post, entry in posts.meanwhile("leaving")
    )


def _drained(posts: Posts) -> bool:
    return any(entry.data["op"] == "drain" for _, entry in posts.meanwhile("asked"))


def _twice(posts: Posts) -> bool:
    """A receiver has had the same twice, though nobody had asked for it again."""
    asked = {id for _, id in posts.history.redelivered}
    return any(
        id not in asked and sum(post.received for post in tries) > 1
        for id, tries in posts.by_id.items()
    )


def _given_up(posts: Posts) -> bool:
    """What is delivered at most once was given up, since nobody heard what became of it."""
    return any(
        hook.delivery is Delivery.AT_MOST_ONCE
        and hook.state is HookState.DEAD
        and any(post.ended is None for post in posts.by_id.get(hook.id, ()))
        for hook in posts.history.hooks
    )


def _after_its_deletion(posts: Posts) -> bool:
    """What a job had done was posted when the job was deleted already."""
    deleted = {
        event.job: event.seq for event in posts.history.log if event.type is EventType.JOB_DELETED
    }
    return any(
        hook.event is not EventType.JOB_DELETED and post.durable >= deleted.get(hook.job, math.inf)
        for hook in posts.history.hooks
        for post in posts.by_id.get(hook.id, ())
    )


def _deletion_told(posts: Posts) -> bool:
    return any(
        hook.event is EventType.JOB_DELETED and hook.state is HookState.DELIVERED
        for hook in posts.history.hooks
    )


def _asked_meanwhile(posts: Posts) -> bool:
    return any(
        _under_way(post, time)
        for time, id in posts.history.redelivered
        for post in posts.by_id.get(id, ())
    )


def _delivered_again(posts: Posts) -> bool:
    """What had been delivered was asked for again, and posted again."""
    for time, id in posts.history.redelivered:
        tries = posts.by_id.get(id, ())
        had = any(_well(post) and post.ended is not None and post.ended < time for post in tries)
        if had and any(post.time >= time for post in tries):
            return True
    return False


def _untried(posts: Posts) -> bool:
    """A delivery was given up untried, since its receiver had said that it is gone."""
    return any(
        hook.state is HookState.DEAD and hook.id not in posts.by_id for hook in posts.history.hooks
    )


def _back(posts: Posts) -> bool:
    """A receiver that had said that it is gone was asked again, and has answered well."""
    gone: set[str] = set()
    for post in posts.history.posts:
        if post.status == 410:
            gone.add(post.url)
        elif post.url in gone and _well(post):
            return True
    return False


def _well(post: Post) -> bool:
    return post.status == 200


def _opened(tries: Sequence[Post], failures: int) -> Iterator[float]:
    """Yield when a receiver had failed so often in a row, as one life of the process saw it."""
    ended = sorted((post.ended, _well(post)) for post in tries if post.ended is not None)
    for well, run in itertools.groupby(ended, key=lambda end: end[1]):
        times = [time for time, _ in run]
        if not well and len(times) >= failures:
            yield times[failures - 1]


def _rested(posts: Posts) -> bool:
    return any(
        True for tries in posts.by_receiver.values() for _ in _opened(tries, posts.sending.failures)
    )


def _woke(posts: Posts) -> bool:
    """After such a pause the same life tried again, and it went well."""
    return any(
        post.time >= time + posts.sending.pause and _well(post)
        for tries in posts.by_receiver.values()
        for time in _opened(tries, posts.sending.failures)
        for post in tries
    )


def _unread(posts: Posts) -> bool:
    return not posts.followed and any(
        hook.state is HookState.DELIVERED for hook in posts.history.hooks
    )


HOOK_GOALS: Final[Mapping[str, Goal]] = {
    **{f"a receiver does: {word}": _did(word) for word in WORDS},
    "a webhook delivered that nobody follows": _unread,
    "a crash while a post is under way": _crashed,
    "a post under way as the runtime closes": _left,
    "a drain while a post is under way": _drained,
    "a webhook received twice": _twice,
    "at most once, and given up": _given_up,
    "a webhook posted after its job was deleted": _after_its_deletion,
    "a deletion told": _deletion_told,
    "a redelivery asked for while it is under way": _asked_meanwhile,
    "a redelivery of what was delivered": _delivered_again,
    "a webhook given up untried": _untried,
    "a receiver that was gone is back": _back,
    "a receiver left alone for a while": _rested,
    "a receiver tried again after that, with success": _woke,
}
"""Each goal by its name."""
