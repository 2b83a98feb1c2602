"""The secrets that webhooks are signed with, by the names that stand in records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from triphase_protocol import DefinitionError, Webhook
from triphase_protocol.webhooks import SECRET_MOST

from .signing import Secret, read_secrets


class Keyring:
    """Secrets by name. No text of it shows one.

    Args:
      secrets: `{"billing": "whsec_…"}`, or both secrets while one replaces the other.

    Raises:
      DefinitionError: if a name or a secret is none. What it says holds no secret.
    """

    def __init__(self, secrets: Mapping[str, str | Sequence[str]] | None = None) -> None:
        self._secrets: dict[str, tuple[Secret, ...]] = {}
        for name, given in (secrets or {}).items():
            if not isinstance(name, str) or not 0 < len(name) <= SECRET_MOST:
                raise DefinitionError(
                    f"secrets: the name of one must be a str of 1 to {SECRET_MOST} characters"
                )
            self._secrets[name] = read_secrets(f"secrets[{name!r}]", given)

    def __repr__(self) -> str:
        return f"<Keyring: {', '.join(sorted(self._secrets)) or 'empty'}>"

    def of(self, name: str | None) -> tuple[Secret, ...] | None:
        """Return the secrets of a name, the newest first; none for None, None if not known."""
        return () if name is None else self._secrets.get(name)

    def check(self, what: str, webhooks: Iterable[Webhook]) -> None:
        """Check that every secret that webhooks name is there.

        Args:
          what: how the error names them.
          webhooks: as they were declared.

        Raises:
          DefinitionError: if one is not.
        """
        for webhook in webhooks:
            if self.of(webhook.secret) is None:
                known = ", ".join(repr(name) for name in sorted(self._secrets)) or "none"
                raise DefinitionError(
                    f"{what}: no secret is called {webhook.secret!r}; there are: {known}"
                )
