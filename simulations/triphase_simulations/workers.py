"""Processes that do a part of the work, and nothing else: no thread, no lock, no queue between."""

from __future__ import annotations

import signal
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Self, cast

import attrs


class WorkerFailed(Exception):
    """A process has died, or what it was to do has raised; the message says which."""


@attrs.frozen(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection


class Workers:
    """So many processes. They are started when there is work for them, and end with the block.

    A count of 1 starts none for an exploration: this process does it.

    Args:
      count: how many.
    """

    def __init__(self, count: int) -> None:
        self.count = count

        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def map(
        self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]
    ) -> Generator[Any, None, None]:
        """Yield what a function returns for each of the calls, in their order.

        Raises:
          WorkerFailed: if a process died, or the function raised.
        """
        waiting = deque(enumerate(calls))
        while len(self._workers) < min(self.count, len(waiting)):
            self._workers.append(_started())
        busy: dict[Connection, int] = {}
        idle = [worker.pipe for worker in self._workers]
        done: dict[int, Any] = {}
        following = 0
        try:
            while waiting or busy or done:
                while waiting and idle:
                    number, arguments = waiting.popleft()
                    pipe = idle.pop()
                    busy[pipe] = number
                    pipe.send((function, arguments))
                while following in done:
                    yield done.pop(following)
                    following += 1
                for pipe in cast("list[Connection]", wait(list(busy)) if busy else []):
                    number = busy[pipe]
                    done[number] = _received(pipe)
                    del busy[pipe]
                    idle.append(pipe)
        finally:
            if busy:
                # Nobody waits for them any more.
                self._end()

    def _end(self) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.process.terminate()
            worker.pipe.close()
        for worker in workers:
            worker.process.join()


def _received(pipe: Connection) -> Any:
    try:
        failed, value = pipe.recv()
    except (EOFError, ConnectionError) as exc:
        raise WorkerFailed("a process that runs scenarios has died") from exc
    if failed:
        raise WorkerFailed(f"in a process that runs scenarios:\n{value}")
    return value


def _started() -> _Worker:
    # A fresh interpreter: a copy of this one would share what it has open.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    with _deaf():
        process.start()
    # So that the pipe ends with the process.
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _deaf() -> Generator[None]:
    """Start processes that no Ctrl-C reaches: whoever started them ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pipe: Connection) -> None:
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer: tuple[bool, Any] = (False, function(*arguments))
        except Exception:
            answer = (True, traceback.format_exc())
        pipe.send(answer)
