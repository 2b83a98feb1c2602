"""The job types that a runtime knows, and the queues they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from triphase_protocol import (
    DefinitionError,
    Job,
    PhaseState,
    Queue,
    Recovery,
    UnknownJobType,
    UnknownQueue,
)

from .definition import Definition, definition_of
from .phases import PhaseKind
from .processes import KeptCommand, check_importable
from .store.backend import QueueSetting


class Registry:
    """Job types by name.

    Args:
      types: classes that `@job` decorated.
      queues: the queues' settings; a queue that a type names and this does not has the default.

    Raises:
      DefinitionError: if a class is no job type, or two have one name.
    """

    def __init__(self, types: Iterable[type], queues: Mapping[str, Queue] | None = None) -> None:
        self._types: dict[str, Definition] = {}
        for cls in types:
            definition = definition_of(cls)
            other = self._types.get(definition.name)
            if other is not None and other is not definition:
                raise DefinitionError(
                    f"two job types are named {definition.name!r}: {other.cls!r} and {cls!r}"
                )
            if any(phase.kind is PhaseKind.PROCESS for phase in definition.phases):
                check_importable(definition.cls)
            definition.resolve()
            self._types[definition.name] = definition
        self.queues: dict[str, Queue] = dict(queues or {})
        """The queues by name: those declared, and those that the types name."""

        for name, queue in self.queues.items():
            if not isinstance(name, str) or not name:
                raise DefinitionError(f"queues: {name!r} is not a queue's name")
            if not isinstance(queue, Queue):
                raise DefinitionError(f"queues[{name!r}] is {queue!r}, not a triphase.Queue")
        for definition in self._types.values():
            self.queues.setdefault(definition.queue, Queue())
        self._declared: dict[str, Queue] = dict(self.queues)
        self._settings: dict[str, QueueSetting] = {}

    def adopt(self, settings: Mapping[str, QueueSetting]) -> None:
        """Take over what was set of queues while a runtime was open; it outlives a restart."""
        for name, setting in settings.items():
            declared = self._declared.get(name)
            if declared is not None:
                self._settings[name] = setting
                self.queues[name] = Queue(
                    limit=declared.limit if setting.slots is None else setting.slots,
                    paused=declared.paused if setting.paused is None else setting.paused,
                )

    def setting_of(self, name: str) -> QueueSetting:
        """Return what was set of a queue beside its declaration."""
        return self._settings.get(name, QueueSetting())

    def __iter__(self) -> Iterator[Definition]:
        return iter(self._types.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the job types."""
        return tuple(self._types)

    def of(self, job: object) -> Definition:
        """Return the definition of a job that a user made.

        Raises:
          UnknownJobType: if its class is not among the runtime's job types.
        """
        for definition in self._types.values():
            if definition.cls is type(job):
                return definition
        raise UnknownJobType(
            f"{type(job).__name__!r} is not among this runtime's job types: {self._known()}"
        )

    def named(self, name: str) -> Definition:
        """Return the definition of that name.

        Raises:
          UnknownJobType: if there is none.
        """
        try:
            return self._types[name]
        except KeyError:
            raise UnknownJobType(
                f"{name!r} is not among this runtime's job types: {self._known()}"
            ) from None

    def recovery_of(self, name: str) -> Recovery:
        """Return the restart policy of a job type; the default if the type is not known."""
        definition = self._types.get(name)
        return Recovery() if definition is None else definition.recovery

    def graces_of(self, job: Job) -> tuple[float, float]:
        """Return the seconds that the phase which may run has to stop: by itself, and cancelled.

        Nothing if nobody knows the phase.
        """
        definition, index = self._types.get(job.type), job.current or 0
        if definition is None or index >= len(definition.phases):
            return 0.0, 0.0
        phase = definition.phases[index]
        return phase.ask_grace, phase.stop_grace

    def kept_command(self, job: Job) -> KeptCommand | None:
        """Return the command that may run on although the job does not; None if there is none.

        It was left to itself when the run that it belongs to was interrupted.
        """
        definition, index = self._types.get(job.type), job.current
        if definition is None or index is None or index >= len(definition.phases):
            return None
        record = job.phases[index]
        if not definition.phases[index].survives or record.state is not PhaseState.INTERRUPTED:
            return None
        return KeptCommand(job.id, index, record.origin)

    def check_queue(self, name: str) -> str:
        """Return the name, if there is such a queue.

        Raises:
          UnknownQueue: if there is none.
        """
        if name not in self.queues:
            known = ", ".join(sorted(self.queues)) or "none"
            raise UnknownQueue(f"there is no queue {name!r}; there are: {known}")
        return name

    def _known(self) -> str:
        return ", ".join(sorted(self._types)) or "none"
