"""Running a test in a simulated world, once for each seed, and making what fails small."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, cast

import attrs

from .exploring import calm_memory
from .plan import Key, Plan, from_json
from .shrinking import ddmin
from .sim import Sim
from .sim_oracles import broken
from .sim_play import single
from .sim_report import Failed, SimulationFailed, report
from .sim_settings import SETTINGS
from .world import World

P = ParamSpec("P")

MANY: Final = 20
"""With so many runs, what is sometimes true must have been true once."""

REPLAYS_MOST: Final = 150
"""Runs that making a failure small may take."""

MOST: Final = 100_000.0
"""Virtual seconds that a run may take, unless the test says otherwise."""


def simulate(
    *, runs: int = 100, seeds: Iterable[int] | None = None, most: float = MOST
) -> Callable[[Callable[Concatenate[Sim, P], Coroutine[Any, Any, None]]], Callable[..., None]]:
    """Make an `async def` test that takes a `Sim` an ordinary one, which runs it in many worlds.

    Each seed is a world of its own: which task runs first, what is slow, when the process dies.
    The same seed is the same run. Seed 0 disturbs nothing, and is the first.

    Other arguments of the test stay arguments: pytest's fixtures and parameters, or what a
    `@given` above draws. With a keyword argument `seed` the test runs once, with that seed; give
    `@given` a `seed=st.integers(0, 2**32)` to have Hypothesis choose it.

    Args:
      runs: how many seeds, from 0.
      seeds: these ones instead.
      most: virtual seconds that a run may take before it counts as stuck.
    """
    chosen = tuple(range(runs) if seeds is None else seeds)

    def decorate(
        test: Callable[Concatenate[Sim, P], Coroutine[Any, Any, None]],
    ) -> Callable[..., None]:
        @functools.wraps(test)
        def run(*args: Any, seed: int | None = None, **kwargs: Any) -> None:
            __tracebackhide__ = True
            bound = functools.partial(_play, test, args, kwargs)
            _Runs(test.__name__, bound, most).run(chosen, seed)

        cast("Any", run).__signature__ = _signature(test)
        return run

    return decorate


def _signature(test: Callable[..., object]) -> inspect.Signature:
    """Return a test's own parameters: without the first, which is the simulation."""
    given = inspect.signature(test)
    rest = list(given.parameters.values())[1:]
    # The seed, in a way that pytest takes for no fixture, and Hypothesis for something it may give.
    others = inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)
    return given.replace(parameters=[*rest, others], return_annotation=None)


async def _play(
    test: Callable[..., Coroutine[Any, Any, None]],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    sim: Sim,
) -> None:
    await test(sim, *args, **kwargs)


@attrs.define
class _Runs:
    """All runs of one test."""

    name: str
    test: Callable[[Sim], Coroutine[Any, Any, None]]
    most: float
    met: dict[str, bool] = attrs.field(factory=dict[str, bool])

    def run(self, seeds: Sequence[int], seed: int | None) -> None:
        __tracebackhide__ = True
        with calm_memory() as after_run:
            if SETTINGS.plan is not None and seed is None:
                self._fail_if(self._once(_plan_of(SETTINGS.plan), replays=True), shrinks=False)
                return
            if seed is None and SETTINGS.seed is not None:
                seeds = (SETTINGS.seed,)
            elif seed is None and SETTINGS.runs is not None:
                seeds = range(SETTINGS.runs)
            elif seed is not None:
                seeds = (seed,)
            if seed is None:
                print(f"{self.name}: seeds {_span(seeds)}")
            for each in seeds:
                self._fail_if(self._once(Plan(each, kinds=frozenset())), shrinks=_shrinks())
                after_run()
        never = [claim for claim, met in self.met.items() if not met]
        if never and len(seeds) >= MANY:
            raise SimulationFailed(
                f"{self.name}: never true in {len(seeds)} runs, seeds {_span(seeds)}: "
                + "; ".join(never)
            )

    def _once(self, plan: Plan, *, replays: bool = False) -> Failed | None:
        """Run it once; return how it failed."""
        sim = Sim(World(plan), replays=replays)
        error: BaseException | None = None
        try:
            sim.world.run(functools.partial(sim.play, self.test, most=self.most))
        except Exception as exc:
            error = single(exc)
        except BaseExceptionGroup as exc:
            # A test that is skipped, or an interrupt from the keyboard.
            raise single(cast("BaseException", exc)) from None
        for claim, met in sim.claims.met.items():
            self.met[claim] = self.met.get(claim, False) or met
        error = sim.failure or error or broken(sim)
        return None if error is None else Failed(sim, error)

    def _fail_if(self, failed: Failed | None, *, shrinks: bool) -> None:
        __tracebackhide__ = True
        if failed is None:
            return
        how = ""
        if shrinks and failed.sim.plan.used:
            failed, how = self._shrunk(failed)
        words = report(failed, name=self.name, replay=self._replay(failed.sim.seed), how=how)
        # Where a claim was looked at says nothing; where an `assert` stands says all.
        raise SimulationFailed(words) from (None if failed.claimed else failed.error)

    def _shrunk(self, first: Failed) -> tuple[Failed, str]:
        """Return a failure of the same kind with as few perturbations as can be found."""
        used, seed, best = dict(first.sim.plan.used), first.sim.plan.seed, first
        replays = 0

        def fails(fixed: dict[Key, float]) -> bool:
            nonlocal best, replays
            if replays >= REPLAYS_MOST:
                return False
            replays += 1
            failed = self._once(Plan(seed, kinds=frozenset(), fixed=fixed), replays=True)
            if failed is None or failed.kind != first.kind:
                return False
            best = failed
            return True

        if not fails(used):
            return first, f" ({len(used)}; no replay fails in the same way)"
        ddmin(list(used), lambda keys: fails({key: used[key] for key in keys}))
        # Some were only there to bring another one to its number.
        left = dict(best.sim.plan.used)
        if len(left) > 1:
            alone = (
                {(kind, site, number): value}
                for (kind, site, n), value in left.items()
                for number in range(n + 1)
            )
            next((one for one in alone if fails(one)), None)
        return best, f" ({len(best.sim.plan.used)} of {len(used)}, after {replays} replays)"

    def _replay(self, seed: int) -> str:
        current = os.environ.get("PYTEST_CURRENT_TEST", "")
        if not current:
            return f"{self.name}(seed={seed})"
        return f"pytest '{current.rpartition(' ')[0]}' --sim-seed={seed}"


def _span(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return str(seeds[0])
    if list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _shrinks() -> bool:
    """False while Hypothesis makes its own input smaller: only what it shows in the end counts."""
    control: Any = sys.modules.get("hypothesis.control")
    context = None if control is None else control._current_build_context.value
    return context is None or bool(context.is_final)


def _plan_of(path: Path) -> Plan:
    """Return the plan that a file holds.

    Raises:
      ValueError: if it is something else.
    """
    saved: Any = json.loads(path.read_text("utf-8"))
    match saved:
        case {"seed": int(seed), "perturbations": list()}:
            return Plan(seed, kinds=frozenset(), fixed=from_json(saved["perturbations"]))
        case _:
            raise ValueError(f"{path} is no plan: a seed and a list of perturbations")
