"""Deterministic simulations of triphase jobs.

@simulate(runs=200)
async def test_refund(sim: Sim) -> None:
    psp = sim.service("https://psp", Psp())
    runtime = await sim.runtime([Refund])
    await runtime.submit(Refund(order=1), key="order-1")
    sim.chaos(crash=True)
    sim.always("charged at most once", lambda: psp.charges(1) <= 1)
    await sim.settle()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .escapes import SimulationEscape
    from .guest import Guest
    from .history import History
    from .plan import Plan
    from .services import call, call_nowait, point, stub
    from .sim import Sim
    from .sim_claims import ClaimBroken
    from .sim_moments import Moment
    from .sim_node import ProcessDied
    from .sim_oracles import RuntimeBroken
    from .sim_play import Unsettled
    from .sim_report import SimulationFailed
    from .sim_runs import simulate
    from .sim_runtime import SimRuntime
    from .world import Stuck, World

_PLACES = {
    "ClaimBroken": "sim_claims",
    "Guest": "guest",
    "History": "history",
    "Moment": "sim_moments",
    "Plan": "plan",
    "ProcessDied": "sim_node",
    "RuntimeBroken": "sim_oracles",
    "Sim": "sim",
    "SimRuntime": "sim_runtime",
    "SimulationEscape": "escapes",
    "SimulationFailed": "sim_report",
    "Stuck": "world",
    "Unsettled": "sim_play",
    "World": "world",
    "call": "services",
    "call_nowait": "services",
    "point": "services",
    "simulate": "sim_runs",
    "stub": "services",
}

__all__ = [
    "ClaimBroken",
    "Guest",
    "History",
    "Moment",
    "Plan",
    "ProcessDied",
    "RuntimeBroken",
    "Sim",
    "SimRuntime",
    "SimulationEscape",
    "SimulationFailed",
    "Stuck",
    "Unsettled",
    "World",
    "call",
    "call_nowait",
    "point",
    "simulate",
    "stub",
]


def __getattr__(name: str) -> Any:
    # On demand: pytest loads the plugin in every run of every project that has triphase.
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)
