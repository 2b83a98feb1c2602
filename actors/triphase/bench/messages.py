"""Messages a second between actors, beside a bare trio memory channel in the same run."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import attrs
import trio

from triphase.actor import Actor, ActorRef, open_supervisor


class Echo(Actor[int]):
    """Answers every message with itself."""

    async def receive(self, message: int) -> int:
        """Return the message."""
        return message


@attrs.frozen(kw_only=True)
class MessagesFigure:
    """What one measurement of messages gave."""

    what: str
    """Which way of talking."""

    per_second: float
    """Messages, or round trips, a second."""

    of_channel: float
    """The same as a part of what a bare memory channel did in this run."""


async def measure_messages(messages: int = 20_000) -> list[MessagesFigure]:
    """Measure one-way messages and round trips, over an actor and over bare channels.

    Args:
      messages: how many of each.
    """
    async with open_supervisor() as supervisor:
        echo = await supervisor.start(Echo, name="echo", capacity=64)
        send = await _rate(lambda: _send(echo, messages), messages)
        ask = await _rate(lambda: _ask(echo, messages), messages)
    channel_send = await _rate(lambda: _channel_send(messages), messages)
    channel_ask = await _rate(lambda: _channel_ask(messages), messages)
    return [
        MessagesFigure(what="channel send", per_second=channel_send, of_channel=1.0),
        MessagesFigure(what="actor send", per_second=send, of_channel=send / channel_send),
        MessagesFigure(what="channel round trip", per_second=channel_ask, of_channel=1.0),
        MessagesFigure(what="actor ask", per_second=ask, of_channel=ask / channel_ask),
    ]


async def _rate(run: Callable[[], Awaitable[None]], messages: int) -> float:
    begin = time.perf_counter()
    await run()
    return messages / (time.perf_counter() - begin)


async def _send(echo: ActorRef[int], messages: int) -> None:
    for number in range(messages):
        await echo.send(number)


async def _ask(echo: ActorRef[int], messages: int) -> None:
    for number in range(messages):
        await echo.ask(number)


async def _channel_send(messages: int) -> None:
    sender, receiver = trio.open_memory_channel[int](64)

    async def receive() -> None:
        async for _ in receiver:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        async with sender:
            for number in range(messages):
                await sender.send(number)


async def _channel_ask(messages: int) -> None:
    ask_sender, ask_receiver = trio.open_memory_channel[int](64)
    answer_sender, answer_receiver = trio.open_memory_channel[int](64)

    async def answer() -> None:
        async for number in ask_receiver:
            await answer_sender.send(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        async with ask_sender:
            for number in range(messages):
                await ask_sender.send(number)
                await answer_receiver.receive()
