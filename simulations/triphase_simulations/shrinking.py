"""Making a failure small: fewer perturbations, a smaller workload, smaller numbers.

Whatever is taken away, what is left must fail in the same way: with a violation that is the same
once its names and numbers are gone. Otherwise shrinking slips from a rare failure to a common one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

import attrs

from triphase_protocol import encode

from .exploring import Failure, Means, Observed, Shrunk, calm_memory, failure_of
from .plan import KINDS, Key, Plan, to_json
from .receivers import OK
from .scenario import TO_CLIENTS, Anchor, ClientPlan, Op, Scenario

T = TypeVar("T")

BUDGET: Final = 600
"""Runs that shrinking one failure may take."""

ROUNDS_MOST: Final = 4
"""How often it begins again after something was taken away."""

Place = tuple[str | int, ...]
"""Where a value stands in a scenario: names of fields, keys and positions."""


def ddmin(items: Sequence[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """Return a part of *items* that still fails, and no longer does without any one of them.

    The minimizing delta debugging of A. Zeller and R. Hildebrandt, "Simplifying and Isolating
    Failure-Inducing Input", IEEE Transactions on Software Engineering 28(2), 2002. The whole of
    *items* is taken to fail.
    """
    left: list[T] = list(items)
    parts = 2
    if not left or fails([]):
        return []
    while len(left) > 1:
        size = -(-len(left) // parts)
        chunks = [left[begin : begin + size] for begin in range(0, len(left), size)]
        smaller = next((chunk for chunk in chunks if fails(chunk)), None)
        if smaller is not None:
            left, parts = smaller, 2
            continue
        rests = (
            [each for other in chunks if other is not chunk for each in other] for chunk in chunks
        )
        rest = next((rest for rest in rests if len(chunks) > 2 and fails(rest)), None)
        if rest is not None:
            left, parts = rest, max(parts - 1, 2)
        elif parts >= len(left):
            break
        else:
            parts = min(2 * parts, len(left))
    return left


def shrink(
    failure: Failure,
    *,
    budget: int = BUDGET,
    means: Means | None = None,
    on_replay: Callable[[int], None] = lambda replays: None,
) -> Failure:
    """Return a failure that is as small as can be found, run once more to confirm it.

    Args:
      failure: what an exploration has found.
      budget: runs that it may take.
      means: how each is run and judged.
      on_replay: called with the number of runs after each of them.
    """
    with calm_memory() as after_run:

        def replayed(replays: int) -> None:
            after_run()
            on_replay(replays)

        return _Shrinking(failure, budget, means or Means(), replayed).result()


@attrs.frozen
class _Case:
    """What is run: all that a failure depends on."""

    scenario: Scenario
    perturbations: Mapping[Key, float]
    seed: int | None

    def plan(self) -> Plan:
        # The seed still decides ids and draws; but nothing is disturbed that does not stand here.
        return Plan(self.seed, kinds=frozenset(), fixed=self.perturbations)

    def name(self) -> bytes:
        disturbed = sorted(to_json(self.perturbations))
        return encode([self.scenario.to_json(), disturbed, self.seed])


class _Shrinking:
    """The smallest case so far, and what was tried."""

    def __init__(
        self, failure: Failure, budget: int, means: Means, on_replay: Callable[[int], None]
    ) -> None:
        self._failure = failure
        self._wanted = failure.violation.normalised
        self._budget = budget
        self._means = means
        self._on_replay = on_replay
        self._tried: set[bytes] = set()
        self._replays = 0
        self._best = _Case(failure.scenario, dict(failure.perturbations), failure.plan.seed)

    def result(self) -> Failure:
        """Shrink; return what is left."""
        first = self._best
        if self._accepts(first):
            self._accepts(attrs.evolve(self._best, seed=None))
            for _ in range(ROUNDS_MOST):
                before = self._best
                self._drop_perturbations()
                self._drop_ops()
                self._drop_jobs()
                self._drop_clients()
                self._drop_webhooks()
                self._drop_types()
                self._drop_script()
                self._reset_fields()
                if self._best is before:
                    break
            self._smaller_perturbations()
            self._smaller_numbers()
            self._drop_perturbations()
        plan = self._best.plan()
        observed = self._run(self._best, plan)
        confirmed = observed is not None
        if observed is None:
            counts = self._counts(first, first, confirmed=False)
            return attrs.evolve(self._failure, shrunk=counts)
        return failure_of(
            self._failure.suite,
            self._failure.seed,
            self._best.scenario,
            plan,
            observed,
            shrunk=self._counts(first, self._best, confirmed=confirmed),
        )

    def _counts(self, first: _Case, last: _Case, *, confirmed: bool) -> Shrunk:
        return Shrunk(
            replays=self._replays,
            perturbations=(len(first.perturbations), len(last.perturbations)),
            jobs=(len(first.scenario.jobs), len(last.scenario.jobs)),
            ops=(len(first.scenario.ops), len(last.scenario.ops)),
            steps=(steps_of(first.scenario), steps_of(last.scenario)),
            confirmed=confirmed,
        )

    # Running

    def _run(self, case: _Case, plan: Plan) -> Observed | None:
        """Run a case; return what was observed if it fails in the same way, and that first."""
        self._replays += 1
        observed = self._means.observe(case.scenario, plan)
        self._on_replay(self._replays)
        same = [each for each in observed.violations if each.normalised == self._wanted]
        if not same:
            return None
        others = [each for each in observed.violations if each.normalised != self._wanted]
        return attrs.evolve(observed, violations=(*same, *others))

    def _accepts(self, case: _Case) -> bool:
        """Make a case the best one if it fails in the same way; never tries one twice."""
        name = case.name()
        if name in self._tried or self._replays >= self._budget:
            return False
        self._tried.add(name)
        plan = case.plan()
        if self._run(case, plan) is None:
            return False
        # What did not come about this time is not needed.
        self._best = attrs.evolve(case, perturbations=dict(plan.used))
        return True

    def _accepts_scenario(self, **changes: Any) -> bool:
        scenario = attrs.evolve(self._best.scenario, **changes)
        return self._accepts(attrs.evolve(self._best, scenario=scenario))

    def _accepts_at(self, place: Place, value: object) -> bool:
        scenario = replaced(self._best.scenario, place, value)
        return self._accepts(attrs.evolve(self._best, scenario=scenario))

    # What is taken away

    def _drop_perturbations(self) -> None:
        values = dict(self._best.perturbations)

        def fails(keys: list[Key]) -> bool:
            kept = {key: values[key] for key in keys}
            return self._accepts(attrs.evolve(self._best, perturbations=kept))

        ddmin(list(values), fails)

    def _drop_ops(self) -> None:
        ddmin(self._best.scenario.ops, lambda ops: self._accepts_scenario(ops=tuple(ops)))

    def _drop_jobs(self) -> None:
        ops = self._best.scenario.ops

        def fails(jobs: list[Any]) -> bool:
            names = {None, *(job.name for job in jobs)}
            left = tuple(op for op in ops if op.job in names and op.when.job in names)
            return self._accepts_scenario(jobs=tuple(jobs), ops=left)

        ddmin(self._best.scenario.jobs, fails)

    def _drop_clients(self) -> None:
        """Take away clients, with what they do; or it is done by somebody else."""
        scenario = self._best.scenario

        def fails(clients: list[ClientPlan]) -> bool:
            names = {client.name for client in clients}
            kept = attrs.evolve(scenario, clients=tuple(clients))
            return any(
                self._accepts(attrs.evolve(self._best, scenario=each))
                for each in (without_clients(kept, names), by_others(kept, names))
            )

        ddmin(scenario.clients, fails)
        self._drop_items(("pictures",))

    def _drop_webhooks(self) -> None:
        """Take away webhooks, and receivers, which do well where it does not matter."""
        scenario = self._best.scenario
        self._drop_items(("webhooks",))
        for field, count in (("types", len(scenario.types)), ("jobs", len(scenario.jobs))):
            for place in range(count):
                self._drop_items((field, place, "webhooks"))
        self._drop_items(("receivers",))
        for place in range(len(self._best.scenario.receivers)):
            where: Place = ("receivers", place, "answers")
            self._drop_items(where)
            for nth, answer in enumerate(found_at(self._best.scenario, where)):
                if answer != OK:
                    self._accepts_at((*where, nth), OK)
        if scenario.sending is not None:
            self._accepts_at(("sending",), None)

    def _drop_types(self) -> None:
        scenario = self._best.scenario
        used = {job.type for job in scenario.jobs}
        self._accepts_scenario(types=tuple(spec for spec in scenario.types if spec.name in used))
        for place, _ in enumerate(self._best.scenario.types):
            self._drop_items(("types", place, "phases"))

    def _drop_script(self) -> None:
        for place in range(len(self._best.scenario.jobs)):
            for phase in tuple(self._best.scenario.jobs[place].script):
                where: Place = ("jobs", place, "script", phase)
                self._drop_items(where)
                tries = cast("list[Any]", found_at(self._best.scenario, where))
                for attempt in range(len(tries)):
                    self._drop_items((*where, attempt))
            script = self._best.scenario.jobs[place].script
            needed = {phase: tries for phase, tries in script.items() if tries}
            if needed != script:
                self._accepts_at(("jobs", place, "script"), needed)

    def _drop_items(self, place: Place) -> None:
        """Take away what is not needed of a list or tuple."""
        items: Any = found_at(self._best.scenario, place)
        ddmin(items, lambda left: self._accepts_at(place, type(items)(left)))

    def _reset_fields(self) -> None:
        """Put back what a field is by default, wherever that still fails."""
        for place, value in list(defaults(self._best.scenario)):
            self._accepts_at(place, value)

    def _smaller_perturbations(self) -> None:
        for key, value in list(self._best.perturbations.items()):
            for less in sorted(set(KINDS[key[0]].values), key=lambda each: (abs(each), -each)):
                if abs(less) >= abs(value):
                    break
                smaller = {**self._best.perturbations, key: less}
                if self._accepts(attrs.evolve(self._best, perturbations=smaller)):
                    break

    def _smaller_numbers(self) -> None:
        for place, value in list(numbers(self._best.scenario)):
            for less in dict.fromkeys((1, round(value), round(value, 1), round(value / 2, 3))):
                small = type(value)(less)
                if 0 < small < value and self._accepts_at(place, small):
                    break


def without_clients(scenario: Scenario, names: Collection[str]) -> Scenario:
    """Return a scenario without what is done by clients that are not among *names*."""
    there = {None, *names}
    return attrs.evolve(
        scenario,
        jobs=tuple(job for job in scenario.jobs if job.via in there),
        ops=tuple(op for op in scenario.ops if op.via in there),
    )


def by_others(scenario: Scenario, names: Collection[str]) -> Scenario:
    """Return a scenario in which somebody else does what clients did that are not among *names*.

    What was done to them is left out.
    """
    there = {None, *names}
    return attrs.evolve(
        scenario,
        jobs=tuple(
            job if job.via in there else attrs.evolve(job, via=None) for job in scenario.jobs
        ),
        ops=tuple(
            op if op.via in there else attrs.evolve(op, via=None)
            for op in scenario.ops
            if op.via in there or op.what not in TO_CLIENTS
        ),
    )


# Values inside of a scenario, by their places


def _is_record(value: object) -> bool:
    return attrs.has(type(value))


def _has_records(value: Any) -> bool:
    return isinstance(value, tuple) and any(map(_is_record, cast("tuple[Any, ...]", value)))


def _fields_of(value: object) -> tuple[Any, ...]:
    kind: Any = type(value)
    return tuple(attrs.fields(kind))


def found_at(value: Any, place: Place) -> Any:
    """Return what stands at a place."""
    for part in place:
        value = getattr(value, str(part)) if _is_record(value) else value[part]
    return value


def replaced(value: Any, place: Place, new: object) -> Any:
    """Return a copy that has something else at a place."""
    if not place:
        return new
    part, *rest = place
    inside = replaced(found_at(value, (part,)), tuple(rest), new)
    if _is_record(value):
        changed: Any = attrs.evolve(value, **{str(part): inside})
        return changed
    if isinstance(value, Mapping):
        return {**cast("Mapping[Any, Any]", value), part: inside}
    items = list(cast("Sequence[Any]", value))
    items[int(part)] = inside
    return type(value)(items)


def defaults(value: Any, place: Place = ()) -> Iterator[tuple[Place, object]]:
    """Yield each place whose value is not what it is by default, and what that is.

    Only what `attrs` classes declare; and not what may be dropped part by part.
    """
    if _is_record(value):
        for field in _fields_of(value):
            inside, here = getattr(value, field.name), (*place, field.name)
            default: Any = field.default
            if _is_record(inside) or _has_records(inside):
                yield from defaults(inside, here)
            elif default is not attrs.NOTHING and field.name != "script":
                default = default.factory() if hasattr(default, "factory") else default
                if inside != default and not _is_anchored(value, field.name):
                    yield here, default
    elif isinstance(value, tuple):
        for index, item in enumerate(cast("tuple[Any, ...]", value)):
            if _is_record(item):
                yield from defaults(item, (*place, index))


def _is_anchored(value: object, field: str) -> bool:
    """True if an operation would lose what it is about, or when it comes."""
    return (isinstance(value, Op) and field in ("job", "about")) or (
        isinstance(value, Anchor) and field in ("at", "event")
    )


def numbers(value: Any, place: Place = ()) -> Iterator[tuple[Place, float]]:
    """Yield each place with a positive number that is not there by default, and the number."""
    if isinstance(value, bool | str):
        return
    if isinstance(value, int | float):
        if value > 0:
            yield place, value
        return
    inside: list[tuple[str | int, Any]] = []
    if _is_record(value):
        # What a field is by default is as small as it can be: nobody has to read it.
        inside = [
            (field.name, getattr(value, field.name))
            for field in _fields_of(value)
            if getattr(value, field.name) != field.default
        ]
    elif isinstance(value, Mapping):
        inside = list(cast("Mapping[Any, Any]", value).items())
    elif isinstance(value, list | tuple):
        inside = list(enumerate(cast("Sequence[Any]", value)))
    for part, item in inside:
        yield from numbers(item, (*place, part))


def steps_of(scenario: Scenario) -> int:
    """Return how many steps the scripts of a scenario have."""
    return sum(
        len(steps) for job in scenario.jobs for tries in job.script.values() for steps in tries
    )
