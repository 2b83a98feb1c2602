"""What can go wrong when one actor talks to another."""

from __future__ import annotations

from triphase_protocol import TriphaseError


class ActorError(TriphaseError):
    """The base of the actor layer's own errors."""

    code = "actor"


class ActorCrashed(ActorError):
    """The actor raised while it handled the message that was asked.

    `__cause__` is what it raised. Whether the message took effect is not known.
    """

    code = "actor_crashed"


class ActorStopped(ActorError):
    """The actor has ended, so the message was not handled and never will be.

    If the actor had received the message already, the error says so, and whether the message
    took effect is not known.
    """

    code = "actor_stopped"


class SupervisorFailed(ActorError):
    """Children of a supervisor crashed more often than its intensity allows.

    All its children have been stopped. `__cause__` is the last crash, or a group of it and
    what the body of `open_supervisor` raised; None if the last to end had simply returned.
    """

    code = "supervisor_failed"
