"""Running many scenarios of a suite, each disturbed by a plan of its own, and keeping what fails.

An exploration is decided by its suite and its seed. Its hash is made of the hash of every history,
in order, so two explorations were the same exactly if their hashes are, however many processes
took part.
"""

from __future__ import annotations

import gc
import hashlib
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from typing import Any, Final, Protocol, cast

import attrs

from triphase_protocol import TriphaseError

from .coverage import goals_of
from .history import History
from .oracles import Violation, judge
from .plan import Key, Plan, mix
from .running import Stage
from .scenario import Scenario
from .workers import Workers
from .world import Stuck, World

KEPT: Final = 5
"""How many failures an exploration keeps, each of another kind."""

COLLECT_EVERY: Final = 50
"""Runs between two collections of garbage: one after each run would triple what a run costs."""

CHUNK: Final = 20
"""Scenarios that a process is given at once."""


class Suite(Protocol):
    """Where scenarios come from."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    def scenario(self, seed: int) -> Scenario:
        """Return the scenario of a seed."""
        ...


@attrs.frozen
class Moment:
    """When something happened that the history itself does not time."""

    time: float
    """Virtual seconds since the beginning."""

    after: int
    """How many entries the history had by then."""

    about: Key | int
    """A perturbation, or the `seq` of the last event that was committed."""


@attrs.frozen
class Played:
    """How a run went, before anybody judged it."""

    history: History
    error: Exception | None = None
    """What ended it early."""

    moments: tuple[Moment, ...] = ()


@attrs.frozen
class Observed:
    """A run and what was wrong with it."""

    history: History
    violations: tuple[Violation, ...]
    details: str = ""
    """Who waits where, or a traceback, if the run did not come to its end."""

    moments: tuple[Moment, ...] = ()


class _Noticed(dict[Key, float]):
    """The perturbations that were used; tells of each."""

    def __init__(self, tell: Callable[[Key], None]) -> None:
        super().__init__()
        self._tell = tell

    def __setitem__(self, key: Key, value: float) -> None:
        super().__setitem__(key, value)
        self._tell(key)


def play(scenario: Scenario, plan: Plan) -> Played:
    """Run a scenario to its end, or to where it broke. Never raises an `Exception` of the run."""
    world = World(plan)
    try:
        stage = Stage(world, scenario)
    except TriphaseError as exc:
        # Shrinking makes scenarios that cannot be: a job type without a phase.
        return Played(world.history, exc)
    moments: list[Moment] = []

    def notice(about: Key | int) -> None:
        time = round(world.now(), 6)
        moments.append(Moment(time, len(world.history.entries), about))

    plan.used = _Noticed(notice)
    world.on_commit.append(lambda store: notice(stage.disk.last_seq))
    error: Exception | None = None
    try:
        world.run(stage.play)
    except Exception as exc:
        if _was_interrupted(exc):
            # Ctrl-C in the middle of trio's loop, which took it for a mistake of its own.
            raise KeyboardInterrupt from exc
        # A crash of the runtime, or of the simulation itself: it is found, and shrunk, like any
        # other violation.
        error = exc
        world.history.log = tuple(stage.disk.events_after(0))
        world.history.jobs = tuple(stage.disk.records())
    return Played(world.history, error, tuple(moments))


@attrs.frozen(kw_only=True)
class Means:
    """How scenarios are run and judged; the parts of it travel to other processes."""

    play: Callable[[Scenario, Plan], Played] = play
    judge: Callable[[History, Scenario], Sequence[Violation]] = judge
    goals: Callable[[History, Scenario], frozenset[str]] = goals_of

    def observe(self, scenario: Scenario, plan: Plan) -> Observed:
        """Run a scenario once, and say what was wrong."""
        played = self.play(scenario, plan)
        if played.error is None:
            found = tuple(self.judge(played.history, scenario))
            return Observed(played.history, found, moments=played.moments)
        violation, details = _broken(played.error, played.history)
        return Observed(played.history, (violation,), details, played.moments)


def _broken(error: Exception, history: History) -> tuple[Violation, str]:
    """Return the violation that an exception stands for, and more about it."""
    leaves = list(_leaves(error))
    stuck = next((leaf for leaf in leaves if isinstance(leaf, Stuck)), None)
    if stuck is not None:
        message, _, details = str(stuck).partition("\n")
        return _pseudo("stuck", message, history), details
    message = "; ".join(dict.fromkeys(f"{type(leaf).__name__}: {leaf}" for leaf in leaves))
    return _pseudo("crash", message, history), "".join(traceback.format_exception(error))


def _pseudo(oracle: str, message: str, history: History) -> Violation:
    return Violation(oracle=oracle, job=None, seq=None, time=history.seconds, message=message)


def _was_interrupted(error: BaseException | None) -> bool:
    while error is not None:
        if any(isinstance(leaf, KeyboardInterrupt) for leaf in _leaves(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        for inner in group.exceptions:
            yield from _leaves(inner)
    else:
        yield error


@attrs.frozen(kw_only=True)
class Shrunk:
    """What shrinking made of a failure."""

    replays: int
    """Runs that it took."""

    perturbations: tuple[int, int]
    """How many there were, and are."""

    jobs: tuple[int, int]
    ops: tuple[int, int]
    steps: tuple[int, int]
    """The same for the steps of the jobs' scripts."""

    confirmed: bool
    """The result was run once more, and failed in the same way."""


@attrs.frozen(kw_only=True)
class Failure:
    """A scenario and a plan under which something is wrong."""

    suite: str
    seed: int
    """The scenario's own seed; see `seed_of`."""

    scenario: Scenario
    plan: Plan
    """What disturbed it stands in `plan.used`."""

    violations: tuple[Violation, ...]
    history: History
    details: str = ""
    moments: tuple[Moment, ...] = ()
    shrunk: Shrunk | None = None

    @property
    def violation(self) -> Violation:
        """The first of the violations, which names the failure."""
        return self.violations[0]

    @property
    def perturbations(self) -> Mapping[Key, float]:
        """What disturbed the run."""
        return self.plan.used


@attrs.frozen(kw_only=True)
class Result:
    """What came of one scenario."""

    number: int
    seed: int
    hash: str
    goals: frozenset[str]
    violations: tuple[Violation, ...]


@attrs.frozen(kw_only=True)
class Exploration:
    """What came of all of them."""

    suite: str
    scenarios: int
    failed: int
    """How many scenarios failed."""

    failures: tuple[Failure, ...]
    """The first of each kind: see `KEPT`."""

    goals: Mapping[str, int]
    """In how many scenarios each goal was reached."""

    history_hash: str
    seconds: float
    """How long it took, in real time."""

    @property
    def per_second(self) -> float:
        """Scenarios a second."""
        return self.scenarios / self.seconds if self.seconds else 0.0


def seed_of(seed: int, number: int) -> int:
    """Return the seed of one scenario of an exploration: 53 bits, which every JSON reader keeps."""
    return mix(seed, number) >> 11 or 1


def plan_of(scenario: Scenario, seed: int) -> Plan:
    """Return the plan that disturbs the scenario of a seed."""
    return Plan(seed, kinds=frozenset(scenario.kinds))


def replay(suite: Suite, seed: int, means: Means | None = None) -> tuple[Result, Failure | None]:
    """Run the scenario of one seed; return what came of it, and the failure if it is one."""
    return _examine(suite, 0, seed, means or Means())


def explore(
    suite: Suite,
    *,
    scenarios: int,
    seed: int,
    jobs: int = 1,
    on_result: Callable[[Result], None] = lambda result: None,
    means: Means | None = None,
    pool: Workers | None = None,
) -> Exploration:
    """Run scenarios of a suite.

    Args:
      suite: where they come from.
      scenarios: how many.
      seed: decides which.
      jobs: processes that run them; the result is the same.
      on_result: called after each, in order.
      means: how each is run and judged.
      pool: processes that are there already, instead of *jobs*.
    """
    means = means or Means()
    began = time.perf_counter()
    digest, goals, failed = hashlib.sha256(), dict[str, int](), 0
    kept: dict[str, Failure] = {}
    with (
        nullcontext(pool) if pool else Workers(jobs) as chosen,
        closing(_results(suite, scenarios, seed, chosen, means)) as results,
    ):
        for result, failure in results:
            digest.update(f"{result.hash}\n".encode())
            for goal in sorted(result.goals):
                goals[goal] = goals.get(goal, 0) + 1
            if result.violations:
                failed += 1
                name = result.violations[0].normalised
                if name not in kept and len(kept) < KEPT:
                    # What another process has found is run again here, where its history is.
                    kept[name] = failure or _again(suite, result, means)
            on_result(result)
    return Exploration(
        suite=suite.name,
        scenarios=scenarios,
        failed=failed,
        failures=tuple(kept.values()),
        goals=dict(sorted(goals.items())),
        history_hash=digest.hexdigest()[:16],
        seconds=time.perf_counter() - began,
    )


@contextmanager
def calm_memory() -> Generator[Callable[[], None]]:
    """Keep the garbage collector out of runs, which it would make slow, and may make differ.

    Yields what is called after each run.
    """
    enabled, runs = gc.isenabled(), 0

    def after_run() -> None:
        nonlocal runs
        runs += 1
        if runs % COLLECT_EVERY == 0:
            gc.collect()

    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield after_run
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


_Pair = tuple[Result, Failure | None]


def _results(
    suite: Suite, scenarios: int, seed: int, pool: Workers, means: Means
) -> Generator[_Pair, None, None]:
    if pool.count == 1:
        return _here(suite, range(scenarios), seed, means)
    return _elsewhere(suite, scenarios, seed, pool, means)


def _here(suite: Suite, numbers: range, seed: int, means: Means) -> Generator[_Pair, None, None]:
    with calm_memory() as after_run:
        for number in numbers:
            yield _examine(suite, number, seed_of(seed, number), means)
            after_run()


def _elsewhere(
    suite: Suite, scenarios: int, seed: int, pool: Workers, means: Means
) -> Generator[_Pair, None, None]:
    chunks = [range(begin, min(begin + CHUNK, scenarios)) for begin in range(0, scenarios, CHUNK)]
    with closing(pool.map(_chunk, [(suite, chunk, seed, means) for chunk in chunks])) as found:
        for results in found:
            for result in results:
                yield result, None


def _chunk(suite: Suite, numbers: range, seed: int, means: Means) -> list[Result]:
    return [result for result, _ in _here(suite, numbers, seed, means)]


def _examine(suite: Suite, number: int, seed: int, means: Means) -> _Pair:
    scenario = suite.scenario(seed)
    plan = plan_of(scenario, seed)
    observed = means.observe(scenario, plan)
    result = Result(
        number=number,
        seed=seed,
        hash=observed.history.hash(),
        goals=means.goals(observed.history, scenario),
        violations=observed.violations,
    )
    if not observed.violations:
        return result, None
    return result, failure_of(suite.name, seed, scenario, plan, observed)


def failure_of(
    suite: str, seed: int, scenario: Scenario, plan: Plan, observed: Observed, **more: Any
) -> Failure:
    """Return the failure that a run was."""
    return Failure(
        suite=suite,
        seed=seed,
        scenario=scenario,
        plan=plan,
        violations=observed.violations,
        history=observed.history,
        details=observed.details,
        moments=observed.moments,
        **more,
    )


def _again(suite: Suite, result: Result, means: Means) -> Failure:
    """Return the failure that another process has found.

    Should it not fail here, the run depends on something that is not in its seed, and that is
    what is reported.
    """
    again, failure = _examine(suite, result.number, result.seed, means)
    if failure is not None and again.hash == result.hash:
        return failure
    scenario = suite.scenario(result.seed)
    plan = plan_of(scenario, result.seed)
    observed = means.observe(scenario, plan)
    message = f"another process had another history: {result.violations[0].message}"
    differs = _pseudo("determinism", message, observed.history)
    observed = attrs.evolve(observed, violations=(differs, *result.violations))
    return failure_of(suite.name, result.seed, scenario, plan, observed)
