"""Services: reached by their address, disturbed by the plan, and no part of the process."""

from __future__ import annotations

import pytest
import trio

import triphase
from triphase_simulations import Sim, call, call_nowait, point, simulate, stub


class Bank:
    """What is called."""

    def __init__(self) -> None:
        self.paid: list[int] = []

    async def pay(self, order: int, seconds: float = 0.0) -> str:
        await trio.sleep(seconds)
        self.paid.append(order)
        return f"paid {order}"

    def book(self, order: int) -> int:
        self.paid.append(order)
        return len(self.paid)

    async def refuse(self) -> None:
        raise PermissionError("no")

    async def insist(self) -> None:
        raise AssertionError("the bank knows better")


bank_stub = stub("https://bank", Bank)


@triphase.job()
class Pay:
    order: int
    seconds: float = 0.0

    @triphase.phase(retry=triphase.Retry(attempts=9, backoff=1))
    async def pay(self, ctx: triphase.Context) -> str:
        return await bank_stub.pay(self.order, seconds=self.seconds)


@triphase.job()
class Book:
    @triphase.phase(retry=triphase.Retry(attempts=9, backoff=1))
    def book(self, ctx: triphase.Context) -> int:
        return int(call_nowait("https://bank", "book", 1))


@simulate(runs=1)
async def test_methods_are_called_by_name_and_by_stub(sim: Sim) -> None:
    bank = sim.service("https://bank", Bank())
    assert await call("https://bank", "pay", 1) == "paid 1"
    assert await bank_stub.pay(2) == "paid 2"
    assert await call("https://bank", "book", 3) == 3
    assert call_nowait("https://bank", "book", 4) == 4
    assert bank.paid == [1, 2, 3, 4]


@simulate(runs=1)
async def test_what_a_service_raises_its_caller_gets(sim: Sim) -> None:
    sim.service("https://bank", Bank())
    with pytest.raises(PermissionError, match="no"):
        await bank_stub.refuse()


@simulate(runs=1)
async def test_what_is_not_there_says_so(sim: Sim) -> None:
    with pytest.raises(
        ConnectionRefusedError, match="nothing is at https://bank; there is nothing"
    ):
        await bank_stub.pay(1)
    sim.service("https://bank", Bank())
    with pytest.raises(ValueError, match="already"):
        sim.service("https://bank", Bank())
    with pytest.raises(AttributeError, match="no method 'rob'"):
        await call("https://bank", "rob")
    with pytest.raises(AttributeError, match="no method '__init__'"):
        await call("https://bank", "__init__")
    with pytest.raises(AttributeError, match="no stub reaches it"):
        bank_stub.book(1)
    with pytest.raises(TypeError, match="await call"):
        call_nowait("https://bank", "pay", 1)


def test_outside_of_a_simulation_there_are_none() -> None:
    with pytest.raises(RuntimeError, match="only in a simulation"):
        call_nowait("https://bank", "book", 1)


async def test_outside_of_a_simulation_a_point_is_a_checkpoint() -> None:
    with trio.testing.assert_checkpoints():
        await point("anywhere")


def test_an_assert_in_a_service_fails_the_test() -> None:
    @simulate(runs=1)
    async def test(sim: Sim) -> None:
        sim.service("https://bank", Bank())
        with pytest.raises(AssertionError):
            await bank_stub.insist()

    with pytest.raises(AssertionError, match="the bank knows better"):
        test()


@simulate(runs=1)
async def test_a_service_goes_on_when_the_process_that_asks_dies(sim: Sim) -> None:
    bank = sim.service("https://bank", Bank())
    runtime = await sim.runtime([Pay])
    job = await runtime.submit(Pay(1, seconds=5), key="one")
    await trio.sleep(1)
    sim.crash()
    await trio.sleep(4.2)
    assert bank.paid == [1]
    assert isinstance(await job.wait(), triphase.Completed)
    assert bank.paid == [1, 1]


@simulate(runs=1)
async def test_the_process_dies_before_a_call_or_after_it(sim: Sim) -> None:
    bank = sim.service("https://bank", Bank())
    runtime = await sim.runtime([Pay, Book])
    sim.crash_at("call:https://bank")
    await (await runtime.submit(Pay(1), key="one")).wait()
    assert bank.paid == [1]
    sim.crash_at("answer:https://bank")
    await (await runtime.submit(Pay(2), key="two")).wait()
    assert bank.paid == [1, 2, 2]
    sim.crash_at("answer:https://bank")
    await (await runtime.submit(Book(), key="three")).wait()
    assert bank.paid == [1, 2, 2, 1, 1]


@simulate(runs=60)
async def test_calls_are_refused_and_answers_are_lost(sim: Sim) -> None:
    class Late(OSError): ...

    sim.chaos(refusals=True)
    bank = sim.service("https://bank", Bank(), lost=Late)
    for order in range(3):
        try:
            await bank_stub.pay(order)
        except ConnectionRefusedError:
            sim.sometimes("a call was refused")
            assert order not in bank.paid
        except Late:
            sim.sometimes("an answer was lost")
            assert order in bank.paid
    sim.sometimes("a call was slow", sim.now() > 0)
