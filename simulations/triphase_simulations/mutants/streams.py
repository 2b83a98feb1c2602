"""Mistakes about those who follow and wait over a network, on both of its sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs

from triphase.client import link, session
from triphase.client.events import ClientEvents
from triphase.client.session import Session
from triphase.feed import Entry
from triphase.gateway import commands
from triphase.gateway.fanout import Fanout
from triphase.gateway.subscription import Subscription
from triphase.websocket import SocketClosed
from triphase_protocol.wire import Events, Submit

from .mutant import Mutant, Swap, Swaps

SUITES = ("streams",)


def _one_skipped() -> Swaps:
    real = Subscription.catch_up

    async def catch_up(self: Subscription) -> None:
        if 0 < self.cursor < self.sources.fanout.cursor:
            self.cursor += 1
        await real(self)

    return [Swap(Subscription, "catch_up", catch_up)]


def _trusting(self: ClientEvents, piece: Any) -> None:
    """Take whatever comes: what a client does that does not look at the numbers."""
    if isinstance(piece, Events):
        private: Any = self
        private._ready.extend(piece.events)
        private._cursor = max(piece.to, private._cursor or 0)
        private._tell()


def _one_repeated() -> Swaps:
    real = Subscription.catch_up

    async def catch_up(self: Subscription) -> None:
        self.cursor = max(0, self.cursor - 1)
        await real(self)

    return [Swap(Subscription, "catch_up", catch_up), Swap(ClientEvents, "take", _trusting)]


def _dropped_if_slow() -> Swaps:
    def offer(self: Subscription, message: bytes) -> bool:
        self.socket.send_nowait(message)
        return True

    return [Swap(Subscription, "offer", offer), Swap(ClientEvents, "take", _trusting)]


def _page_is_all() -> Swaps:
    real: Any = Subscription.__dict__["_read_log"]

    async def read_log(self: Subscription, most: int) -> Any:
        events, _ = await real(self, most)
        return events, most

    return [Swap(Subscription, "_read_log", read_log)]


def _snapshot_then_subscribe() -> Swaps:
    real: Any = Subscription.__dict__["_send_snapshot"]

    async def send_snapshot(self: Subscription) -> None:
        await real(self)
        self.cursor = self.sources.fanout.cursor

    return [Swap(Subscription, "_send_snapshot", send_snapshot)]


def _group_is_gone() -> Swaps:
    real = Fanout.leave

    def leave(self: Fanout, subscription: Subscription) -> None:
        if self.is_live(subscription):
            private: Any = self
            del private._groups[subscription.name]
            return
        real(self, subscription)

    return [Swap(Fanout, "leave", leave)]


def _each_in_turn() -> Swaps:
    async def serve(self: Fanout, entries: Sequence[Entry]) -> None:
        private: Any = self
        self.cursor = to = entries[-1].seq
        for group in private._each():
            message = group.message(entries, to)
            for member in list(group.members):
                try:
                    if message is not None:
                        await member.socket.send_frame(message.frame)
                        member.told = to
                except SocketClosed:
                    self.leave(member)
                member.cursor = to
        private._tell()

    return [Swap(Fanout, "_serve", serve)]


def _follows_no_more() -> Swaps:
    def restart(self: ClientEvents) -> None:
        """Go on as if nothing had happened."""

    return [Swap(ClientEvents, "restart", restart)]


def _from_now_on() -> Swaps:
    real = ClientEvents.restart

    def restart(self: ClientEvents) -> None:
        private: Any = self
        private._cursor = None
        real(self)

    return [Swap(ClientEvents, "restart", restart)]


def _unread_forgotten() -> Swaps:
    real = ClientEvents.restart

    def restart(self: ClientEvents) -> None:
        private: Any = self
        private._ready.clear()
        real(self)

    return [Swap(ClientEvents, "restart", restart)]


def _not_asked_again() -> Swaps:
    real: Any = Session.__dict__["_lose"]

    def lose(self: Session) -> None:
        private: Any = self
        said = [asked for asked in private._asked.values() if asked.said]
        real(self)
        for asked in said:
            asked.said = True

    return [Swap(Session, "_lose", lose)]


def _told_of_the_close() -> Swaps:
    return [Swap(session, "ENDING", ())]


def _never_silent() -> Swaps:
    return [Swap(link, "SILENCE", math.inf)]


def _without_its_key() -> Swaps:
    real: Any = commands.__dict__["_submit"]

    async def submit(host: Any, request: Submit) -> Any:
        return await real(host, attrs.evolve(request, key=None))

    return [Swap(commands, "_submit", submit)]


MUTANTS = (
    Mutant(
        name="gateway-resume-skips-one",
        says="Who comes back to the gateway misses the first event since.",
        shipped="such a system would make at this place: the cursor is counted up twice",
        oracles=("O20",),
        suites=SUITES,
        swaps=_one_skipped,
    ),
    Mutant(
        name="gateway-resume-repeats-one",
        says="Who comes back gets the last event again, and does not look at its number.",
        shipped="such a system would make at this place: `>=` for `>`",
        oracles=("O20",),
        suites=SUITES,
        swaps=_one_repeated,
    ),
    Mutant(
        name="slow-client-loses",
        says="What a client is too slow for is dropped, and nobody looks for gaps.",
        shipped="a task manager: a bounded queue for each reader, whose oldest event goes",
        oracles=("O20",),
        suites=SUITES,
        swaps=_dropped_if_slow,
    ),
    Mutant(
        name="page-taken-for-all",
        says="One page of the log is taken for all that a client has missed.",
        shipped="a chat platform: messages since, but no more than fifty",
        oracles=("O20",),
        suites=SUITES,
        swaps=_page_is_all,
    ),
    Mutant(
        name="snapshot-then-subscribe",
        says="The events of a topic begin when its records have been sent, not as they were read.",
        shipped="a task manager: events between the first load and the subscription vanished",
        oracles=("O20",),
        suites=SUITES,
        swaps=_snapshot_then_subscribe,
    ),
    Mutant(
        name="one-leaves-and-all-are-gone",
        says="When one of those who follow the same leaves, the others hear nothing more.",
        shipped="a task manager: one handler a topic, gone with the first tab that closed",
        oracles=("O20",),
        suites=SUITES,
        swaps=_group_is_gone,
    ),
    Mutant(
        name="slow-client-delays-all",
        says="Clients are written to one after the other, each as fast as it reads.",
        shipped="trio-websocket's own loop over connections, as its examples have it",
        oracles=("O30",),
        suites=SUITES,
        swaps=_each_in_turn,
    ),
    Mutant(
        name="reconnect-follows-nothing",
        says="A client that is connected again does not subscribe again.",
        shipped="a chat platform: subscriptions were made once, in the first `onopen`",
        oracles=("O20",),
        suites=SUITES,
        swaps=_follows_no_more,
    ),
    Mutant(
        name="reconnect-from-now-on",
        says="A client that is connected again follows from now on.",
        shipped="a task manager: what came during the reconnect every 30 minutes vanished",
        oracles=("O20",),
        suites=SUITES,
        swaps=_from_now_on,
    ),
    Mutant(
        name="reconnect-forgets-the-unread",
        says="What had come and was not read yet is lost with the connection.",
        shipped="such a system would make at this place: the cursor is of what came, not was read",
        oracles=("O20",),
        suites=SUITES,
        swaps=_unread_forgotten,
    ),
    Mutant(
        name="wait-not-asked-again",
        says="A wait is lost with the connection that it was asked over.",
        shipped="a chat platform: a decision that was sent during a reconnect was lost",
        oracles=("O4", "stuck"),
        suites=SUITES,
        swaps=_not_asked_again,
    ),
    Mutant(
        name="wait-ends-with-the-server",
        says="Who waits is told that the server closes, as if that were an end of the job.",
        shipped="a coding agent's job runner: an end for those who wait, and never published",
        oracles=("O4",),
        suites=SUITES,
        swaps=_told_of_the_close,
    ),
    Mutant(
        name="half-open-unnoticed",
        says="A client waits for ever on a connection over which nothing comes any more.",
        shipped="any client without a heartbeat: TCP alone does not tell for hours",
        oracles=("O20", "O4", "stuck"),
        suites=SUITES,
        swaps=_never_silent,
    ),
    Mutant(
        name="gateway-drops-the-key",
        says="The gateway submits without the key, so a repeated submit makes another job.",
        shipped="such a system would make at this place: one more field that is not passed on",
        oracles=("O24",),
        suites=SUITES,
        swaps=_without_its_key,
    ),
)
