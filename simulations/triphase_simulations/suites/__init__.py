"""Suites of scenarios: each draws a scenario from a seed, around one thing that can go wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs

from triphase_simulations.drawing import Draw
from triphase_simulations.scenario import Scenario

from . import (
    cancels,
    deadlines,
    everything,
    gates,
    limits,
    restarts,
    retention,
    retries,
    shutdown,
    streams,
    webhooks,
)


@attrs.frozen
class Suite:
    """Where scenarios of one kind come from."""

    name: str
    says: str
    """What its scenarios are about, in a sentence."""

    draw: Callable[[Draw], Scenario]

    def scenario(self, seed: int) -> Scenario:
        """Return the scenario of a seed."""
        return self.draw(Draw(seed))


_ALL = (
    Suite(
        "cancel_at_phase_boundary",
        "Cancels that come as one phase ends and the next begins, twice, early and late.",
        cancels.draw,
    ),
    Suite(
        "restart", "Processes that die or leave at any moment, with every policy.", restarts.draw
    ),
    Suite(
        "deadlines", "Every deadline, with handlers that end just before or after.", deadlines.draw
    ),
    Suite("retries", "Errors, snoozes, budgets, and retries by hand from any phase.", retries.draw),
    Suite("limits", "More jobs than slots, priorities, and limits that change.", limits.draw),
    Suite("gates", "Approvals asked for, given, refused, repeated and timed out.", gates.draw),
    Suite("shutdown", "Leaving while stubborn handlers run and clients wait.", shutdown.draw),
    Suite(
        "retention",
        "Jobs that are deleted as somebody retries, reads or waits for them.",
        retention.draw,
    ),
    Suite(
        "streams",
        "Clients that follow, ask and wait over a network that delays, breaks and goes deaf.",
        streams.draw,
    ),
    Suite(
        "webhooks",
        "Webhooks to receivers that refuse, hang, answer late, badly or not at all, or are gone.",
        webhooks.draw,
    ),
    Suite(
        "everything",
        "A draw of all of it: which features and faults are there at all.",
        everything.draw,
    ),
)

SUITES: Final[Mapping[str, Suite]] = {suite.name: suite for suite in _ALL}
"""The suites by name."""
