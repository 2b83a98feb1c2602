"""What is known of the receivers, each a URL: what is on its way there, and its breaker."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from typing import Final

import attrs

from .breaker import Breaker, BreakerState, Tripping

KEPT_MOST: Final = 1000
"""How many receivers that have failed are remembered: those that failed last."""

_CLOSED: Final = Breaker()


@attrs.define(eq=False)
class Endpoints:
    """The receivers. Times are seconds of trio's clock. Outlives restarts of the deliverer."""

    most: int
    """How many webhooks are on their way to one of them, at most."""

    tripping: Tripping
    _under_way: Counter[str] = attrs.field(factory=Counter[str], init=False)
    _failing: OrderedDict[str, Breaker] = attrs.field(factory=OrderedDict[str, Breaker], init=False)
    """The breakers that are not as new. What is not here is well."""

    def admits(self, url: str, now: float) -> bool:
        """Return whether something may be sent there now."""
        return not self.is_full(url) and self._breaker(url).admits(now)

    def is_full(self, url: str) -> bool:
        """Return whether as many as may be are on their way there."""
        return self._under_way[url] >= self.most

    def resting(self, now: float) -> list[str]:
        """Return the URLs that are left alone now, whether or not there is room."""
        return [url for url, breaker in self._failing.items() if not breaker.admits(now)]

    def open(self, now: float) -> int:
        """Return how many have an open breaker."""
        return sum(breaker.state(now) is BreakerState.OPEN for breaker in self._failing.values())

    def opens_at(self, now: float) -> float:
        """Return when the next pause of one is over; infinity if there is none."""
        return min(
            (
                breaker.until
                for breaker in self._failing.values()
                if breaker.until is not None and breaker.until > now
            ),
            default=math.inf,
        )

    def begin(self, url: str, now: float) -> int:
        """Note that something is sent there; return the round, which its end has to name."""
        breaker = self._breaker(url).begun(now)
        self._keep(url, breaker)
        self._under_way[url] += 1
        return breaker.round

    def succeeded(self, url: str, round: int) -> None:
        """Note that what was sent there in this round was received."""
        self._keep(url, self._breaker(url).succeeded(round))

    def failed(self, url: str, round: int, now: float) -> None:
        """Note that what was sent there in this round was not received."""
        self._keep(url, self._breaker(url).failed(round, now, self.tripping))

    def ended(self, url: str, round: int) -> None:
        """Note that what was sent there is no longer under way, whatever became of it."""
        self._under_way[url] -= 1
        if not self._under_way[url]:
            del self._under_way[url]
        self._keep(url, self._breaker(url).abandoned(round))

    def forgive(self, url: str) -> None:
        """Close its breaker: somebody says that the receiver is well again."""
        if url in self._failing:
            # Of a new round: what is on its way there says nothing of now.
            self._keep(url, Breaker(round=self._failing[url].round + 1))

    def _breaker(self, url: str) -> Breaker:
        return self._failing.get(url, _CLOSED)

    def _keep(self, url: str, breaker: Breaker) -> None:
        if breaker.until is None and not breaker.failures and not self._under_way[url]:
            self._failing.pop(url, None)
            return
        if breaker is not _CLOSED and breaker != self._failing.get(url):
            self._failing[url] = breaker
            self._failing.move_to_end(url)
            if len(self._failing) > KEPT_MOST:
                self._failing.popitem(last=False)
