"""Oracles: what must hold in every history, whatever disturbed the run.

They read a finished history and nothing else, and rather miss a mistake than report one that is
none: what an oracle cannot know (when a commit was durable while a store stalled, what a killed
process would have said) it does not judge.

Of the catalogue, these judge parts that do not exist yet and are left out: O14 and O15 (owners that
go offline, sessions), O16 (presence), O18 (dependencies) and O19 (schedules). O25 is judged with
O5, and O27 with O9.
"""

from __future__ import annotations

from typing import Final

from triphase_simulations.history import History
from triphase_simulations.scenario import Scenario

from .budgets import Budgets
from .cancels import NothingAfterCancel
from .deadlines import Overdue, StopsInTime
from .gates import Gates
from .handlers import NothingLeftBehind, OneHandler
from .hooks import Hooks
from .listening import DurableFirst
from .order import Fencing, Folding, Numbering
from .phases import CompletedStays, ProgressRises
from .reading import Reading
from .slots import Explained, Limits, WorkConserving
from .streams import Undelayed
from .survival import Accepted, Survival
from .terminals import OneEnd, OnlyTheEndedAreDeleted, TerminalStays
from .violations import Oracle, Violation
from .waking import NoLostWakeup

__all__ = ["ORACLES", "Oracle", "Reading", "Violation", "judge"]

ORACLES: Final[tuple[Oracle, ...]] = (
    TerminalStays(),
    OneEnd(),
    DurableFirst(),
    NoLostWakeup(),
    Limits(),
    WorkConserving(),
    OneHandler(),
    Fencing(),
    CompletedStays(),
    NothingLeftBehind(),
    Hooks(),
    Survival(),
    OnlyTheEndedAreDeleted(),
    Gates(),
    Numbering(),
    ProgressRises(),
    Overdue(),
    StopsInTime(),
    Accepted(),
    Explained(),
    NothingAfterCancel(),
    Budgets(),
    Folding(),
    Undelayed(),
)
"""Every oracle, in the order of the catalogue."""


def judge(history: History, scenario: Scenario) -> list[Violation]:
    """Return everything that must not have happened, oracle by oracle."""
    reading = Reading(history, scenario)
    return [violation for oracle in ORACLES for violation in oracle.judge(reading)]
