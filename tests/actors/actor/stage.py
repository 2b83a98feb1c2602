"""How the tests of restarts with others put children on stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from triphase.actor import (
    ActorRef,
    Strategy,
    Supervisor,
)

from .cast import Message, Probe

Refs = dict[str, ActorRef[Message]]

GROUPS = [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE]


def probe(name: str, journal: list[str], **options: Any) -> Callable[[], Probe]:
    """Return what makes a probe of this name."""
    return lambda: Probe(name, journal, **options)


async def start(supervisor: Supervisor, names: str, journal: list[str], **restarts: str) -> Refs:
    """Start probes of these names, in order, and forget that it is in the journal."""
    refs: Refs = {}
    for name in names:
        refs[name] = await supervisor.start(
            probe(name, journal), name=name, restart=restarts.get(name, "permanent")
        )
    journal.clear()
    return refs


class Slow(Probe):
    """Takes its time to start and to stop, and says when."""

    async def started(self) -> None:
        self.journal.append(f"{self.name} starting")
        await trio.sleep(1)
        await super().started()

    async def stopped(self) -> None:
        self.journal.append(f"{self.name} stopping")
        await trio.sleep(1)
        await super().stopped()


def slow_probe(name: str, journal: list[str]) -> Callable[[], Slow]:
    """Return what makes a slow probe of this name."""
    return lambda: Slow(name, journal)
