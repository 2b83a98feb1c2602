"""The receivers of webhooks: each does what its plan says, and outlives who posts to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from triphase.hooks import Answer, SendFailed
from triphase_protocol import InvalidValue
from triphase_simulations.history import History, Post
from triphase_simulations.plan import Plan
from triphase_simulations.receivers import (
    PATIENCE,
    TRAVEL,
    WORDS,
    ReceiverPlan,
    Receivers,
    name_of,
)
from triphase_simulations.world import Process, World

URL = "https://r0.example/in"
OTHER = "https://r1.example/in"
NOTHING = "r0: no answer"

Life = Callable[["Program"], Awaitable[None]]


class Program:
    """Posts to receivers in one life of a process or more; knows what it was told."""

    def __init__(self, *answers: str, plan: Plan | None = None) -> None:
        self.told: list[Answer | str] = []
        self.process: Process | None = None
        self._world = World(plan or Plan())
        plans = (ReceiverPlan(url=URL, answers=answers),)
        self._receivers = Receivers(self._world, plans, lambda: 7)

    def run(self, *lives: Life) -> History:
        """Run these lives, one after the other."""

        async def main() -> None:
            for life in lives:
                await self._begin(life).ended.wait()

        return self._world.run(main)

    def _begin(self, life: Life) -> Process:
        async def node(process: Process) -> None:
            self.process = process
            await life(self)

        return self._world.start("node", node)

    async def post(self, url: str = URL) -> None:
        """Post once."""
        assert self.process is not None
        headers = {"webhook-id": f"h{len(self.told)}", "webhook-timestamp": "0"}
        try:
            self.told.append(await self._receivers.sender(self.process).send(url, headers, b"{}"))
        except SendFailed as exc:
            self.told.append(str(exc) if exc.retry else "never again")


async def once(program: Program) -> None:
    """Post once."""
    await program.post()


async def twice(program: Program) -> None:
    """Post two, one after the other."""
    await program.post()
    await program.post()


def seconds_of(post: Post) -> float | None:
    """Return how long a try took."""
    return None if post.ended is None else round(post.ended - post.time, 6)


@pytest.mark.parametrize(
    ("word", "told", "seconds"),
    [
        ("ok", Answer(status=200), TRAVEL),
        ("slow:3.5", Answer(status=200), 3.5 + TRAVEL),
        ("slow:30", NOTHING, PATIENCE),
        ("refuse", NOTHING, TRAVEL),
        ("lost", NOTHING, TRAVEL),
        ("hang", NOTHING, PATIENCE),
        ("500", Answer(status=500), TRAVEL),
        ("429:2.5", Answer(status=429, retry_after=2.5), TRAVEL),
        ("410", Answer(status=410), TRAVEL),
    ],
)
def test_a_receiver_does_what_its_plan_says(word: str, told: Answer | str, seconds: float) -> None:
    program = Program(word)
    history = program.run(twice)
    assert program.told == [told, Answer(status=200)], "from then on it does well"
    first, second = history.posts
    assert first == Post(
        time=0.0,
        process="node",
        url=URL,
        id="h0",
        body="{}",
        headers={"webhook-id": "h0", "webhook-timestamp": "0"},
        received=word != "refuse",
        answer=word,
        status=told.status if isinstance(told, Answer) else None,
        durable=7,
        ended=first.ended,
    )
    assert seconds_of(first) == seconds
    assert (second.answer, second.status, second.received) == ("ok", 200, True)


def test_a_sender_may_die_of_what_it_sends() -> None:
    program = Program("die")
    history = program.run(once, once)
    died, again = history.posts
    assert (died.process, again.process) == ("node", "node#2")
    assert (died.received, died.status, died.ended) == (True, None, None)
    [killed] = [entry for entry in history.all("killed") if entry.lane == "node"]
    assert killed.time == died.time
    assert program.told == [Answer(status=200)], "it is another life that hears of the second"


def test_a_receiver_outlives_who_posts_to_it() -> None:
    program = Program("500", "410")
    program.run(once, once, once)
    assert program.told == [Answer(status=500), Answer(status=410), Answer(status=200)]


def test_who_is_killed_meanwhile_hears_of_nothing() -> None:
    async def killed(program: Program) -> None:
        assert program.process is not None
        process = program.process
        process.spawn(program.post, name="post")
        await trio.sleep(1.0)
        process.world.kill(process, "in time")

    program = Program("slow:3.0")
    [only] = program.run(killed).posts
    assert (only.received, only.status, only.ended, program.told) == (True, None, None, [])


def test_who_is_cancelled_meanwhile_hears_of_nothing() -> None:
    async def cancelled(program: Program) -> None:
        with trio.move_on_after(1.0):
            await program.post()

    program = Program("slow:3.0")
    history = program.run(cancelled)
    [only] = history.posts
    assert (only.received, only.status, only.ended, program.told) == (True, None, None, [])
    assert not list(history.all("told"))


def test_each_receiver_goes_through_a_list_of_its_own() -> None:
    async def both(program: Program) -> None:
        await program.post(OTHER)
        await program.post(URL)

    program = Program("500")
    program.run(both)
    assert program.told == [Answer(status=200), Answer(status=500)]


def test_an_answer_may_be_stalled() -> None:
    program = Program(plan=Plan(fixed={("stall", "answer:r0", 0): 0.3}))
    history = program.run(twice)
    assert [seconds_of(post) for post in history.posts] == [0.3 + TRAVEL, TRAVEL]


def test_what_it_does_is_noted_in_a_lane_of_its_own() -> None:
    history = Program("500").run(once)
    noted = [(entry.lane, entry.what, entry.data) for entry in history.all("posted", "told")]
    assert noted == [
        ("r0", "posted", {"hook": "h0", "by": "node", "does": "500"}),
        ("r0", "told", {"hook": "h0", "by": "node", "status": 500}),
    ]


@pytest.mark.parametrize("word", ["", "well", "slow", "slow:", "slow:x", "ok:3", "429", "500:1"])
def test_what_is_no_word_is_refused(word: str) -> None:
    with pytest.raises(InvalidValue, match="is nothing that it can do"):
        Program("ok", word)


def test_every_word_is_one() -> None:
    Program(*(word if word not in ("slow", "429") else f"{word}:1.0" for word in WORDS))


def test_a_receiver_is_called_by_the_first_part_of_its_host() -> None:
    assert (name_of(URL), name_of("http://localhost:80/x")) == ("r0", "localhost")
