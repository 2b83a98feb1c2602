"""Who may do what: tokens and their scopes, and which web pages may connect."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self, cast
from urllib.parse import urlsplit

import attrs

from triphase_protocol import DefinitionError, InvalidValue, structure
from triphase_protocol.wire import Scope

log: Final = logging.getLogger("triphase.gateway")

EVERYTHING: Final = tuple(Scope)
TOKEN_LEAST: Final = 16
"""The least characters of a token: shorter ones can be guessed."""

VARIABLE: Final = "TRIPHASE_TOKEN"
"""The environment variable that holds a token with every scope."""

_DIGEST: Final = re.compile("[0-9a-f]{64}", re.ASCII)


@attrs.frozen
class Identity:
    """Somebody, and what they may do."""

    name: str
    """What the events of what they do say in `by`."""

    scopes: frozenset[Scope]

    def may(self, scope: Scope | None) -> bool:
        """Return whether they may do what needs this scope; None is for everybody."""
        return scope is None or scope in self.scopes


def _check_digest(token: Token, attribute: Any, digest: str) -> None:
    problem = _problem_of(digest)
    if problem is not None:
        raise DefinitionError(f"the token of {token.name!r}: sha256: {problem}")


@attrs.frozen
class Token:
    """A token, as it is kept: nobody can tell from it what it was."""

    name: str
    """Whose it is."""

    sha256: str = attrs.field(validator=_check_digest)
    """The hash of the token: 64 hexadecimal digits in lower case."""

    scopes: tuple[Scope, ...] = EVERYTHING

    @classmethod
    def of(cls, secret: str, *, name: str, scopes: Iterable[Scope] = EVERYTHING) -> Self:
        """Return what is kept of a token.

        Raises:
          DefinitionError: if it is too short.
        """
        if len(secret) < TOKEN_LEAST:
            raise DefinitionError(
                f"the token of {name!r} has {len(secret)} characters: at least {TOKEN_LEAST}"
            )
        return cls(name, hash_of(secret), tuple(scopes))


def hash_of(secret: str) -> str:
    """Return the hash under which a token is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def tokens_from(path: str | os.PathLike[str]) -> list[Token]:
    """Read tokens from a TOML file: tables `[tokens.NAME]` with `sha256` and `scopes`.

    If everybody may read the file, the log is told: a token that can be guessed can be found from
    its hash.

    Raises:
      DefinitionError: if it cannot be read, or everybody may write it, or something in it is
        wrong, or there is no token in it. What it says holds nothing that may be a token.
    """
    place = os.fspath(path)
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            tables = tomllib.load(file)
        if mode & stat.S_IWOTH:
            raise DefinitionError("everybody may write it, and so add a token: chmod o-w")
        found = _tokens_in(tables)
    except (OSError, ValueError, RecursionError, InvalidValue, DefinitionError) as exc:
        raise DefinitionError(f"{place}: {exc}") from exc
    if mode & stat.S_IROTH:
        log.warning("%s: everybody may read it; better: chmod o-r", place)
    return found


def _tokens_in(tables: Mapping[str, Any]) -> list[Token]:
    found: dict[str, Token] = {}
    for name, entry in structure({"tokens": {}, **_tables_in(tables)}, _File).tokens.items():
        place, digest = f"$.tokens.{name}", entry.sha256
        if not name:
            raise DefinitionError(f"{place}: a name is missing")
        digest = digest.lower() if isinstance(digest, str) else digest
        problem = _problem_of(digest)
        if problem is None and digest in found:
            problem = f"is that of {found[digest].name!r} as well"
        if problem is not None:
            raise DefinitionError(f"{place}.sha256: {problem}")
        found[digest] = Token(name, digest, entry.scopes)
    if not found:
        raise DefinitionError("there is no table [tokens.NAME] in it")
    return [*found.values()]


def _tables_in(tables: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a file holds, after a check that there are tables where tables should be.

    What stands there instead may be a token, which the errors of `structure` would show.
    """
    tokens = tables.get("tokens", {})
    if not isinstance(tokens, dict):
        raise DefinitionError("$.tokens: expected an object, with a table [tokens.NAME] for each")
    for name, entry in cast("dict[str, object]", tokens).items():
        if not isinstance(entry, dict):
            raise DefinitionError(f"$.tokens.{name}: expected an object, with sha256 and scopes")
    return tables


def _problem_of(digest: object) -> str | None:
    """Return what is wrong with the hash of a token, without a word of what it is."""
    if isinstance(digest, str) and _DIGEST.fullmatch(digest):
        return None
    size = f"a text of {len(digest)} characters" if isinstance(digest, str) else "no text"
    return f"must be the 64 hexadecimal digits of a token's hash, and is {size}"


def token_of_environment(environment: Mapping[str, str]) -> list[Token]:
    """Return the token that the environment gives, if it does."""
    secret = environment.get(VARIABLE)
    return [] if not secret else [Token.of(secret, name=VARIABLE.lower())]


@attrs.frozen
class _Entry:
    sha256: Any
    scopes: tuple[Scope, ...] = EVERYTHING


@attrs.frozen
class _File:
    tokens: Mapping[str, _Entry]


@attrs.frozen
class Access:
    """The rules of one gateway.

    Without tokens everybody may do everything: then it must not be reached from elsewhere.
    """

    tokens: Sequence[Token] = ()
    origins: frozenset[str] = frozenset()
    """Web pages of other hosts that may connect, as `https://example.org`."""

    def identify(self, secret: str | None) -> Identity | None:
        """Return whose token it is; None if it is nobody's.

        It takes as long for a token that is nearly right as for any other.
        """
        if not self.tokens:
            return Identity("anonymous", frozenset(EVERYTHING))
        if secret is None:
            return None
        digest, found = hash_of(secret), None
        for token in self.tokens:
            if hmac.compare_digest(digest, token.sha256):
                found = token
        return None if found is None else Identity(found.name, frozenset(found.scopes))

    def admits(self, origin: str | None, host: str | None) -> bool:
        """Return whether a page of this origin may connect; None comes from no browser.

        A page that came from the gateway itself may. Else a page that somebody only looks at
        could use a gateway on the same machine.
        """
        if origin is None or origin in self.origins:
            return True
        try:
            place = urlsplit(origin).netloc
        except ValueError:
            return False
        return host is not None and place.lower() == host.lower() != ""
