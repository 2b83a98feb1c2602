"""Tasks of a command."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import cast

import trio


@asynccontextmanager
async def open_tasks() -> AsyncGenerator[trio.Nursery]:
    """Open a nursery of which the first failure comes out as it is, and not in a group."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        failure = next(_failures(group), None)
        if failure is None or group.subgroup(KeyboardInterrupt) is not None:
            raise
        raise failure from failure.__cause__


def _failures(group: BaseExceptionGroup[BaseException]) -> Iterator[Exception]:
    """Yield what went wrong: what is no cancellation, and no Ctrl-C."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _failures(cast("BaseExceptionGroup[BaseException]", each))
        elif isinstance(each, Exception):
            yield each
