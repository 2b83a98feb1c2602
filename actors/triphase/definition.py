"""Job types, as a user declares them.

    @triphase.job(queue="media", timeout=3600)
    class Transcode:
        url: str

        @triphase.phase(retry=triphase.Retry(attempts=5))
        async def fetch(self, ctx: triphase.Context) -> str: ...

A declaration is checked when it is made, as far as Python lets it be; annotations that name
something defined later are resolved when a runtime is opened with the job type.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, cast, overload

import attrs

from triphase_protocol import (
    Approval,
    DefinitionChanged,
    DefinitionError,
    Gate,
    InvalidPayload,
    Job,
    Json,
    OnRestart,
    PhaseRecord,
    PhaseState,
    Recovery,
    Timeouts,
    Translate,
    TriphaseError,
    UnknownPhase,
    Webhook,
    decode,
    digest_of,
    storable,
    structure,
    unstructure,
)

from .checks import Webhooks, check_approval, check_seconds, check_webhooks, check_whole
from .external import CommandResult
from .phases import Phase, PhaseKind
from .result_types import result_type

T = TypeVar("T")

_MARK = "__triphase_definition__"

Translation = Callable[[Job], "Mapping[str, Any] | None"]
"""What `@job(translate=)` takes: from a job of older phases to the results that still count."""


@attrs.frozen(eq=False)
class Definition:
    """A job type, as `@job` declares it."""

    name: str
    """The name that stands in the store and on the wire."""

    cls: type[Any]
    """The class; its instances are payloads."""

    queue: str
    """Where its jobs go unless `submit` says otherwise."""

    timeouts: Timeouts
    """What its jobs may take, unless `submit` says otherwise."""

    approval: Approval | None
    """Somebody has to approve each of its jobs before it starts; None if nobody has to."""

    recovery: Recovery
    """What becomes of a job whose run is interrupted."""

    phases: tuple[Phase[Any], ...]
    """In the order in which they run."""

    translate: Translation | None
    """What becomes of jobs that were submitted with other phases; None refuses them."""

    webhooks: tuple[Webhook, ...] = ()
    """Where the events of its jobs are POSTed."""

    _result_types: dict[str, Any] = attrs.field(factory=dict[str, Any], init=False, repr=False)

    def phase(self, name: str) -> Phase[Any]:
        """Return the phase of that name.

        Raises:
          UnknownPhase: if there is none.
        """
        for candidate in self.phases:
            if candidate.name == name:
                return candidate
        known = ", ".join(p.name for p in self.phases)
        raise UnknownPhase(f"job type {self.name!r} has no phase {name!r}; it has: {known}")

    def resolve(self) -> None:
        """Resolve the annotations of fields and results.

        Raises:
          DefinitionError: if one names something that cannot be found.
        """
        names = {self.cls.__name__: self.cls}
        try:
            attrs.resolve_types(self.cls, localns=names)
            for each in self.phases:
                command = each.kind is PhaseKind.COMMAND
                declared = CommandResult if command else result_type(each.handler, names)
                self._result_types[each.name] = declared
        except NameError as exc:
            raise DefinitionError(
                f"job type {self.name!r}: an annotation cannot be resolved ({exc}); "
                "what it names must be importable from the module of the class"
            ) from exc

    def changed_since(self, job: Job) -> str | None:
        """Return how the phases differ from those a job was submitted with; None if they do not."""
        stored = [_versioned(phase.name, phase.version) for phase in job.phases]
        declared = [_versioned(phase.name, phase.version) for phase in self.phases]
        if stored == declared:
            return None
        return (
            f"submitted with the phases {', '.join(stored)}; "
            f"{self.name} now has {', '.join(declared)}"
        )

    def translation_of(self, job: Job) -> Translate | None:
        """Return what the phases of a job become under this definition; None if they fit.

        Raises:
          DefinitionChanged: if they do not fit, and there is no translation.
        """
        changed = self.changed_since(job)
        if changed is None:
            return None
        if self.translate is None:
            raise DefinitionChanged(changed)
        try:
            results = self.translate(job)
        except Exception as exc:
            raise DefinitionChanged(f"{changed}; its translation raised {exc!r}") from exc
        if results is None:
            raise DefinitionChanged(f"{changed}; its translation refuses it")
        if not isinstance(cast("object", results), Mapping):
            raise DefinitionChanged(
                f"the translation of job {job.id} returned {results!r}, which maps no phases to "
                "their results"
            )
        return Translate(phases=self._translated(job, results))

    def _translated(self, job: Job, results: Mapping[str, Any]) -> tuple[PhaseRecord, ...]:
        names = [phase.name for phase in self.phases]
        done = names[: len(results)]
        if set(results) != set(done):
            raise DefinitionChanged(
                f"the translation of job {job.id} gives results of {sorted(map(str, results))}, "
                f"which are not the first of its phases now: {', '.join(names)}"
            )
        before = {phase.name: phase for phase in job.phases}
        records: list[PhaseRecord] = []
        for phase in self.phases:
            older = before.get(phase.name)
            gate = older.gate if older is not None and older.gate is not None else phase.gate
            record = PhaseRecord(name=phase.name, version=phase.version, gate=gate)
            if phase.name in results:
                what = f"translated result of phase {phase.name!r}"
                try:
                    data = storable(unstructure(results[phase.name]), what=what)
                except TriphaseError as exc:
                    raise DefinitionChanged(str(exc)) from exc
                record = attrs.evolve(record, state=PhaseState.COMPLETED, result=decode(data))
            records.append(record)
        return self._with_gate_of_the_job(job, records)

    def _with_gate_of_the_job(
        self, job: Job, records: list[PhaseRecord]
    ) -> tuple[PhaseRecord, ...]:
        """Put the job's own gate, if nobody has approved it, before the first phase to run."""
        own = job.phases[0].gate if job.phases else None
        if own is None and self.approval is not None:
            own = Gate(timeout=self.approval.timeout)
        for index, record in enumerate(records):
            if record.state is not PhaseState.COMPLETED:
                if own is not None and not own.open and record.gate is None:
                    records[index] = attrs.evolve(record, gate=Gate(timeout=own.timeout))
                break
        return tuple(records)

    def payload_of(self, job: object) -> Json:
        """Return a job's fields as JSON, after a check that they can be read back.

        Raises:
          InvalidPayload: with one problem for each bad field.
        """
        what = f"payload of {self.name}"
        data = storable(unstructure(job), what=what, error=InvalidPayload)
        payload = decode(data)
        self.instance_of(payload)
        return payload

    def instance_of(self, payload: Json) -> Any:
        """Return the job that a payload describes.

        Raises:
          InvalidPayload: with one problem for each bad field.
        """
        return structure(payload, self.cls, error=InvalidPayload)

    def digest(self, payload: Json) -> str:
        """Return the hash that a second submit with the same key must match."""
        return digest_of(self.name, payload)

    def result_type(self, name: str) -> Any:
        """Return the declared type of a phase's result; `Any` if none is declared."""
        return self._result_types[name]


class _JobDecorator(Protocol):
    def __call__(self, cls: type[T], /) -> type[T]: ...


@overload
def job(cls: type[T], /) -> type[T]: ...


@overload
def job(
    *,
    name: str | None = None,
    queue: str = "default",
    timeout: float | None = None,
    run_timeout: float | None = None,
    queue_timeout: float | None = None,
    approval: Approval | bool | None = None,
    on_restart: OnRestart | str = OnRestart.RESUME,
    lost_most: int = 5,
    translate: Translation | None = None,
    webhook: Webhooks | None = None,
) -> _JobDecorator: ...


@typing.dataclass_transform(frozen_default=True, field_specifiers=(attrs.field, attrs.Factory))
def job(
    cls: type | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = "default",
    timeout: float | None = None,
    run_timeout: float | None = None,
    queue_timeout: float | None = None,
    approval: Approval | bool | None = None,
    on_restart: OnRestart | str = OnRestart.RESUME,
    lost_most: int = 5,
    translate: Translation | None = None,
    webhook: Webhooks | None = None,
) -> Any:
    """Make a class a job type: a frozen attrs class whose fields are the job's payload.

    The timeouts and the approval are fixed for a job when it is submitted.

    Args:
      cls: the class, when used as `@job` without arguments.
      name: the name in the store and on the wire; the class's name if it is not given. Keep it
        when you rename the class, so that stored jobs still find it.
      queue: where its jobs go unless `submit` says otherwise.
      timeout: seconds from a job's first start to its end, with all retries and waits between;
        a job that takes longer fails.
      run_timeout: seconds that one run may take, from its claim; a run that takes longer is a
        timeout of the phase it is in, which may be tried again.
      queue_timeout: seconds that a job may wait in its queue; one that waits longer fails.
      approval: True, or an `Approval`: each job waits as `gated` until somebody approves it.
      on_restart: what becomes of a job whose process died or was shut down while it ran:
        "resume" goes on with the interrupted phase, "restart" begins with the first, "fail"
        fails it, "hold" ends it as `interrupted` until somebody retries it.
      lost_most: how often its process may die in one phase before the job fails. A shutdown
        does not count.
      translate: what becomes of jobs that were submitted when the type had other phases, or
        other versions of them. It is given the job's record and returns the results that its
        phases have now, by name: those of the first ones, which are not run again; or None, to
        refuse. Without it such jobs fail, and cannot be retried.
      webhook: a URL or a `Webhook`, or several: where the events of its jobs are POSTed. It is
        looked at whenever an event happens, so a change holds for jobs that are there too.

    Raises:
      DefinitionError: if the class has no phases, two of one name, or a bad argument, or if
        arguments contradict each other.
    """

    def decorate(cls: type) -> type:
        chosen = name if name is not None else cls.__name__
        what = f"job type {chosen!r}"
        if not chosen or not isinstance(queue, str) or not queue:
            raise DefinitionError(f"{what}: name and queue must not be empty")
        for option, seconds in (
            ("timeout", timeout),
            ("run_timeout", run_timeout),
            ("queue_timeout", queue_timeout),
        ):
            if seconds is not None:
                check_seconds(f"{what}: {option}", seconds)
        if translate is not None and not callable(translate):
            raise DefinitionError(f"{what}: translate={translate!r}: must be a function of a job")
        phases = _phases_of(cls, chosen)
        # Not slotted: a slotted class is a copy, and its methods would close over the original.
        frozen = attrs.frozen(cls, slots=False)
        definition = Definition(
            name=chosen,
            cls=frozen,
            queue=queue,
            timeouts=Timeouts(queue=queue_timeout, run=run_timeout, job=timeout),
            approval=check_approval(what, approval),
            recovery=_recovery(chosen, on_restart, lost_most),
            phases=phases,
            translate=translate,
            webhooks=check_webhooks(f"{what}: webhook", webhook),
        )
        _check_sense(definition)
        setattr(frozen, _MARK, definition)
        return frozen

    return decorate if cls is None else decorate(cls)


def _check_sense(definition: Definition) -> None:
    """Refuse declarations that contradict each other."""
    what, timeouts = f"job type {definition.name!r}", definition.timeouts
    longer = (("run_timeout", timeouts.run), ("timeout", timeouts.job))
    if timeouts.run is not None and timeouts.job is not None and timeouts.run > timeouts.job:
        raise DefinitionError(
            f"{what}: run_timeout={timeouts.run!r} is above timeout={timeouts.job!r}, "
            "so it would never pass first"
        )
    for phase in definition.phases:
        for option, seconds in longer:
            if seconds is not None and phase.timeout is not None and phase.timeout > seconds:
                raise DefinitionError(
                    f"{what}: phase {phase.name!r} has timeout={phase.timeout!r}, "
                    f"which is above the job's {option}={seconds!r}"
                )
        times_out = (phase.timeout, phase.progress_timeout, timeouts.run)
        if phase.retry.timeouts is not None and times_out == (None, None, None):
            raise DefinitionError(
                f"{what}: phase {phase.name!r} has Retry(timeouts={phase.retry.timeouts!r}), "
                "and no timeout that could pass"
            )
        if phase.survives and definition.recovery.then is not OnRestart.RESUME:
            raise DefinitionError(
                f"{what}: phase {phase.name!r} has survives=True, "
                f"which needs on_restart='resume', not {definition.recovery.then.value!r}"
            )


def _recovery(name: str, then: object, lost_most: object) -> Recovery:
    try:
        chosen = OnRestart(str(then))
    except ValueError:
        known = ", ".join(repr(each.value) for each in OnRestart)
        raise DefinitionError(
            f"job type {name!r}: on_restart={then!r}; there are: {known}"
        ) from None
    check_whole(f"job type {name!r}: lost_most", lost_most, least=0)
    return Recovery(chosen, typing.cast("int", lost_most))


def _phases_of(cls: type, name: str) -> tuple[Phase[Any], ...]:
    found: dict[str, Phase[Any]] = {}
    for base in reversed(cls.__mro__):
        for attribute, value in vars(base).items():
            if isinstance(value, Phase):
                found[attribute] = value
            else:
                found.pop(attribute, None)
    names = [each.name for each in found.values()]
    for each in names:
        if names.count(each) > 1:
            raise DefinitionError(f"job type {name!r}: there are two phases named {each!r}")
    if not names:
        raise DefinitionError(f"job type {name!r} has no phases: decorate a method with @phase()")
    return tuple(found.values())


def definition_of(cls: type) -> Definition:
    """Return the definition of a class that `@job` decorated.

    Raises:
      DefinitionError: if it was not.
    """
    definition = vars(cls).get(_MARK) if isinstance(cls, type) else None
    if not isinstance(definition, Definition):
        raise DefinitionError(f"{cls!r} is not a job type: decorate the class with @triphase.job()")
    return definition


def _versioned(name: str, version: int) -> str:
    return name if version == 1 else f"{name} (version {version})"
