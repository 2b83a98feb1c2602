"""Where a subscription begins, and what a client that was away has lost."""

from __future__ import annotations

from triphase.store.backend import Extent
from triphase_protocol import InvalidValue
from triphase_protocol.wire import Reset


def beginning(
    extent: Extent, *, head: int, after: int | None, epoch: str | None
) -> tuple[int, Reset | None]:
    """Return the `seq` after which a subscription begins, and why it is not where the client was.

    Args:
      extent: the log.
      head: where it begins for who wants only what comes.
      after: the `seq` of the last event that the client has; None is from now on.
      epoch: the id of the log that the client knows; None if it does not know.

    Raises:
      InvalidValue: if *after* is negative.
    """
    if after is None:
        return head, None
    if after < 0:
        raise InvalidValue(f"after={after}: must be a seq of the log, at least 0")
    if epoch is not None and epoch != extent.epoch:
        return 0, Reset(reason="epoch", after=after)
    if after > extent.head:
        return 0, Reset(reason="ahead", after=after)
    # 0 is the beginning of what there is, whatever there was before it.
    if 0 < after < extent.floor:
        return after, Reset(reason="pruned", after=after)
    return after, None
