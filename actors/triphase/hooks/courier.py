"""The courier: tries one delivery once, and writes down what became of it.

What became of it is written after it was sent. If the process dies between the two, it is sent
again, with the same id; unless it is to be delivered at most once: that is written before it is
sent, and then it is never sent again.
"""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio

from triphase.clock import Clock
from triphase.entropy import Entropy
from triphase.store.committer import Writer
from triphase.store.operations import HookStep, Rejected
from triphase_protocol import Delivery, Hook, HookState, Retry, StoreUnavailable

from .answers import Answer, Sender, SendFailed
from .counts import HookCounts
from .endpoints import Endpoints
from .keyring import Keyring
from .policy import Delivered
from .signing import signed_headers
from .tries import DISABLED, UNKNOWN, begun, given_up, is_spent, tried

log = logging.getLogger("triphase.hooks")

WRITE_AGAIN: Final = 10.0
"""Seconds until the store is asked again that could not write what became of a hook."""


@attrs.frozen(eq=False)
class Courier:
    """See the module's text."""

    writer: Writer
    sender: Sender
    keyring: Keyring
    retry: Retry
    endpoints: Endpoints
    counts: HookCounts
    clock: Clock
    entropy: Entropy

    async def deliver(self, hook: Hook, round: int, *, disabled: bool) -> bool:
        """Try a hook that is due; return whether its receiver wants no more.

        If what became of it cannot be written, it waits until it can be: nothing is sent twice
        because a disk is full. A checkpoint. Cancelled while it is sent, it may have been
        received or not, and nothing is written.

        Args:
          hook: as it stands in the outbox.
          round: that of its receiver's breaker.
          disabled: its receiver has said that it wants no more.
        """
        if is_spent(hook):
            await self._write(given_up(hook, UNKNOWN, self.clock.now()))
        elif disabled:
            await self._write(given_up(hook, DISABLED, self.clock.now()))
        else:
            return await self._try(hook, round)
        return disabled

    async def _try(self, hook: Hook, round: int) -> bool:
        if hook.delivery is Delivery.AT_MOST_ONCE:
            mark = begun(hook)
            if not await self._commit(mark):
                return False
            hook = mark.hook
        outcome = await self._send(hook)
        now = self.clock.now()
        step, decision = tried(hook, outcome, self.retry, self.entropy.draw(), now)
        if isinstance(decision, Delivered):
            self.endpoints.succeeded(hook.url, round)
        else:
            self.endpoints.failed(hook.url, round, trio.current_time())
        await self._write(step)
        return step.disabled

    async def _send(self, hook: Hook) -> Answer | SendFailed:
        host = urlsplit(hook.url).hostname
        secrets = self.keyring.of(hook.secret)
        if secrets is None:
            # Whoever opens the runtime next may have it.
            return SendFailed(f"{host}: no secret is called {hook.secret!r}", retry=True)
        body = (hook.body or "").encode()
        headers = signed_headers(hook.id, int(self.clock.now()), body, secrets)
        headers["content-type"] = "application/json"
        try:
            return await self.sender.send(hook.url, headers, body)
        except SendFailed as exc:
            return exc
        except Exception as exc:
            # A client that somebody else has made must not end the runtime.
            log.exception("hook %s could not be sent", hook.id)
            return SendFailed(f"{host}: {type(exc).__name__}", retry=True)

    async def _write(self, step: HookStep) -> None:
        hook = step.hook
        if not await self._commit(step):
            return
        match hook.state:
            case HookState.DELIVERED:
                self.counts.delivered += 1
            case HookState.PENDING:
                self.counts.failed += 1
            case HookState.DEAD:
                self.counts.dead += 1
                log.warning("hook %s of job %s is dead: %s", hook.id, hook.job, hook.error)

    async def _commit(self, step: HookStep) -> bool:
        """Write a step; False if somebody has moved the hook meanwhile."""
        while True:
            try:
                result = await self.writer.commit(step)
            except StoreUnavailable as exc:
                log.warning("what became of hook %s cannot be written: %s", step.hook.id, exc)
                await trio.sleep(WRITE_AGAIN)
            else:
                return not isinstance(result, Rejected)
