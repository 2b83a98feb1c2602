"""Who may do what."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest

from triphase.gateway.access import (
    TOKEN_LEAST,
    Access,
    Token,
    hash_of,
    token_of_environment,
    tokens_from,
)
from triphase_protocol import DefinitionError
from triphase_protocol.wire import Scope

SECRET = "a secret of sixteen"
DIGEST = hash_of(SECRET)


def test_a_token_is_kept_as_its_hash_and_known_by_it() -> None:
    ann = Token.of(SECRET, name="ann", scopes=(Scope.READ,))
    bob = Token.of("another of sixteen", name="bob")
    assert SECRET not in repr(ann)
    access = Access((ann, bob))
    found = access.identify(SECRET)
    assert found is not None
    assert (found.name, found.scopes) == ("ann", frozenset({Scope.READ}))
    assert found.may(Scope.READ)
    assert found.may(None)
    assert not found.may(Scope.CONTROL)
    for wrong in (None, "", SECRET + " ", SECRET.upper(), ann.sha256, "\ud800"):
        assert access.identify(wrong) is None


def test_without_tokens_everybody_may_do_everything() -> None:
    found = Access().identify(None)
    assert found is not None
    assert (found.name, found.scopes) == ("anonymous", frozenset(Scope))


def test_a_token_that_can_be_guessed_is_refused() -> None:
    Token.of("x" * TOKEN_LEAST, name="ann")
    with pytest.raises(DefinitionError, match="'ann' has 15 characters"):
        Token.of("x" * (TOKEN_LEAST - 1), name="ann")


def test_tokens_come_from_a_file_that_does_not_hold_them(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(
        f"""
        [tokens.ann]
        sha256 = "{hash_of(SECRET).upper()}"
        scopes = ["read", "submit"]

        [tokens.bob]
        sha256 = "{hash_of("another of sixteen")}"
        """
    )
    ann, bob = tokens_from(path)
    assert ann == Token("ann", hash_of(SECRET), (Scope.READ, Scope.SUBMIT))
    assert bob.scopes == tuple(Scope)
    found = Access((ann, bob)).identify(SECRET)
    assert found is not None
    assert found.name == "ann"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tokens", "tokens.toml"),
        ("[tokens.ann]\n", "$.tokens.ann.sha256: required, but missing"),
        (
            f'[tokens.ann]\nsha256 = "{DIGEST}"\nscopes = ["reed"]\n',
            "$.tokens.ann.scopes[0]: expected one of",
        ),
        ('[tokens.ann]\nsha256 = "a"\ntoken = "x"\n', "unknown field 'token'"),
        ('tokens = "x"\n', "$.tokens: expected an object"),
        (f'[token.ann]\nsha256 = "{DIGEST}"\n', "unknown field 'token'"),
        ("", "there is no table [tokens.NAME]"),
        ("[tokens]\n", "there is no table [tokens.NAME]"),
        (f'[tokens.""]\nsha256 = "{DIGEST}"\n', "a name is missing"),
        (f'[tokens.ann]\nsha256 = "{DIGEST}"\n[tokens.ann]\n', "(at line 3"),
        (
            f'[tokens.ann]\nsha256 = "{DIGEST}"\n[tokens.bob]\nsha256 = "{DIGEST.upper()}"\n',
            "$.tokens.bob.sha256: is that of 'ann' as well",
        ),
        ("tokens = " + "[" * 10_000, "tokens.toml: "),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    with pytest.raises(DefinitionError) as caught:
        tokens_from(path)
    assert words in str(caught.value)
    with pytest.raises(DefinitionError, match="nowhere"):
        tokens_from(tmp_path / "nowhere")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DefinitionError, match=r"tokens\.toml: .*utf-8"):
        tokens_from(path)
    with pytest.raises(DefinitionError, match=re.escape(f"{tmp_path}: ")):
        tokens_from(tmp_path)


@pytest.mark.parametrize(
    "written",
    [
        f'[tokens.ann]\nsha256 = "{SECRET}"',
        f'[tokens.ann]\nsha256 = ["{SECRET}"]',
        f'[tokens.ann]\nsha256 = "{SECRET.ljust(64)}"',
        f'[tokens.ann]\nsha256 = "{SECRET.ljust(64, "é")}"',
        f'[tokens]\nann = "{SECRET}"',
        f'tokens = "{SECRET}"',
        f'tokens = ["{SECRET}"]',
        f'[tokens.ann]\nsha256 = "{DIGEST[:-1]}"',
        f'[tokens.ann]\nsha256 = "{DIGEST}0"',
        f'[tokens.ann]\nsha256 = "{DIGEST[:-1]}g"',
        f'[tokens.ann]\nsha256 = "{DIGEST[:-1]}٣"',
        "[tokens.ann]\nsha256 = 5",
    ],
)
def test_a_token_in_the_place_of_its_hash_is_refused_and_not_shown(
    tmp_path: Path, written: str
) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(written, "utf-8")
    with pytest.raises(DefinitionError, match=re.escape(f"{path}: $.tokens")) as caught:
        tokens_from(path)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert DIGEST[:-1] not in shown


def test_a_hash_that_is_none_is_refused_whoever_gives_it() -> None:
    # The comparison would raise for what is not ASCII, for every client.
    for wrong in ("", "é" * 64, DIGEST.upper(), DIGEST[1:]):
        with pytest.raises(DefinitionError, match="the token of 'ann': sha256: must be the 64"):
            Token("ann", wrong)


def test_who_may_read_or_write_the_file_is_looked_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(f'[tokens.ann]\nsha256 = "{DIGEST}"\n')
    path.chmod(0o600)
    assert tokens_from(path)
    assert caplog.text == ""
    path.chmod(0o644)
    assert tokens_from(path)
    assert "everybody may read it" in caplog.text
    path.chmod(0o602)
    with pytest.raises(DefinitionError, match=r"tokens\.toml: everybody may write it"):
        tokens_from(path)


def test_a_token_comes_from_the_environment() -> None:
    assert token_of_environment({}) == []
    assert token_of_environment({"TRIPHASE_TOKEN": ""}) == []
    [token] = token_of_environment({"TRIPHASE_TOKEN": SECRET})
    assert token == Token("triphase_token", hash_of(SECRET), tuple(Scope))


@pytest.mark.parametrize(
    ("origin", "host", "admitted"),
    [
        (None, "a:1", True),
        ("http://a:1", "a:1", True),
        ("http://A:1", "a:1", True),
        ("http://a:2", "a:1", False),
        ("http://a:1.evil.org", "a:1", False),
        ("https://friend.org", "a:1", True),
        ("http://friend.org", "a:1", False),
        ("null", "a:1", False),
        ("null", "", False),
        ("http://a:1", None, False),
        ("", "", False),
    ],
)
def test_which_pages_may_connect(origin: str | None, host: str | None, admitted: bool) -> None:
    access = Access(origins=frozenset({"https://friend.org"}))
    assert access.admits(origin, host) is admitted
