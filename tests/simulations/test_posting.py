"""Webhooks of a test's own jobs: they go to its services, and are disturbed as other calls are."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import trio

import triphase
from triphase.hooks import Answer
from triphase_simulations import Sim, Unsettled, simulate

URL = "https://app.example/jobs"
SECRET = "whsec_" + "c2VjcmV0IG9mIHRoaXJ0eSBieXRlcyBvciBzbw=="


@triphase.job(webhook=triphase.Webhook(url=URL, secret="app"))
class Greet:
    name: str

    @triphase.phase()
    async def greet(self, ctx: triphase.Context) -> str:
        return f"hello {self.name}"


class Inbox:
    """Receives webhooks, and knows those that it has had."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.greetings: dict[str, str] = {}
        self.posted = 0

    def post(self, headers: Mapping[str, str], body: bytes) -> object:
        self.posted += 1
        triphase.verify_webhook(headers, body, SECRET, now=0, tolerance=1e12)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            self.greetings[headers["webhook-id"]] = json.loads(body)["data"]["job"]["result"]
        return answer


async def greeted(sim: Sim, inbox: Inbox) -> None:
    """Greet two, and let it settle."""
    sim.service(URL, inbox)
    runtime = await sim.runtime([Greet], secrets={"app": SECRET})
    for name in ("Ada", "Bo"):
        await runtime.submit(Greet(name), key=name)
    await sim.settle()


@simulate(runs=60)
async def test_every_end_is_told_whatever_goes_wrong(sim: Sim) -> None:
    sim.chaos(crash=True, refusals=True, clock=True)
    inbox = Inbox()
    await greeted(sim, inbox)
    assert sorted(inbox.greetings.values()) == ["hello Ada", "hello Bo"]
    sim.sometimes("one is posted twice", inbox.posted > 2)


@simulate(runs=1)
async def test_a_receiver_answers_a_status_or_an_answer(sim: Sim) -> None:
    inbox = Inbox(500, Answer(status=429, retry_after=50.0))
    await greeted(sim, inbox)
    assert sim.now() >= 50.0
    assert inbox.posted == 4
    assert len(inbox.greetings) == 2


@simulate(runs=1)
async def test_a_receiver_that_never_answers_is_given_up_for_a_while(sim: Sim) -> None:
    class Hanging(Inbox):
        async def post(self, headers: Mapping[str, str], body: bytes) -> object:
            if self.posted < 2:
                self.posted += 1
                await trio.sleep_forever()
            return super().post(headers, body)

    inbox = Hanging()
    await greeted(sim, inbox)
    assert sim.now() >= 20.0
    assert len(inbox.greetings) == 2


@simulate(runs=1)
async def test_a_webhook_to_nobody_is_named_when_nothing_settles(sim: Sim) -> None:
    runtime = await sim.runtime([Greet], secrets={"app": SECRET})
    await runtime.submit(Greet("Ada"))
    with pytest.raises(Unsettled, match=f"to {URL} is pending, app.example: nothing is at"):
        await sim.settle(disturbed=1.0, within=10.0)


def test_an_answer_that_is_none_fails_the_test() -> None:
    @simulate(runs=1)
    async def broken(sim: Sim) -> None:
        await greeted(sim, Inbox("fine"))

    with pytest.raises(AssertionError, match="returns 'fine': no status, Answer or None"):
        broken()
