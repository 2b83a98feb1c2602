"""A client that shares no code with triphase: asyncio, the package websockets, the protocol's page.

It is a program. What it hears it tells on stdout, a JSON object a line.

    independent.py follow URL          follow everything, over as many connections as it takes
    independent.py converse URL TOKEN  submit a job, follow it and wait for it, in several ways
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

PAUSE = 0.1
"""Seconds between two tries to connect."""


def tell(**told: Any) -> None:
    """Tell something on stdout."""
    print(json.dumps(told), flush=True)


class Talk:
    """One connection: what is said on it, and what is heard."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.batches: list[dict[str, Any]] = []
        """What was heard while something else was waited for."""

        self._asked = 0

    async def say(self, type: str, **fields: Any) -> None:
        """Send a message."""
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def hear(self) -> dict[str, Any]:
        """Return the next message."""
        message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def ask(self, type: str, **fields: Any) -> dict[str, Any]:
        """Send a request, and return its answer or its error."""
        self._asked += 1
        await self.say(type, id=str(self._asked), **fields)
        while True:
            message = await self.hear()
            if message.get("id") == str(self._asked):
                return message
            self.batches.append(message)

    async def of(self, type: str, topic: str) -> dict[str, Any]:
        """Return the next message of a topic, of this type."""
        while True:
            message = self.batches.pop(0) if self.batches else await self.hear()
            if message["type"] == type and message.get("topic") == topic:
                return message


@asynccontextmanager
async def talking(url: str, token: str | None = None) -> AsyncGenerator[Talk]:
    """Connect, and say hello."""
    offered = [Subprotocol("another.v3"), Subprotocol("triphase.v1")]
    async with connect(url, subprotocols=offered, max_size=2**26, proxy=None) as socket:
        assert socket.subprotocol == "triphase.v1", socket.subprotocol
        talk = Talk(socket)
        await talk.say("hello", token=token, client="independent/1.0")
        welcome = await talk.hear()
        assert welcome["type"] == "welcome", welcome
        tell(welcome=welcome)
        yield talk


async def follow(url: str) -> None:
    """Tell every event, for ever."""
    after, epoch = 0, None
    while True:
        try:
            async with talking(url) as talk:
                reply = await talk.ask("subscribe", topic="jobs", after=after, epoch=epoch)
                begun = reply["result"]
                tell(begun=begun)
                after, epoch = begun["after"], begun["epoch"]
                while True:
                    batch = await talk.of("events", begun["topic"])
                    assert batch["from"] == after, (batch["from"], after)
                    for event in batch["events"]:
                        assert after < event["seq"] <= batch["to"], event
                        after = event["seq"]
                        tell(event=event)
                    after = batch["to"]
        except (ConnectionClosed, InvalidHandshake, OSError) as exc:
            tell(lost=str(exc))
        await asyncio.sleep(PAUSE)


async def converse(url: str, token: str) -> None:
    """Submit a job, and hear in every way how it ends."""
    try:
        async with talking(url, token + "!"):
            pass
    except ConnectionClosed as exc:
        tell(refused=None if exc.rcvd is None else exc.rcvd.code)
    async with talking(url, token) as talk:
        begun = (await talk.ask("subscribe", topic="jobs", snapshot=True))["result"]
        tell(begun=begun)
        jobs: list[Any] = []
        while not (page := await talk.of("snapshot", begun["topic"]))["last"]:
            jobs += page["jobs"]
        tell(snapshot=[*jobs, *page["jobs"]])

        clip = {"job": "Clip", "payload": {"name": "sea"}, "key": "sea"}
        submitted = (await talk.ask("submit", **clip))["result"]
        tell(submitted=submitted, again=(await talk.ask("submit", **clip))["result"])
        tell(error=await talk.ask("submit", job="Clip", payload={"name": 1}))
        assert (await talk.ask("subscribe", topic=submitted["done"]))["type"] == "answer"
        tell(waited=(await talk.ask("wait", job=submitted["job"]))["result"])
        tell(record=(await talk.ask("get", job=submitted["job"]))["result"]["job"])

        # What came meanwhile waits in their order, of each topic.
        heard, talk.batches = talk.batches, []
        talk.batches = [each for each in heard if each["type"] == "done"]
        tell(done=await talk.of("done", submitted["done"]))
        talk.batches = [each for each in heard if each["type"] != "done"]
        cursor, ended = begun["after"], False
        while not ended:
            batch = await talk.of("events", begun["topic"])
            assert batch["from"] == cursor, (batch["from"], cursor)
            cursor = batch["to"]
            for event in batch["events"]:
                tell(event=event)
                ended = ended or event["type"] == "job.completed"
        assert (await talk.ask("unsubscribe", topic=begun["topic"]))["type"] == "answer"
        assert (await talk.ask("ping"))["type"] == "answer"
    tell(closed=talk.socket.close_code)


def main() -> None:
    """Run it."""
    match sys.argv[1:]:
        case ["follow", url]:
            asyncio.run(follow(url))
        case ["converse", url, token]:
            asyncio.run(converse(url, token))
        case _:
            sys.exit(__doc__)
    assert not [name for name in sys.modules if name.startswith("triphase")]


if __name__ == "__main__":
    main()
