"""Waits that are given up: each is answered once all the same, and as the client was told."""

from __future__ import annotations

import contextlib
from typing import Final

import pytest
import trio
from hypothesis import given, settings, strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

import triphase
from triphase.gateway.access import Token
from triphase.gateway.host import Manners
from triphase_protocol import IllegalTransition, JobState
from triphase_protocol.wire import Limits, Scope

from .rig import Clip, Note, Peer, Rig, open_rig


@pytest.mark.parametrize("timeout", [None, 1e6])
@pytest.mark.parametrize("type", ["wait", "wait_all"])
async def test_a_wait_that_is_abandoned_is_answered_so_and_makes_room(
    autojump_clock: MockClock, type: str, timeout: float | None
) -> None:
    manners = Manners(limits=Limits(waits=2))
    async with open_rig(Clip, manners=manners) as rig, rig.peer() as peer:
        job = await rig.runtime.submit(Clip(1e6))
        about = {"job": job.id} if type == "wait" else {"jobs": [job.id, job.id]}
        for number in range(5):
            # All in one breath: the room is there for what is said next.
            await peer.say(type, id=f"w{number}", timeout=timeout, **about)
            await peer.say("abandon", id=f"a{number}", request=f"w{number}")
        answers = [await peer.hear("answer", "error") for _ in range(10)]
        abandoned = [each for each in answers if each["type"] == "error"]
        assert sorted(each["id"] for each in abandoned) == [f"w{number}" for number in range(5)]
        assert {each["code"] for each in abandoned} == {"abandoned"}
        given_up = {each["id"]: each["result"] for each in answers if each["type"] == "answer"}
        assert given_up == {f"a{number}": {"found": True} for number in range(5)}
        assert rig.gateway.statistics().waits == 0
        assert rig.runtime.statistics().waiting == 0
        assert (await rig.runtime.get(job.id)).state is JobState.RUNNING, "the job goes on"


async def test_only_a_wait_of_this_connection_that_has_no_answer_is_abandoned(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(self: triphase.Runtime, queue: str) -> None:
        await trio.sleep(5)

    monkeypatch.setattr(triphase.Runtime, "pause", slowly)
    async with open_rig(Clip) as rig, rig.peer() as peer, rig.peer() as other:
        job = await rig.runtime.submit(Clip(5))
        await other.say("wait", id="w", job=job.id)
        await peer.say("pause", id="p", queue="media")
        await peer.ask("subscribe", id="s", topic=f"job:done:{job.id}")
        for id in ("w", "p", "s", "nobody", ""):
            assert await peer.ask("abandon", request=id) == {"found": False}, id
        assert await peer.hear("answer") == {"type": "answer", "id": "p", "result": None}
        assert (await other.hear("answer"))["result"]["outcome"]["type"] == "completed"
        assert (await peer.hear("done"))["job"] == job.id
        await peer.ask("wait", id="w", job=job.id)
        assert await peer.ask("abandon", request="w") == {"found": False}, "it has an answer"


async def test_of_two_that_abandon_the_same_wait_one_does(autojump_clock: MockClock) -> None:
    async with open_rig(Clip) as rig, rig.peer() as peer:
        job = await rig.runtime.submit(Clip(1e6))
        await peer.say("wait", id="w", job=job.id)
        await peer.say("abandon", id="1", request="w")
        await peer.say("abandon", id="2", request="w")
        answers = [await peer.hear("answer") for _ in range(2)]
        assert [each["result"] for each in answers] == [{"found": True}, {"found": False}]
        assert await peer.hear("error") == {
            "type": "error",
            "id": "w",
            "code": "abandoned",
            "message": "the client waits no longer",
            "problems": [],
        }
        assert await peer.ask("ping") is None
        assert peer.inbox == []


async def test_a_wait_that_is_abandoned_as_its_job_ends_is_answered_once_and_as_it_was_said(
    autojump_clock: MockClock,
) -> None:
    for steps in range(12):
        async with open_rig(Clip) as rig, rig.peer() as peer:
            job = await rig.runtime.submit(Clip(1e6))
            await peer.say("wait", id="w", job=job.id)
            await wait_all_tasks_blocked()
            rig.nursery.start_soon(rig.runtime.cancel, job.id)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            found = (await peer.ask("abandon", request="w"))["found"]
            reply = await peer.hear("answer", "error")
            assert (reply["id"], reply.get("code")) == ("w", "abandoned" if found else None)
            assert await peer.ask("ping") is None
            assert peer.inbox == []


async def test_no_scope_is_needed_to_abandon(autojump_clock: MockClock) -> None:
    tokens = (Token.of("a secret of sixteen", name="ann", scopes=(Scope.SUBMIT,)),)
    async with open_rig(Note, tokens=tokens) as rig, rig.peer(greeted=False) as peer:
        await peer.greet(token="a secret of sixteen")
        assert await peer.ask("abandon", request="x") == {"found": False}


# In any order

STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["wait", "wait_all", "pause", "end"]), st.integers(0, 2)),
        st.tuples(st.just("abandon"), st.integers(1, 6)),
    ),
    min_size=1,
    max_size=40,
)
"""What a client does: waits for one of three jobs, ends one of them, gives up the wait that it
asked for so many steps ago; and now and then it lets others have their turn."""


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_every_wait_is_answered_once_and_is_abandoned_if_the_client_was_told_so(
    steps: list[tuple[str, int]],
) -> None:
    async def main() -> None:
        manners = Manners(limits=Limits(waits=5))
        async with open_rig(Clip, manners=manners) as rig, rig.peer() as peer:
            asked, abandons = await carry_out(rig, peer, steps)
            for id in asked:
                await peer.say("abandon", id=f"last {id}", request=id)
                abandons[f"last {id}"] = id
            replies = [
                await peer.hear("answer", "error") for _ in range(len(asked) + len(abandons))
            ]
            assert await peer.ask("ping") is None
            assert peer.inbox == []
            by_id = {each["id"]: each for each in replies}
            assert set(by_id) == {*asked, *abandons}
            assert len(by_id) == len(replies)
            told = {id for abandon, id in abandons.items() if by_id[abandon]["result"]["found"]}
            assert told == {id for id in asked if by_id[id].get("code") == "abandoned"}
            assert {each.get("code") for each in replies} <= {None, "abandoned", "limit"}
            assert rig.gateway.statistics().waits == rig.runtime.statistics().waiting == 0

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def carry_out(
    rig: Rig, peer: Peer, steps: list[tuple[str, int]]
) -> tuple[list[str], dict[str, str]]:
    """Take steps; return the ids of the waits, and by the id of each abandon what it is about."""
    jobs = [(await rig.runtime.submit(Clip(1e6))).id for _ in range(3)]
    asked: list[str] = []
    abandons: dict[str, str] = {}
    for number, (step, about) in enumerate(steps):
        match step:
            case "wait":
                asked.append(f"{number}")
                await peer.say("wait", id=f"{number}", job=jobs[about])
            case "wait_all":
                asked.append(f"{number}")
                await peer.say("wait_all", id=f"{number}", jobs=jobs[: about + 1])
            case "abandon":
                abandons[f"{number}"] = asked[-about] if about <= len(asked) else "nobody"
                await peer.say("abandon", id=f"{number}", request=abandons[f"{number}"])
            case "end":
                rig.nursery.start_soon(end, rig, jobs[about])
            case _:
                await wait_all_tasks_blocked()
    return asked, abandons


async def end(rig: Rig, job: str) -> None:
    """End a job, if it has not."""
    with contextlib.suppress(IllegalTransition):
        await rig.runtime.cancel(job)
