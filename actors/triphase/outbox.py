"""The outbox's choice: which events of an operation are POSTed, and where.

The store actor asks it about everything that it is about to write, so that no transition can
be forgotten, whoever has decided it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from triphase_protocol import Event, Job, Webhook

from .definition import Definition
from .store.operations import Claim, Delete, NewHook, Operation, Step, Submit


def hooks_of(
    job: Job,
    events: Sequence[Event],
    webhooks: Sequence[Webhook],
    new_id: Callable[[], str],
) -> tuple[NewHook, ...]:
    """Return the deliveries of an operation, in the order of its events.

    An event goes to a URL once. If several webhooks have the same one, the first that wants
    the event says how.

    Args:
      job: the record, with the webhooks that it was submitted with: they come first.
      events: the operation's events.
      webhooks: those of its type, then those of the runtime.
      new_id: draws the id of a delivery.
    """
    hooks: list[NewHook] = []
    for index, event in enumerate(events):
        chosen: dict[str, Webhook] = {}
        for webhook in (*job.webhooks, *webhooks):
            if webhook.wants(event.type):
                chosen.setdefault(webhook.url, webhook)
        hooks += [
            NewHook(
                id=new_id(),
                event=index,
                url=webhook.url,
                delivery=webhook.delivery,
                secret=webhook.secret,
            )
            for webhook in chosen.values()
        ]
    return tuple(hooks)


class Outbox:
    """Puts the deliveries into operations.

    Args:
      definitions: the job types.
      webhooks: where the events of jobs of any type go, known or not.
      new_id: draws the id of a delivery.
    """

    def __init__(
        self,
        definitions: Iterable[Definition],
        webhooks: Sequence[Webhook],
        new_id: Callable[[], str],
    ) -> None:
        everywhere = tuple(webhooks)
        self._everywhere = everywhere
        self._by_type: Mapping[str, tuple[Webhook, ...]] = {
            each.name: (*each.webhooks, *everywhere) for each in definitions if each.webhooks
        }
        self._new_id = new_id
        self.made = False
        """Something was put into an operation since this was last set to False."""

    def address(self, operation: Operation) -> Operation:
        """Return an operation with its deliveries; the same one if it has none. Never waits."""
        match operation:
            case Submit() | Step():
                hooks = self._hooks(operation.job, operation.events)
                return attrs.evolve(operation, hooks=hooks) if hooks else operation
            case Claim(step=step):
                hooks = self._hooks(step.job, step.events)
                if not hooks:
                    return operation
                return attrs.evolve(operation, step=attrs.evolve(step, hooks=hooks))
            case Delete(record=Job() as job):
                hooks = self._hooks(job, operation.events)
                return attrs.evolve(operation, hooks=hooks) if hooks else operation
            case _:
                return operation

    def _hooks(self, job: Job, events: Sequence[Event]) -> tuple[NewHook, ...]:
        webhooks = self._by_type.get(job.type, self._everywhere)
        if not webhooks and not job.webhooks:
            return ()
        hooks = hooks_of(job, events, webhooks, self._new_id)
        self.made |= bool(hooks)
        return hooks
