"""The options that say where the jobs are: in a store file, or behind a gateway."""

from __future__ import annotations

import os
from typing import Annotated, Final

import attrs
from cyclopts import Parameter

from .exits import UsageError
from .options import DEFAULT_STORE

STORE_VARIABLE: Final = "TRIPHASE_STORE"
URL_VARIABLE: Final = "TRIPHASE_URL"

StoreOption = Annotated[
    str | None,
    Parameter(help=f"The store file; without it {STORE_VARIABLE}, and else {DEFAULT_STORE}."),
]
UrlOption = Annotated[
    str | None,
    Parameter(
        help="A gateway's URL, such as ws://127.0.0.1:7117/ws, to ask it and not a store file; "
        f"without it {URL_VARIABLE}."
    ),
]
TokenOption = Annotated[
    str | None,
    Parameter(env_var="TRIPHASE_TOKEN", help="Who asks, if the gateway wants to know."),
]


@attrs.frozen
class Gateway:
    """A gateway, and who asks it."""

    url: str
    token: str | None = attrs.field(default=None, repr=False)


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Remote:
    """The options of a command that asks a gateway."""

    url: UrlOption = None
    token: TokenOption = None

    def gateway(self, command: str) -> Gateway:
        """Return which gateway is meant.

        Raises:
          UsageError: if none is.
        """
        url = self.url or os.environ.get(URL_VARIABLE)
        if not url:
            raise UsageError(
                f"{command} asks the process that runs the jobs: give its --url, which `triphase "
                f"serve` prints, or set {URL_VARIABLE}"
            )
        return Gateway(url, self.token)


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Place:
    """The options of a command that reads a store file, or asks a gateway."""

    store: StoreOption = None
    url: UrlOption = None
    token: TokenOption = None

    def located(self) -> str | Gateway:
        """Return the store's location, or which gateway is meant.

        What was given as an option counts for more than what the environment says, and a gateway
        for more than a store.

        Raises:
          UsageError: if both were given as options.
        """
        if self.store is not None and self.url is not None:
            raise UsageError("--store and --url: read the store file, or ask the gateway?")
        if self.store is None:
            url = self.url or os.environ.get(URL_VARIABLE)
            if url:
                return Gateway(url, self.token)
        return self.store or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE


ANYWHERE: Final = Place()
UNSAID: Final = Remote()
"""What is meant if no option says anything."""
