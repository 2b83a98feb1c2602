"""`triphase serve`: run jobs, and let others ask for them through a gateway."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import trio
from cyclopts import Parameter

import triphase

from .exits import Exit, Unreachable
from .humane import counted, duration
from .job_types import job_types
from .listening import Address, queues_from, tls_from
from .options import DEFAULT_STORE, AsJson, StorePath, WholeNumber, seconds_from, store_at
from .screen import Screen
from .tasks import open_tasks
from .webhooks import UNTOLD, Served

if TYPE_CHECKING:
    from triphase.gateway import Gateway, Token

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


async def serve(
    jobs: Annotated[
        str,
        Parameter(
            env_var="TRIPHASE_JOBS",
            help="MODULE:JOBS, where JOBS is a job type or a list of them; or MODULE for all.",
        ),
    ],
    /,
    *,
    listen: str = "127.0.0.1:7117",
    tokens: Path | None = None,
    origin: Annotated[list[str] | None, Parameter(negative="")] = None,
    queue: Annotated[list[str] | None, Parameter(negative="")] = None,
    limit: WholeNumber = 100,
    drain: float = 10.0,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    webhooks: Served = UNTOLD,
    store: StorePath = DEFAULT_STORE,
    json: AsJson = False,
) -> int:
    """Run jobs, and serve them to others, until SIGINT or SIGTERM.

    It prints its URLs when it serves. At the first signal it starts no more jobs and waits for
    those that run, while clients stay connected; the exit code is 0 if they have ended in time.
    What does not is stopped, and goes on at the next start. A second signal stops it at once, and
    a third does not even wait until it has stopped.

    Args:
      jobs: Where the job types are.
      listen: HOST:PORT to listen on; port 0 is any that is free. A host that others can reach
        needs tokens.
      tokens: A TOML file with tokens; TRIPHASE_TOKEN is one more, which may do everything.
      origin: A web page of another host that may connect, such as https://example.org; may be
        repeated.
      queue: A queue's limit, as NAME=LIMIT; may be repeated.
      limit: How many jobs may run at once, over all queues.
      drain: Seconds to wait for jobs that run.
      tls_cert: A certificate, for wss and https.
      tls_key: Its key, if that is not in the same file.
      webhooks: Where the events of all jobs go, and how.
      store: The store file.
      json: Write JSON.
    """
    # Not at the top: no other command needs a server.
    from triphase.gateway import serve_gateway

    screen, address = Screen(json=json), Address.of(listen)
    seconds, place = seconds_from("--drain", drain), store_at(store)
    types, queues = job_types(jobs), queues_from(queue)
    allowed, tls = _tokens(tokens), tls_from(tls_cert, tls_key)
    told, secrets, sending = webhooks.webhooks(), webhooks.secrets(screen.note), webhooks.sending()
    async with contextlib.AsyncExitStack() as stack:
        # First, so that no job is begun if it cannot be asked for.
        listeners = await _listeners(address, allowed, stack)
        receiving = stack.enter_context(contextlib.ExitStack())
        signals = receiving.enter_context(trio.open_signal_receiver(*SIGNALS))
        async with (
            triphase.open_runtime(
                types,
                store=place,
                queues=queues,
                limit=limit,
                drain_timeout=0,
                webhooks=told,
                secrets=secrets,
                sending=sending,
            ) as runtime,
            open_tasks() as nursery,
        ):
            start = partial(
                serve_gateway, tokens=allowed, origins=origin or (), tls=tls, listeners=listeners
            )
            gateway: Gateway = await nursery.start(start, runtime)
            _tell(screen, gateway, store, types)
            code = await _until_drained(screen, runtime, signals, seconds)
            # From here on a signal does what it does by default.
            receiving.close()
            nursery.cancel_scope.cancel(reason="the command ends")
    return code


async def _listeners(
    address: Address, tokens: Sequence[Token], stack: contextlib.AsyncExitStack
) -> list[trio.SocketListener]:
    """Listen at an address, until the stack is closed."""
    from triphase.gateway.gateway import check_place

    check_place(address.host, tokens)
    try:
        listeners = await trio.open_tcp_listeners(address.port, host=address.host)
    except OSError as exc:
        raise Unreachable(f"--listen {address}: {exc}") from exc
    for each in listeners:
        stack.callback(each.socket.close)
    return listeners


def _tokens(path: Path | None) -> list[Token]:
    from triphase.gateway import token_of_environment, tokens_from

    return ([] if path is None else tokens_from(path)) + token_of_environment(os.environ)


def _tell(screen: Screen, gateway: Gateway, store: str, types: Sequence[type]) -> None:
    """Say that it serves; who reads stdout may connect now."""
    screen.note(f"runs {counted(len(types), 'job type')} with the store {store}")
    if screen.json:
        screen.object({"urls": list(gateway.urls), "store": store})
    else:
        screen.line(gateway.urls)


async def _until_drained(
    screen: Screen,
    runtime: triphase.Runtime,
    signals: AsyncIterator[int],
    seconds: float,
) -> int:
    """Wait for a signal, then for the jobs that run, or for another signal; return the code."""
    number = await anext(signals)
    running = counted(runtime.statistics().active, "job")
    screen.note(
        f"{signal.Signals(number).name}: starts no more jobs, and waits {_at_most(seconds)} for "
        f"{running}; another signal stops them"
    )
    async with open_tasks() as nursery:

        async def hurry() -> None:
            nonlocal number
            number = await anext(signals)
            nursery.cancel_scope.cancel(reason="a second signal")

        nursery.start_soon(hurry)
        if await runtime.drain(None if seconds == float("inf") else seconds):
            screen.note("nothing runs any more")
            code = Exit.OK
        else:
            left = counted(runtime.statistics().active, "job")
            screen.note(f"{left} had no time to end: stopped, to go on at the next start")
            code = Exit.TIMED_OUT
        nursery.cancel_scope.cancel(reason="it is drained")
        return code
    screen.note(f"{signal.Signals(number).name}: stops what runs; another signal does not wait")
    return 128 + number


def _at_most(seconds: float) -> str:
    return "as long as it takes" if seconds == float("inf") else f"{duration(seconds)} at the most"
