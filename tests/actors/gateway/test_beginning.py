"""Where a subscription begins."""

from __future__ import annotations

import pytest

from triphase.gateway.beginning import beginning
from triphase.store import Extent
from triphase_protocol import InvalidValue

EXTENT = Extent(epoch="e", floor=10, head=100)


@pytest.mark.parametrize(
    ("after", "epoch", "begin", "reason"),
    [
        (None, None, 99, None),
        (None, "other", 99, None),
        (0, None, 0, None),
        (0, "e", 0, None),
        (10, "e", 10, None),
        (50, None, 50, None),
        (100, "e", 100, None),
        (9, "e", 9, "pruned"),
        (101, "e", 0, "ahead"),
        (50, "other", 0, "epoch"),
    ],
)
def test_it_begins_where_the_client_was_or_says_why_not(
    after: int | None, epoch: str | None, begin: int, reason: str | None
) -> None:
    found, reset = beginning(EXTENT, head=99, after=after, epoch=epoch)
    assert found == begin
    assert (None if reset is None else reset.reason) == reason
    assert reset is None or reset.after == after


def test_a_negative_number_is_none() -> None:
    with pytest.raises(InvalidValue, match="after=-1"):
        beginning(EXTENT, head=99, after=-1, epoch=None)
