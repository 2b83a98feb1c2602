"""The runtime's own errors; the others are in `triphase_protocol.errors`."""

from __future__ import annotations

from triphase_protocol import TriphaseError


class RuntimeClosed(TriphaseError):
    """The runtime's block has been left; open another to go on."""

    code = "closed"


class RuntimeCrashed(TriphaseError):
    """The runtime's own tasks failed. Jobs are safe in the store, and resumed at the next open.

    `__cause__` says what failed; a group when the `async with` body raised as well.
    """

    code = "crashed"
