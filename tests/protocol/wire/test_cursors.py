"""Where a page of deliveries ends, as text."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from triphase_protocol import InvalidValue
from triphase_protocol.wire import cursor_of, place_of


@given(st.integers(0, 10**18 - 1), st.text())
def test_a_place_comes_back(seq: int, id: str) -> None:
    assert place_of(cursor_of((seq, id))) == (seq, id)


@pytest.mark.parametrize(
    "cursor", ["", ":", ":h", "7", "h:7", "-1:h", "1.5:h", "٣:h", f"{10**18}:h"]
)
def test_what_is_no_place_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidValue, match="is not the `next` of a page"):
        place_of(cursor)
