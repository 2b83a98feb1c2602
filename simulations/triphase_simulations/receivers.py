"""Receivers of webhooks: other machines, each of which does what its plan says, then answers well.

They outlive the processes that post to them. What was received is received, whether or not whoever
sent it lives to hear so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio

from triphase.hooks import Answer, SendFailed
from triphase_protocol import InvalidValue

from .history import Post
from .world import Process, World

SECRET_NAME: Final = "sim"
"""What the one secret is called."""

SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoaXJ0eSBieXRlcyBvciBzbw=="
"""The one secret that webhooks are signed with."""

PATIENCE: Final = 20.0
"""Virtual seconds that a receiver has to answer, before its sender gives up."""

TRAVEL: Final = 0.0005
"""Virtual seconds that an answer takes at least."""

OK: Final = "ok"
"""What a receiver does that is well."""

WORDS: Final = (OK, "slow", "refuse", "lost", "hang", "500", "429", "410", "die")
"""What a receiver may do; see `ReceiverPlan`."""


TIMED: Final = ("slow", "429")
"""Those of them that come with seconds."""


@attrs.frozen(kw_only=True)
class ReceiverPlan:
    """A machine that webhooks go to."""

    url: str

    answers: tuple[str, ...] = ()
    """What it does at each request, one after the other; from then on it is `ok`.

    `ok` · `slow:S`: answers 200 after so many seconds · `refuse`: there is no connection, and
    nothing is received · `lost`: it is received, and the answer does not arrive · `hang`: it is
    received, and never answered · `500` · `429:S`: asks for so many seconds · `410` · `die`: it is
    received, and its sender is killed before it hears of it.
    """


class Receivers:
    """The receivers of a run.

    Args:
      world: where.
      plans: what each does.
      durable: returns the `seq` of the last event that is durable.

    Raises:
      InvalidValue: if a plan is none.
    """

    def __init__(
        self, world: World, plans: tuple[ReceiverPlan, ...], durable: Callable[[], int]
    ) -> None:
        for plan in plans:
            _check(plan)
        self._world = world
        self._plans = {plan.url: plan.answers for plan in plans}
        self._durable = durable
        self._requests = Counter[str]()

    def sender(self, process: Process) -> ReceiversSender:
        """Return what sends to them in one life of a process."""
        return ReceiversSender(self, process)

    async def post(
        self, process: Process, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Receive a webhook, or not, and answer it, or not; see `ReceiverPlan`.

        A checkpoint. Cancelled, it was received unless its receiver refuses.

        Raises:
          SendFailed: if no answer came.
          ProcessKilled: if its sender dies of it.
        """
        world, posts = self._world, self._world.history.posts
        word, place = self._next(url), len(posts)
        posts.append(
            Post(
                time=round(world.now(), 6),
                process=process.lane,
                url=url,
                id=headers["webhook-id"],
                body=body.decode(),
                headers=dict(headers),
                received=word != "refuse",
                answer=word,
                durable=self._durable(),
            )
        )
        lane = name_of(url)
        world.note(lane, "posted", hook=headers["webhook-id"], by=process.lane, does=word)
        if word == "die":
            world.die(process, "as its webhook has arrived")
        answer = None
        with trio.move_on_after(PATIENCE):
            answer = await self._answer(url, word)
        if process.dead:
            # It is only let run on because all is over.
            raise SendFailed("its sender is dead", retry=True)
        status = None if answer is None else answer.status
        posts[place] = attrs.evolve(posts[place], status=status, ended=round(world.now(), 6))
        world.note(lane, "told", hook=headers["webhook-id"], by=process.lane, status=status)
        if answer is None:
            raise SendFailed(f"{lane}: no answer", retry=True)
        return answer

    def _next(self, url: str) -> str:
        """Return what a receiver does this time."""
        answers = self._plans.get(url, ())
        nth = self._requests[url]
        self._requests[url] += 1
        return answers[nth] if nth < len(answers) else OK

    async def _answer(self, url: str, word: str) -> Answer | None:
        """Return what the sender is told; None if it is told nothing."""
        what, _, seconds = word.partition(":")
        await trio.sleep(TRAVEL)
        if stalled := self._world.plan.next("stall", f"answer:{name_of(url)}"):
            await trio.sleep(stalled)
        match what:
            case "ok":
                return Answer(status=200)
            case "slow":
                await trio.sleep(float(seconds))
                return Answer(status=200)
            case "refuse" | "lost":
                return None
            case "hang":
                return await trio.sleep_forever()
            case "429":
                return Answer(status=429, retry_after=float(seconds))
            case _:
                return Answer(status=int(what))


@attrs.frozen
class ReceiversSender:
    """Sends the webhooks of one life of a process; see `triphase.hooks.Sender`."""

    receivers: Receivers
    process: Process

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST a body to a receiver; see `Receivers.post`."""
        return await self.receivers.post(self.process, url, headers, body)


def _check(plan: ReceiverPlan) -> None:
    for answer in plan.answers:
        word, _, seconds = answer.partition(":")
        if word not in WORDS or (word in TIMED) != seconds.replace(".", "", 1).isdigit():
            raise InvalidValue(f"receiver {plan.url}: {answer!r} is nothing that it can do")


def name_of(url: str) -> str:
    """Return what a receiver is called: the first part of its host."""
    return (urlsplit(url).hostname or url).partition(".")[0]
