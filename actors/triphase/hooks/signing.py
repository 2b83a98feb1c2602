"""Signatures of webhooks, as Standard Webhooks has them, and how a receiver verifies one.

What is signed is `{id}.{timestamp}.{body}`, by HMAC-SHA256. While a secret is exchanged for
another there are two, each signs, and a receiver that knows either is content.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Final, Self

import attrs

from triphase_protocol import DefinitionError, InvalidValue, Json, TriphaseError
from triphase_protocol.values import decode

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

PREFIX: Final = "whsec_"
"""How a secret begins as a text; base64 follows."""

KEY_LEAST: Final = 24
KEY_MOST: Final = 64
"""How many bytes a secret has."""

SECRETS_MOST: Final = 2
"""How many secrets sign at once: the new one, and the one that it replaces."""

BODY_MOST: Final = 16 * 2**20
"""The most bytes that a receiver looks at, unless it says otherwise."""

TOLERANCE: Final = 300.0
"""Seconds that the clocks of sender and receiver may be apart, the way between them included."""

_SAID: Final = re.compile(r"[!-\-/-~]+")
"""An id: no blank, and no dot, which would let two messages have one signature."""

_SECONDS: Final = re.compile(r"[0-9]{1,12}")


class WebhookProblem(enum.StrEnum):
    """What is wrong with a webhook."""

    MISSING = "missing"
    """A header is not there."""

    MALFORMED = "malformed"
    """A header, or the body, cannot be read."""

    TOO_LARGE = "too_large"
    """The body has more bytes than the receiver looks at."""

    SIGNATURE = "signature"
    """No secret has made any of its signatures: it is forged, or was changed on its way."""

    OLD = "old"
    """It was signed too long ago: somebody may send again what they have overheard."""

    FUTURE = "future"
    """It was signed in the future: one of the clocks is wrong."""


class InvalidWebhook(TriphaseError):
    """A webhook is not to be trusted; `problem` says why. Answer it with 400, and do nothing."""

    code = "invalid_webhook"

    def __init__(self, problem: WebhookProblem, message: str) -> None:
        super().__init__(message)
        self.problem = problem


@attrs.frozen(kw_only=True)
class ReceivedWebhook:
    """What a webhook says that was verified."""

    id: str
    """The same at each try to deliver it: what was received before is not done again."""

    timestamp: int
    """Seconds since the Unix epoch, when this try was signed."""

    payload: Json
    """The body."""


@attrs.frozen
class Secret:
    """A key that signs. No text of it shows what it is.

    Raises:
      DefinitionError: if it has fewer than `KEY_LEAST` bytes, or more than `KEY_MOST`.
    """

    key: bytes = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        if not KEY_LEAST <= len(self.key) <= KEY_MOST:
            raise DefinitionError(
                f"a webhook secret has {KEY_LEAST} to {KEY_MOST} bytes, and this has "
                f"{len(self.key)}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the secret that a text is: `whsec_` and base64.

        Raises:
          DefinitionError: if it is none. What it says does not hold the text.
        """
        if not text.startswith(PREFIX):
            raise DefinitionError(f"a webhook secret begins with {PREFIX}, and this does not")
        try:
            key = base64.b64decode(text[len(PREFIX) :], validate=True)
        except (binascii.Error, ValueError):
            raise DefinitionError(
                f"what follows {PREFIX} in a webhook secret is base64, and this is not"
            ) from None
        return cls(key)

    def signature(self, content: bytes) -> str:
        """Return the signature of what is signed, with its version: `v1,…`."""
        digest = hmac.digest(self.key, content, hashlib.sha256)
        return f"v1,{base64.b64encode(digest).decode()}"


def read_secrets(what: str, given: str | Iterable[str]) -> tuple[Secret, ...]:
    """Return the one or two secrets that sign for one name, the newest first.

    Args:
      what: how the error names them.
      given: a text, or both while one replaces the other.

    Raises:
      DefinitionError: if one is none, or there are too many, or none at all.
    """
    texts = (given,) if isinstance(given, str) else tuple(given)
    if not 1 <= len(texts) <= SECRETS_MOST:
        raise DefinitionError(f"{what}: one secret, or {SECRETS_MOST}, and not {len(texts)}")
    try:
        return tuple(Secret.parse(text) for text in texts)
    except DefinitionError as exc:
        raise DefinitionError(f"{what}: {exc}") from None


def signed_headers(
    id: str, timestamp: int, body: bytes, secrets: Iterable[Secret]
) -> dict[str, str]:
    """Return the headers of one try to deliver a webhook.

    Args:
      id: the hook's, the same at each try.
      timestamp: seconds since the Unix epoch, of this try.
      body: what is sent.
      secrets: each signs; without one there is no signature.

    Raises:
      ValueError: if a receiver could not read the id or the timestamp.
    """
    if not (_SAID.fullmatch(id) and _SECONDS.fullmatch(str(timestamp))):
        raise ValueError(f"{id!r} and {timestamp!r} cannot be signed")
    content = _content(id, str(timestamp), body)
    signatures = " ".join(secret.signature(content) for secret in secrets)
    headers = {ID: id, TIMESTAMP: str(timestamp)}
    return {**headers, SIGNATURE: signatures} if signatures else headers


def verify_webhook(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Iterable[str],
    *,
    now: float,
    tolerance: float = TOLERANCE,
    body_most: int = BODY_MOST,
) -> ReceivedWebhook:
    """Return what a webhook says, after a check of who has sent it, and when.

    Pure. It takes as long for a signature that is nearly right as for any other.

    Args:
      headers: the request's, in any case.
      body: the request's, byte for byte as it came.
      secrets: what the sender signs with, `whsec_…`; two while one replaces the other.
      now: seconds since the Unix epoch: `time.time()`.
      tolerance: seconds that the signature may be older than this, or newer.
      body_most: the most bytes that are looked at.

    Raises:
      InvalidWebhook: if it is not to be trusted.
      DefinitionError: if a secret is none.
    """
    known = read_secrets("secrets", secrets)
    id, timestamp = _header(headers, ID), _header(headers, TIMESTAMP)
    signatures = _header(headers, SIGNATURE)
    for name, value, form in ((ID, id, _SAID), (TIMESTAMP, timestamp, _SECONDS)):
        if not form.fullmatch(value):
            raise InvalidWebhook(WebhookProblem.MALFORMED, f"{name}: {value!r:.80} is none")
    if len(body) > body_most:
        raise InvalidWebhook(
            WebhookProblem.TOO_LARGE,
            f"the body has {len(body):,} bytes, more than the {body_most:,} allowed",
        )
    if not _is_signed(_content(id, timestamp, body), signatures, known):
        raise InvalidWebhook(WebhookProblem.SIGNATURE, f"{SIGNATURE}: no secret has made it")
    _check_age(int(timestamp), now, tolerance)
    try:
        payload = decode(body)
    except InvalidValue as exc:
        raise InvalidWebhook(WebhookProblem.MALFORMED, f"the body: {exc}") from exc
    return ReceivedWebhook(id=id, timestamp=int(timestamp), payload=payload)


def _content(id: str, timestamp: str, body: bytes) -> bytes:
    return b"%b.%b.%b" % (id.encode(), timestamp.encode(), body)


def _header(headers: Mapping[str, str], name: str) -> str:
    values = {value for key, value in headers.items() if key.lower() == name}
    if not values:
        raise InvalidWebhook(WebhookProblem.MISSING, f"{name}: there is no such header")
    if len(values) > 1:
        raise InvalidWebhook(WebhookProblem.MALFORMED, f"{name}: there are several")
    return values.pop()


def _is_signed(content: bytes, signatures: str, secrets: Iterable[Secret]) -> bool:
    given = [each.encode("utf-8", "surrogatepass") for each in signatures.split(" ")]
    found = False
    for secret in secrets:
        made = secret.signature(content).encode()
        for each in given:
            found |= hmac.compare_digest(made, each)
    return found


def _check_age(timestamp: int, now: float, tolerance: float) -> None:
    # So that nothing is new enough for a tolerance that is not a number.
    if not now - timestamp <= tolerance:
        raise InvalidWebhook(
            WebhookProblem.OLD,
            f"{TIMESTAMP}: it was signed {now - timestamp:g} s ago, "
            f"and more than {tolerance:g} s is too long",
        )
    if not timestamp - now <= tolerance:
        raise InvalidWebhook(
            WebhookProblem.FUTURE,
            f"{TIMESTAMP}: it was signed {timestamp - now:g} s in the future, "
            f"and more than {tolerance:g} s is too far",
        )
