"""Everything that disturbs a run, as one dictionary: `(kind, site, n) -> value`.

A *site* is a name (of a task, of a point in the code, of a fault); *n* counts how often that site
was passed. So each perturbation stands by itself: taking one away, or making the workload smaller,
does not change what the others mean. That is what makes a failing plan shrink to one or two lines,
and what keeps a saved plan useful when the code has changed a little.

A plan comes from a seed, which decides for each key by a hash whether and how it is disturbed; or
it is fixed, a dictionary that was recorded, saved or written by hand.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, cast

import attrs

Key: TypeAlias = tuple[str, str, int]
"""Kind, site, and how often the site had been passed before."""

_MASK: Final = 2**64 - 1


def mix(*numbers: int) -> int:
    """Return 64 well mixed bits of some numbers.

    The finalizer of SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast Splittable Pseudorandom
    Number Generators", OOPSLA 2014). A checksum alone will not do: it is linear, so that some pairs
    of sites are never disturbed together, whatever the seed.
    """
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 30) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def hashed(text: str) -> int:
    """Return a number for a name, the same in every process."""
    data = text.encode()
    return zlib.crc32(data) << 32 | zlib.adler32(data)


@attrs.frozen
class Kind:
    """One kind of perturbation: how often it happens, and what it may be."""

    name: str
    chances: tuple[float, ...]
    """The odds of each key, of which a seed chooses one; 0 switches the kind off."""

    values: tuple[float, ...]
    """What a perturbation may be; one is chosen for each."""

    most: int = 1_000_000
    """How many of them a run has at most."""


HOLD: Final = Kind("hold", (0.0, 0.005, 0.03, 0.1), (1, 1, 2, 3, 5, 8, 20))
"""A task is kept from running for so many turns of the loop."""

STALL: Final = Kind("stall", (0.0, 0.02, 0.1), (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0))
"""A store takes so many seconds of virtual time. Heavy-tailed: holds alone take no time at all,
and small delays alone never reach from the middle of one phase into another."""

CRASH: Final = Kind("crash", (0.0, 0.002, 0.01, 0.05), (1,), most=3)
"""The process dies at a point of the store, or as a task takes its next step."""

REFUSE: Final = Kind("refuse", (0.0, 0.02, 0.1), (1,), most=4)
"""The store refuses a write; nothing of it is written."""

STEP: Final = Kind("step", (0.0, 0.02, 0.1), (-3600.0, -30.0, -1.0, 1.0, 30.0, 3600.0), most=3)
"""The wall clock is set by so many seconds."""

DELAY: Final = Kind("delay", (0.0, 0.05, 0.3), (0.001, 0.01, 0.05, 0.3, 1.0, 8.0))
"""What is sent over a network arrives so many seconds later, and all that follows behind it."""

CUT: Final = Kind("cut", (0.0, 0.01, 0.05), (0.01, 0.3, 0.7, 1.0), most=8)
"""A connection breaks as something is sent, of which this part arrives."""

VANISH: Final = Kind("vanish", (0.0, 0.005, 0.02), (1,), most=3)
"""From now on what is sent over a connection goes nowhere, and nobody is told."""

KINDS: Final = {kind.name: kind for kind in (HOLD, STALL, CRASH, REFUSE, STEP, DELAY, CUT, VANISH)}
"""The kinds by name."""


@attrs.define
class Plan:
    """What is to disturb a run, and what has."""

    seed: int | None = None
    """Decides about keys that are not fixed; None and 0 disturb nothing."""

    kinds: frozenset[str] = frozenset(KINDS)
    """The kinds that the seed may use."""

    fixed: Mapping[Key, float] = attrs.field(factory=dict[Key, float])
    """What is decided; with a seed, beside it."""

    used: dict[Key, float] = attrs.field(factory=dict[Key, float], init=False)
    """What has disturbed the run so far."""

    quiet: bool = attrs.field(default=False, init=False)
    """Nothing disturbs any more: what is left must come to its end."""

    _chances: dict[str, float] = attrs.field(factory=dict[str, float], init=False)
    _counts: dict[tuple[str, str], int] = attrs.field(
        factory=dict[tuple[str, str], int], init=False
    )
    _hashes: dict[tuple[str, str], int] = attrs.field(
        factory=dict[tuple[str, str], int], init=False
    )
    _spent: dict[str, int] = attrs.field(factory=dict[str, int], init=False)

    def __attrs_post_init__(self) -> None:
        # Each seed switches whole kinds off and chooses how dense the others are ("swarm
        # testing", A. Groce et al., ISSTA 2012): what is always there hides what it masks.
        for name, kind in KINDS.items():
            on = self.seed and name in self.kinds
            drawn = mix(self.seed or 0, hashed(name)) % len(kind.chances)
            self._chances[name] = kind.chances[drawn] if on else 0.0

    def allow(self, kinds: Iterable[str]) -> None:
        """Choose anew which kinds the seed may use from now on."""
        self.kinds = frozenset(kinds)
        self.__attrs_post_init__()

    def passed(self, kind: str, site: str) -> int:
        """Return how often a site was passed: the number of the next time."""
        return self._counts.get((kind, site), 0)

    def next(self, kind: str, site: str, *, chance: float | None = None) -> float:
        """Pass a site; return how it is disturbed this time, or 0.

        Args:
          kind: which kind of perturbation may happen.
          site: where.
          chance: the odds, where the kind's own would be too low for a site that is passed only
            a few times. A seed that switches the kind off switches it off here too.
        """
        where = (kind, site)
        n = self._counts.get(where, 0)
        self._counts[where] = n + 1
        if self.quiet:
            return 0.0
        value = self.fixed.get((kind, site, n), 0.0) or self._drawn(kind, site, n, chance)
        if value:
            self.used[kind, site, n] = value
        return value

    def _drawn(self, kind: str, site: str, n: int, odds: float | None) -> float:
        chance = self._chances[kind]
        if not chance:
            return 0.0
        chance = chance if odds is None else odds
        where = (kind, site)
        named = self._hashes.get(where)
        if named is None:
            named = self._hashes[where] = hashed(f"{kind}:{site}")
        bits = mix(self.seed or 0, named, n)
        if (bits >> 11) * 2.0**-53 >= chance:
            return 0.0
        spent = self._spent.get(kind, 0)
        if spent >= KINDS[kind].most:
            return 0.0
        self._spent[kind] = spent + 1
        values = KINDS[kind].values
        return values[mix(bits) % len(values)]


def lines(perturbations: Mapping[Key, float]) -> list[str]:
    """Return perturbations in words, one a line."""
    words = {
        "hold": "hold task {site} for {value:g} turns at its step {n}",
        "stall": "stall {site} for {value:g} s at its call {n}",
        "crash": "crash at {site}, the {nth} time",
        "refuse": "refuse {site}, the {nth} time",
        "step": "set the clock by {value:g} s at {site}, the {nth} time",
        "delay": "delay {site} by {value:g} s, the {nth} time",
        "cut": "cut {site} the {nth} time, when {value:.0%} of it has arrived",
        "vanish": "let {site} vanish from the {nth} time on",
    }
    return [
        words.get(kind, "{kind} {site} {n}: {value:g}").format(
            kind=kind, site=site, n=n, nth=_ordinal(n + 1), value=value
        )
        for (kind, site, n), value in perturbations.items()
    ]


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}th" if number % 100 in (11, 12, 13) else f"{number}{ending}"


def to_json(perturbations: Mapping[Key, float]) -> list[list[Any]]:
    """Return perturbations as JSON values: a list of `[kind, site, n, value]`."""
    return [[kind, site, n, value] for (kind, site, n), value in perturbations.items()]


def from_json(values: Any) -> dict[Key, float]:
    """Return perturbations from what `to_json` made.

    Raises:
      ValueError: if it is something else, naming what.
    """
    found: dict[Key, float] = {}
    given = cast("list[object]", values if isinstance(values, list) else [values])
    for value in given:
        match value:
            case [str(kind), str(site), int(n), int() | float() as much] if kind in KINDS:
                found[kind, site, n] = float(much)
            case _:
                raise ValueError(
                    f"{json.dumps(value)[:80]} is no perturbation: "
                    f"[kind, site, n, value] with a kind of {', '.join(KINDS)}"
                )
    return found
