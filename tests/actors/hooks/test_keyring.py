"""The secrets by name, and that nothing shows one."""

from __future__ import annotations

from typing import Any

import pytest

from triphase import DefinitionError, Webhook
from triphase.hooks import Keyring

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoaXJ0eSBieXRlcyBvciBzbw=="
NEWER = "whsec_" + "bmV3ZXIgc2VjcmV0IG9mIHRoaXJ0eSBieXRlcyE="


def to(secret: str | None) -> Webhook:
    """A webhook that is signed so."""
    return Webhook(url="https://a.example/", secret=secret)


def test_one_secret_or_two_by_name() -> None:
    keys = Keyring({"one": SECRET, "two": (NEWER, SECRET)})
    assert [len(keys.of(name) or ()) for name in ("one", "two")] == [1, 2]
    assert keys.of(None) == ()
    assert keys.of("three") is None


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    keys = Keyring({"one": SECRET})
    keys.check("here", [to("one"), to(None)])
    with pytest.raises(DefinitionError, match=r"here: no secret is called 'x'; there are: 'one'"):
        keys.check("here", [to("one"), to("x")])
    with pytest.raises(DefinitionError, match="there are: none"):
        Keyring().check("here", [to("x")])


@pytest.mark.parametrize(
    "secrets",
    [
        {"": SECRET},
        {"n" * 201: SECRET},
        {1: SECRET},
        {"name": "sesame-open-sesame"},
        {"name": "whsec_c2hvcnQ="},
        {"name": ()},
        {"name": (SECRET, NEWER, SECRET)},
    ],
)
def test_what_is_no_secret_is_refused_and_not_shown(secrets: Any) -> None:
    with pytest.raises(DefinitionError, match="secrets") as caught:
        Keyring(secrets)
    assert "sesame" not in str(caught.value)
    assert "c2" not in str(caught.value)


def test_no_text_of_it_shows_a_secret() -> None:
    keys = Keyring({"one": SECRET})
    assert repr(keys) == "<Keyring: one>"
    assert "c2Vj" not in repr(keys.of("one"))
