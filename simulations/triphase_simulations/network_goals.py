"""What simulations of clients should have met: goals about connections, lost and made again.

They are looked for in the *lives* of client programs: what happened to each, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs

from triphase_protocol import EventType

from .history import Entry, History
from .oracles.reading import part

Goal = Callable[["Clients"], bool]


@attrs.frozen
class Clients:
    """The client programs of a run."""

    history: History
    lives: list[list[Entry]]
    """Of each life what it did, what was done to it, and what it asked for."""

    def calls(self, *ops: str) -> Iterator[list[Entry]]:
        """Yield each call over a connection that was answered: with what happened meanwhile."""
        for life in self.lives:
            for at, asked in enumerate(life):
                if asked.what == "asked" and asked.data["op"] in ops:
                    found = _until_answered(life[at:])
                    if found:
                        yield found


def network_goals_of(history: History) -> Iterator[str]:
    """Yield the goals about clients that a run has met."""
    lives = _lives(history)
    if lives:
        clients = Clients(history, lives)
        yield from (name for name, met in NETWORK_GOALS.items() if met(clients))


def _lives(history: History) -> list[list[Entry]]:
    """Return what concerns each life of a client program, and of the server what everybody sees."""
    lives: list[list[Entry]] = []
    living: dict[str, list[Entry]] = {}
    for entry in history.entries:
        name = entry.lane.partition("#")[0]
        if entry.what == "started" and entry.data.get("client"):
            living[name] = [entry]
            lives.append(living[name])
        elif name == "node" and entry.what in ("started", "leaving", "killed"):
            for life in living.values():
                life.append(entry)
        elif (mine := living.get(str(entry.data.get("via", name)))) is not None:
            mine.append(entry)
            if entry.what == "killed":
                del living[name]
    return lives


def _until_answered(life: list[Entry]) -> list[Entry]:
    for at, entry in enumerate(life):
        if entry.lane == life[0].lane and entry.what in ("answered", "denied"):
            return life[: at + 1]
    return []


def _in_a_life(met: Callable[[list[Entry]], bool]) -> Goal:
    return lambda clients: any(met(life) for life in clients.lives)


def _in_order(life: list[Entry], *steps: Callable[[Entry], bool]) -> bool:
    """Return whether such entries are there, one after the other."""
    left = list(steps)
    for entry in life:
        if left and left[0](entry):
            left.pop(0)
    return not left


def _is(what: str, lane: str = "") -> Callable[[Entry], bool]:
    return lambda entry: entry.what == what and entry.lane.startswith(lane)


def _away(life: list[Entry]) -> bool:
    """Events were committed between two connections, and received over the second."""
    since, missed = None, range(0)
    for entry in life:
        if entry.what == "lost":
            since = int(entry.data["committed"])
        elif entry.what == "dialled" and since is not None:
            missed = range(since + 1, int(entry.data["committed"]) + 1)
        elif entry.what == "received" and entry.data["seq"] in missed:
            return True
    return False


def _half_open(life: list[Entry]) -> bool:
    """A connection was given up since nothing came over it; over another one events did."""

    def unheard(entry: Entry) -> bool:
        return entry.what == "lost" and str(entry.data["why"]).startswith("nothing was heard")

    return _in_order(life, _is("vanished"), unheard, _is("received"))


def _cut_in_the_handshake(life: list[Entry]) -> bool:
    """A connection was cut before it was one: the client calls again, and has lost nothing."""
    cut = open = False
    for entry in life:
        if entry.what == "dialled":
            if cut:
                return True
            open = True
        elif entry.what == "cut":
            cut = open
        elif entry.what == "lost":
            cut = open = False
    return False


def _restarted(life: list[Entry]) -> bool:
    """A program was started again, and went on behind what it had worked through."""

    def goes_on(entry: Entry) -> bool:
        return entry.what == "follows" and entry.data["after"] > 0

    return _in_order(life, goes_on, _is("received"))


def _server_restarted(life: list[Entry]) -> bool:
    return _in_order(life, _is("received"), _is("started", "node"), _is("received"))


def _given_up(clients: Clients) -> bool:
    """The server has hung up on a client that took nothing, and not since it was leaving."""
    for life in clients.lives:
        deaf, leaving = 0.0, False
        for entry in life:
            if entry.what == "deaf":
                deaf = max(deaf, entry.time + entry.data["seconds"])
            elif entry.lane.startswith("node"):
                leaving = entry.what != "started"
            elif entry.what == "hung up" and entry.time <= deaf and not leaving:
                return True
    return False


def _lagged(life: list[Entry]) -> bool:
    return any(entry.what == "received" and entry.data["lagged"] for entry in life)


def _asked_again(clients: Clients) -> bool:
    """A wait was open while its connection was lost and another one gave answers or events."""

    def speaks(entry: Entry) -> bool:
        return entry.what in ("received", "looked", "answered", "denied")

    steps = _is("lost"), _is("dialled"), speaks
    return any(_in_order(call, *steps) for call in clients.calls("wait"))


def _answered_elsewhere(clients: Clients) -> bool:
    """A wait was answered with an end over another connection than it was asked over."""
    return any(
        call[-1].what == "answered" and _in_order(call, _is("lost"), _is("dialled"))
        for call in clients.calls("wait")
    )


def _submitted_twice(clients: Clients) -> bool:
    """A submit was repeated with its key, when the first one had made the job."""
    submitted = {
        event.job: event.seq
        for event in clients.history.log
        if event.type is EventType.JOB_SUBMITTED
    }
    for call in clients.calls("submit"):
        seq = submitted.get(str(part(call[-1].data.get("answer"), "id")))
        if seq is not None and any(
            entry.what == "dialled" and entry.data["committed"] >= seq for entry in call
        ):
            return True
    return False


NETWORK_GOALS: Final[Mapping[str, Goal]] = {
    "events while a client was away": _in_a_life(_away),
    "a reconnect after a half-open connection": _in_a_life(_half_open),
    "a cut in a handshake": _in_a_life(_cut_in_the_handshake),
    "a client restarted with a cursor": _in_a_life(_restarted),
    "a server restarted under its clients": _in_a_life(_server_restarted),
    "a deaf client was given up": _given_up,
    "a client was told that it lags": _in_a_life(_lagged),
    "a wait asked again over another connection": _asked_again,
    "a wait answered over another connection": _answered_elsewhere,
    "a submit repeated with its key": _submitted_twice,
}
"""Each goal by its name."""
