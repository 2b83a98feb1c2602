"""Which events are POSTed, and where; and that everything written is asked about."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, get_args

import attrs
import pytest
from tests.actors.store import building
from tests.actors.store.outbox import data_in, row
from trio.testing import MockClock

import triphase
from triphase.definition import definition_of
from triphase.outbox import Outbox, hooks_of
from triphase.store import (
    Claim,
    Delete,
    Disk,
    HookStep,
    NewHook,
    Prune,
    Query,
    Redeliver,
    SetQueue,
    SimulatedStore,
    Step,
    Submit,
)
from triphase.store.operations import Operation
from triphase_protocol import (
    TERMINAL_EVENTS,
    Delivery,
    EventType,
    Hook,
    HookState,
    Job,
)

from .hooks.receivers import SECRET, Receivers
from .sample_jobs import Reopen

NOWHERE = triphase.Sending(sender=Receivers(seconds=math.inf))
"""What is sent there never ends."""

ANY = ("job.submitted", "job.queued", "job.started", "phase.started", "job.deleted")


def to(name: str, *events: str, **fields: Any) -> triphase.Webhook:
    """A webhook."""
    made: Any = events
    return triphase.Webhook(url=f"https://{name}.example/", events=made, **fields)


def numbered() -> Callable[[], str]:
    """Ids that count."""
    numbers = itertools.count(1)
    return lambda: f"h{next(numbers)}"


def brief(hooks: tuple[NewHook, ...]) -> list[tuple[str, int, str]]:
    return [(hook.id, hook.event, hook.url[8:-9]) for hook in hooks]


# The choice


def test_each_event_goes_to_whoever_wants_it() -> None:
    made = building.submit("a")
    webhooks = [to("x", "job.queued"), to("y", *ANY), to("z")]
    assert brief(hooks_of(made.job, made.events, webhooks, numbered())) == [
        ("h1", 0, "y"),
        ("h2", 1, "x"),
        ("h3", 1, "y"),
    ]


def test_without_a_word_about_events_the_end_of_a_run_is_told_of() -> None:
    running = building.start(building.submit("a", phases=["one"]).job).job
    for step in (building.complete(running), building.fail(running), building.cancel(running)):
        [hook] = hooks_of(step.job, step.events, [to("x")], numbered())
        assert step.events[hook.event].type in TERMINAL_EVENTS
    for step in (building.progress(running), building.stop(running), building.back_off(running)):
        assert hooks_of(step.job, step.events, [to("x")], numbered()) == ()


def test_a_url_is_told_of_an_event_once() -> None:
    own = to("x", "job.queued", delivery=Delivery.AT_MOST_ONCE, secret="own")
    made = building.submit("a", webhooks=(to("x", "job.started"), own))
    webhooks = [to("x", "job.queued", secret="other"), to("y", "job.queued"), to("x", *ANY)]
    first, second, third = hooks_of(made.job, made.events, webhooks, numbered())
    assert (first.event, first.url) == (0, "https://x.example/")
    assert (second.event, second.secret, second.delivery) == (1, "own", Delivery.AT_MOST_ONCE)
    assert (third.event, third.url) == (1, "https://y.example/")


def test_no_id_is_drawn_for_nothing() -> None:
    def draw() -> str:
        raise AssertionError("nothing is delivered")

    made = building.submit("a")
    assert hooks_of(made.job, made.events, [to("x")], draw) == ()
    assert hooks_of(made.job, made.events, [], draw) == ()


# The operations


@triphase.job(name="Transcode", webhook=to("type", *ANY))
class Told:
    """Of which its own webhook is told."""

    @triphase.phase()
    async def fetch(self, ctx: triphase.Context) -> str:
        return "in.mp4"


OPERATIONS = get_args(Operation)


def operations() -> dict[type, Operation]:
    """Return one of each kind, about a job of a known type."""
    made = building.submit("a")
    claimed = building.claim(made.job)
    ended = building.cancel(claimed.step.job).job
    deletion = attrs.evolve(building.delete(ended), record=ended)
    hook = Hook(id="h", job="a", run=0, seq=1, event=EventType.JOB_FAILED, url="https://x", body="")
    every: list[Operation] = [
        made,
        claimed.step,
        claimed,
        deletion,
        building.tried(hook, HookState.DEAD),
        Redeliver(hook="h", due_at=0.0),
        Prune(before=0.0),
        SetQueue(name="q", paused=None, slots=None),
    ]
    return {type(each): each for each in every}


def hooks_in(operation: Operation) -> tuple[NewHook, ...]:
    match operation:
        case Claim(step=step):
            return step.hooks
        case Submit() | Step() | Delete():
            return operation.hooks
        case _:
            return ()


def events_in(operation: Operation) -> int:
    match operation:
        case Claim(step=step):
            return len(step.events)
        case Submit() | Step() | Delete():
            return len(operation.events)
        case _:
            return 0


@pytest.mark.parametrize("kind", OPERATIONS)
def test_every_kind_of_operation_is_addressed(kind: type) -> None:
    operation = operations()[kind]
    outbox = Outbox([definition_of(Told)], [to("all", *ANY)], numbered())
    addressed = outbox.address(operation)
    assert type(addressed) is kind
    found = [(event, url) for _, event, url in brief(hooks_in(addressed))]
    urls = ("type", "all")
    assert found == [(event, url) for event in range(events_in(operation)) for url in urls]
    assert (found == []) is (kind in (HookStep, Redeliver, Prune, SetQueue))


@pytest.mark.parametrize("kind", OPERATIONS)
def test_without_a_webhook_an_operation_stays_itself(kind: type) -> None:
    operation = operations()[kind]
    assert Outbox([], [], numbered()).address(operation) is operation
    assert Outbox([], [to("x", "job.gated")], numbered()).address(operation) is operation


def test_a_type_that_nobody_knows_is_told_of_by_the_runtimes_webhooks() -> None:
    made = building.submit("a", type="Unknown", webhooks=(to("own", "job.queued"),))
    outbox = Outbox([definition_of(Told)], [to("all", "job.queued")], numbered())
    found = hooks_in(outbox.address(made))
    assert brief(found) == [("h1", 1, "own"), ("h2", 1, "all")]


# The whole way


@triphase.job(webhook=[to("type"), "https://other.example/"])
class Film:
    """Its end is told of."""

    fails: bool = False

    @triphase.phase()
    async def show(self, ctx: triphase.Context) -> str:
        if self.fails:
            raise ValueError("no")
        return "seen"


async def outbox_of(reopen: Reopen) -> list[Hook]:
    """Return what stands in the outbox of a store that nobody has open, with the bodies."""
    store = reopen()
    await store.open()
    try:
        return [await row(store, hook.id) for hook in await store.hooks()]
    finally:
        await store.close()


async def test_what_was_given_at_three_places_is_in_the_outbox(
    reopen: Reopen, autojump_clock: MockClock
) -> None:
    async with triphase.open_runtime(
        [Film],
        store=reopen(),
        webhooks=to("all", "job.started", "job.completed", secret="main"),
        secrets={"main": SECRET},
        sending=NOWHERE,
        drain_timeout=0.0,
    ) as runtime:
        job = await runtime.submit(Film(), webhook=["https://own.example/", to("own2", *ANY)])
        await job.wait()
        record = await job.get()
        events = {event.seq: event async for event in runtime.events_of(job.id)}
    assert [webhook.url for webhook in record.webhooks] == [
        "https://own.example/",
        "https://own2.example/",
    ]
    found = await outbox_of(reopen)
    assert [(hook.event.value, hook.url[8:-9]) for hook in found if hook.url[8] == "a"] == [
        ("job.started", "all"),
        ("job.completed", "all"),
    ]
    ends = [hook for hook in found if hook.event is EventType.JOB_COMPLETED]
    assert {hook.url[8:-9] for hook in ends} == {"own", "type", "other", "all"}
    assert {hook.url[8:-9]: hook.secret for hook in ends}["all"] == "main"
    assert len(found) == 4 + 1 + 4, "and what `own2` wants: four events"
    for hook in found:
        assert (hook.state, hook.attempts, hook.job) == (HookState.PENDING, 0, job.id)
        assert events[hook.seq].type is hook.event
        sent = data_in(hook)
        assert (sent["event"]["seq"], sent["job"]["id"]) == (hook.seq, job.id)
    [end, *_] = ends
    assert data_in(end)["job"]["result"] == "seen"
    assert len({hook.id for hook in found}) == len(found)


async def test_a_deletion_is_told_of(autojump_clock: MockClock) -> None:
    disk = Disk()
    async with triphase.open_runtime(
        [Film],
        store=SimulatedStore(disk),
        webhooks=to("all", "job.deleted"),
        retention=triphase.Retention(delete_after=10),
        clock=triphase.TrioClock(),
        sending=NOWHERE,
        drain_timeout=0.0,
    ) as runtime:
        job = await runtime.submit(Film(fails=True))
        await job.wait()
        async for event in runtime.events(job=job.id, types="job.deleted", after=0):
            assert event.job == job.id
            break
    found = await outbox_of(lambda: SimulatedStore(disk))
    assert [hook.event for hook in found] == [EventType.JOB_FAILED] * 2 + [EventType.JOB_DELETED]
    assert data_in(found[-1])["job"]["payload"] == {"fails": True}


async def test_a_job_that_runs_goes_on_while_its_deliveries_are_told_of(
    autojump_clock: MockClock,
) -> None:
    @triphase.job(webhook=to("x", "job.started", "phase.completed"))
    class Slow:
        @triphase.phase()
        async def one(self, ctx: triphase.Context) -> int:
            await deliver_all()
            return 1

        @triphase.phase()
        async def two(self, ctx: triphase.Context) -> int:
            await deliver_all()
            await ctx.progress(1)
            await deliver_all()
            return 2

    store = SimulatedStore()

    async def deliver_all() -> None:
        for hook in await store.hooks(states=[HookState.PENDING]):
            await runtime._parts.writer.commit(building.tried(hook, HookState.DELIVERED))

    async with triphase.open_runtime(
        [Slow], store=store, sending=NOWHERE, drain_timeout=0.0
    ) as runtime:
        job = await runtime.submit(Slow())
        assert await job.wait() == triphase.Completed(job=job.id, run=1, result=2)
        record, events = await job.get(), [event async for event in runtime.events_of(job.id)]
        assert [event.version for event in events] == list(range(1, record.version + 1))
        told = [event.type for event in events if event.type is EventType.HOOK_DELIVERED]
        assert len(told) == 2
        assert len(await store.find(Query())) == 1


# What is refused

BAD: list[tuple[Any, str]] = [
    ("ftp://x/", "must begin with http"),
    ("https://ann:s3cr@x/", "must not have a user"),
    (3, "3: must be a URL or a triphase.Webhook"),
    ([3], "3: must be a URL or a triphase.Webhook"),
    (["https://x/", "x"], "must begin with http"),
    (["https://x/"] * 21, "21 webhooks; at most 20"),
]


@pytest.mark.parametrize(("webhook", "words"), BAD)
async def test_a_submit_with_another_webhook_is_refused(webhook: Any, words: str) -> None:
    async with triphase.open_runtime([Film], store="memory:") as runtime:
        with pytest.raises(triphase.InvalidValue, match=f"^webhook.*{words}") as caught:
            await runtime.submit(Film(), webhook=webhook)
        assert "s3cr" not in str(caught.value)
        assert (await runtime.find()).jobs == ()


@pytest.mark.parametrize(("webhook", "words"), BAD)
def test_a_job_type_with_another_webhook_is_refused(webhook: Any, words: str) -> None:
    with pytest.raises(triphase.DefinitionError, match=f"^job type 'Film': webhook.*{words}"):

        @triphase.job(name="Film", webhook=webhook)
        class Other:
            @triphase.phase()
            async def show(self, ctx: triphase.Context) -> None: ...


@pytest.mark.parametrize(("webhook", "words"), BAD)
async def test_a_runtime_with_another_webhook_is_refused(webhook: Any, words: str) -> None:
    with pytest.raises(triphase.DefinitionError, match=f"^webhooks.*{words}"):
        async with triphase.open_runtime([Film], store="memory:", webhooks=webhook):
            pass


async def test_the_webhooks_of_a_submit_say_nothing_about_its_key(reopen: Reopen) -> None:
    async with triphase.open_runtime(
        [Film], store=reopen(), sending=NOWHERE, drain_timeout=0.0
    ) as runtime:
        job = await runtime.submit(Film(), key="k", webhook="https://one.example/")
        again = await runtime.submit(Film(), key="k", webhook="https://two.example/")
        assert again == job
        record: Job = await job.get()
        assert [webhook.url for webhook in record.webhooks] == ["https://one.example/"]
        assert math.isfinite(record.submitted_at)
