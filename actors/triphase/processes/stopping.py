"""How a process is stopped: asked, and after its grace not asked any more."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import attrs
import trio

from triphase_protocol import StopHow

T = TypeVar("T")

KILL_WAIT: Final = 10.0
"""Seconds that a process has to be gone after SIGKILL, before it is given up as stuck."""

REMINDERS: Final = (0.01, 0.05, 0.25, 1.0)
"""When a Python process is sent its SIGTERM again, in seconds after the first.

Python notes a signal, and looks at the note between two instructions. One that comes when the
main thread is about to block, and that does not interrupt the system call itself, is not looked
at before the call returns.
"""


@attrs.frozen
class Step:
    """One step of an escalation."""

    signal: signal.Signals
    """What is sent."""

    seconds: float
    """How long the process then has to be gone."""

    how: StopHow
    """How it ended, if it is gone then."""

    group: bool = True
    """It is sent to all of the process's group, not to the process alone."""


def escalation(grace: float, reminders: tuple[float, ...] = ()) -> tuple[Step, ...]:
    """Return the steps, in order; when all are taken the process is abandoned.

    Args:
      grace: seconds between SIGTERM and SIGKILL.
      reminders: when SIGTERM is sent again, in seconds after the first.
    """
    starts = [0.0, *(after for after in reminders if after < grace)]
    ends = [*starts[1:], max(grace, 0.0)]
    return (
        *(
            Step(signal.SIGTERM, end - start, StopHow.TERMINATED, group=start == 0)
            for start, end in zip(starts, ends, strict=True)
        ),
        Step(signal.SIGKILL, KILL_WAIT, StopHow.KILLED),
    )


async def put_down(
    gone: trio.Event, send: Callable[[Step], None], steps: tuple[Step, ...]
) -> StopHow:
    """Stop a process, and say what it took.

    Shielded: a cancel does not reach it, and it ends at the latest when the steps do.

    Args:
      gone: set when the process is gone.
      send: sends what a step says.
      steps: what to try, in order.
    """
    if gone.is_set():
        return StopHow.STOPPED
    with trio.CancelScope(shield=True):
        for step in steps:
            send(step)
            with trio.move_on_after(step.seconds):
                await gone.wait()
            # The last moment of the wait and the end may be one.
            if gone.is_set():
                return step.how
    return StopHow.ABANDONED


async def shielded(work: Callable[[], Awaitable[T]]) -> T:
    """Do something to its end: a cancel waits for it."""
    done: list[T] = []
    with trio.CancelScope(shield=True):
        done.append(await work())
    return done[0]
