"""What the command line is told about webhooks: where events go, and what they are signed with."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, cast

import attrs
from cyclopts import Parameter

from triphase.checks import check_webhooks
from triphase.hooks import Sending
from triphase_protocol import Webhook

from .exits import UsageError

UrlOption = Annotated[
    list[str] | None,
    Parameter(negative="", help="A URL to which the end of a run is POSTed; may be repeated."),
]
SecretOption = Annotated[
    str | None, Parameter(help="The name of the secret that these webhooks are signed with.")
]
SecretsOption = Annotated[
    Path | None,
    Parameter(help="A JSON file with the secrets that webhooks are signed with, by their names."),
]
AllowOption = Annotated[
    list[str] | None,
    Parameter(
        negative="",
        help="An address, a network or a host's name to which webhooks may go although it is not "
        "public; may be repeated.",
    ),
]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Told:
    """The options that say where events go."""

    webhook: UrlOption = None
    webhook_secret: SecretOption = None

    def webhooks(self) -> tuple[Webhook, ...]:
        """Return what they mean.

        Raises:
          UsageError: if there is a secret and nothing to sign with it.
          DefinitionError: if a URL is none, or there are too many.
        """
        if self.webhook_secret is not None and not self.webhook:
            raise UsageError("--webhook-secret: needs a --webhook")
        made = [Webhook(url=url, secret=self.webhook_secret) for url in self.webhook or ()]
        return check_webhooks("--webhook", made)


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Served(Told):
    """The options of the process that sends them."""

    webhook_secrets: SecretsOption = None
    webhook_allow: AllowOption = None

    def secrets(self, note: Callable[[str], None]) -> Mapping[str, str | list[str]]:
        """Return the secrets by name; see `secrets_from`."""
        return {} if self.webhook_secrets is None else secrets_from(self.webhook_secrets, note)

    def sending(self) -> Sending:
        """Return how they are sent.

        Raises:
          DefinitionError: if an address is none.
        """
        return Sending(allow=self.webhook_allow or ())


NOBODY: Final = Told()
UNTOLD: Final = Served()
"""What is meant if no option says anything."""


def secrets_from(path: Path, note: Callable[[str], None]) -> Mapping[str, str | list[str]]:
    """Read secrets from a JSON file: `{"billing": "whsec_…", "audit": ["whsec_new", "whsec_old"]}`.

    Args:
      path: the file.
      note: tells a person something: here, that everybody may read the file.

    Raises:
      UsageError: if it cannot be read, or everybody may write it, or it is not that. What it says
        holds nothing that may be a secret.
    """
    place = f"--webhook-secrets {path}"
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            value: object = json.load(file, object_pairs_hook=_without_repeats)
    except (OSError, ValueError, RecursionError) as exc:
        raise UsageError(f"{place}: {exc}") from exc
    if mode & stat.S_IWOTH:
        raise UsageError(f"{place}: everybody may write it, and so choose a secret: chmod o-w")
    if mode & stat.S_IROTH:
        note(f"{path}: everybody may read it; better: chmod o-r")
    if not isinstance(value, dict):
        raise UsageError(f"{place}: must be an object, with a secret for each name")
    secrets = cast("dict[str, object]", value)
    for name, secret in secrets.items():
        if not (isinstance(secret, str) or _is_list(secret)):
            raise UsageError(
                f"{place}: {name!r}: must be a secret, or a list of the new one and the old one"
            )
    return cast("Mapping[str, str | list[str]]", secrets)


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there more than once")
    return found


def _is_list(secret: object) -> bool:
    if not isinstance(secret, list):
        return False
    return all(isinstance(each, str) for each in cast("list[object]", secret))
