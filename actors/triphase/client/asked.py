"""A request that has not been answered, and whether another connection may be asked the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
import trio

from triphase_protocol import InvalidValue, Json, TriphaseError, storable, unstructure
from triphase_protocol.codec import tags_of
from triphase_protocol.wire import (
    Abandon,
    Explain,
    Find,
    FindHooks,
    Get,
    GetHook,
    ListQueues,
    Ping,
    Request,
    ServerFailed,
    Statistics,
    Submit,
    Subscribe,
    Unsubscribe,
    Wait,
    WaitAll,
)

REPEATABLE: Final = (
    Get,
    Find,
    Wait,
    WaitAll,
    Explain,
    ListQueues,
    FindHooks,
    GetHook,
    Statistics,
    Ping,
)
"""Requests that change nothing, and so may be asked again."""

OF_ONE_CONNECTION: Final = (Subscribe, Unsubscribe, Abandon)
"""Requests that mean nothing on another connection, even if they were never sent."""


@attrs.define(eq=False)
class Asked:
    """See the module's text."""

    request: Request
    answered: trio.Event = attrs.field(factory=trio.Event)
    result: Json = None
    error: TriphaseError | None = None
    said: bool = False
    """It was sent over the present connection."""

    deadline: float = float("inf")
    """When a wait is over, in trio's time."""

    on_result: Callable[[Json], None] | None = None
    on_end: Callable[[], None] | None = None
    """Called when it is answered, or never will be."""

    @property
    def waits(self) -> bool:
        """True if a gateway holds on to it for as long as a job takes."""
        return isinstance(self.request, Wait | WaitAll)

    def outlives(self) -> bool:
        """Return whether it may be asked on another connection than the present one."""
        request = self.request
        if isinstance(request, OF_ONE_CONNECTION):
            return False
        if isinstance(request, REPEATABLE) or not self.said:
            return True
        return isinstance(request, Submit) and request.key is not None

    def waits_for_another(self) -> bool:
        """Return whether a gateway that ends need not have answered it: the next one will."""
        return self.outlives() or isinstance(self.request, OF_ONE_CONNECTION)

    def remaining(self) -> Request:
        """Return the request, with what is left of its time if it waits."""
        request = self.request
        if isinstance(request, Wait | WaitAll) and request.timeout is not None:
            rest = max(0.0, self.deadline - trio.current_time())
            return attrs.evolve(request, timeout=rest)
        return request

    def end(self, result: Json = None, error: TriphaseError | None = None) -> None:
        """Give the answer. The first counts."""
        if self.answered.is_set():
            return
        if error is None and self.on_result is not None:
            try:
                self.on_result(result)
            except InvalidValue as exc:
                error = ServerFailed(f"the answer cannot be read: {exc}")
        self.result, self.error = result, error
        if self.on_end is not None:
            self.on_end()
        self.answered.set()


def check(request: Request) -> None:
    """Check that a request travels as it is: JSON would make null of an infinite delay.

    A payload is checked by who makes the request.

    Raises:
      InvalidValue: if it does not.
    """
    rest = attrs.evolve(request, payload=None) if isinstance(request, Submit) else request
    storable(unstructure(rest), what=f"the request {name_of(request)!r}")


def name_of(request: Request) -> str:
    """Return what the wire calls a request."""
    return tags_of([type(request)])[type(request)]
