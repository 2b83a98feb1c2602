"""Where a page of deliveries ends, as it travels: `17:5d0c…`, the `place` of its last one."""

from __future__ import annotations

import re
from typing import Final

from triphase_protocol.errors import InvalidValue

_CURSOR: Final = re.compile("([0-9]{1,18}):(.*)", re.ASCII | re.DOTALL)


def cursor_of(place: tuple[int, str]) -> str:
    """Return a delivery's place in the outbox as text: the `after` of the page behind it."""
    seq, id = place
    return f"{seq}:{id}"


def place_of(cursor: str) -> tuple[int, str]:
    """Return the place that a text means.

    Raises:
      InvalidValue: if it is none.
    """
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise InvalidValue(f"after: {cursor!r:.80} is not the `next` of a page of deliveries")
    return int(found[1]), found[2]
