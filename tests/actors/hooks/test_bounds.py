"""What a receiver can cost is a number that makes sense."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from triphase.hooks.bounds import Bounds
from triphase_protocol import DefinitionError


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Bounds)])
def test_a_bound_that_makes_no_sense_is_refused(name: str) -> None:
    for wrong in (-1, float("nan"), float("inf"), True, None, "1"):
        given: dict[str, Any] = {name: wrong}
        with pytest.raises(DefinitionError, match=rf"Bounds\({name}\)="):
            Bounds(**given)


def test_no_connection_has_to_be_kept() -> None:
    assert Bounds(idle=0).idle == 0
