"""Webhooks in a simulation go to its services, and the plan disturbs them as it does any call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio

from triphase.hooks import Answer, SendFailed

from .services import Services

POST: Final = "post"
"""The method of a service to which webhooks go: called with the headers and the body."""

PATIENCE: Final = 20.0
"""Virtual seconds that a receiver has to answer."""


@attrs.frozen(eq=False)
class Poster:
    """Sends webhooks to the services of a run; see `triphase.hooks.Sender`."""

    services: Services

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST a body to the service at a URL, and return what it answers.

        It answers with a status, an `Answer`, or None, which is 204.

        A checkpoint. Cancelled, the service may have got it or not.

        Raises:
          SendFailed: if no answer came.
        """
        host = urlsplit(url).hostname
        try:
            with trio.fail_after(PATIENCE):
                said = await self.services.call(url, POST, (headers, body), {})
        except trio.TooSlowError:
            raise SendFailed(f"{host}: no answer within {PATIENCE:g} s", retry=True) from None
        except Exception as exc:
            raise SendFailed(f"{host}: {str(exc) or type(exc).__name__}", retry=True) from exc
        match said:
            case None:
                return Answer(status=204)
            case Answer():
                return said
            case int() if not isinstance(said, bool):
                return Answer(status=said)
            case _:
                wrong = TypeError(f"post of {url} returns {said!r}: no status, Answer or None")
                self.services.broken(wrong)
                raise SendFailed(f"{host}: {wrong}", retry=False)
