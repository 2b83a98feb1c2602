"""Signatures of webhooks, held against another implementation of Standard Webhooks."""

from __future__ import annotations

import base64
import json
import re
import string
import traceback
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings, strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from triphase.hooks.signing import (
    BODY_MOST,
    InvalidWebhook,
    Secret,
    WebhookProblem,
    read_secrets,
    signed_headers,
    verify_webhook,
)
from triphase_protocol import DefinitionError

NEW = "whsec_" + base64.b64encode(b"the new secret of this test").decode()
OLD = "whsec_" + base64.b64encode(b"the secret from before that").decode()
OTHER = "whsec_" + base64.b64encode(b"a secret of somebody else's").decode()

BODY = b'{"type":"job.completed","data":{"n":1}}'
AT = 1_700_000_000

ids = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=40)
keys = st.binary(min_size=24, max_size=64)
payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


def text_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def signed(*secrets: str, body: bytes = BODY, at: int = AT) -> dict[str, str]:
    return signed_headers("hook1", at, body, read_secrets("test", secrets))


def problem_of(
    headers: dict[str, str], body: bytes = BODY, now: float = AT, tolerance: float = 300.0
) -> WebhookProblem:
    with pytest.raises(InvalidWebhook) as caught:
        verify_webhook(headers, body, NEW, now=now, tolerance=tolerance)
    return caught.value.problem


# The other implementation


@settings(deadline=None)
@given(ids, st.integers(0, 10**10), payloads, st.lists(keys, min_size=1, max_size=2))
def test_the_signatures_are_those_of_the_other(
    id: str, at: int, payload: object, secrets: list[bytes]
) -> None:
    body = json.dumps(payload, ensure_ascii=False).encode()
    headers = signed_headers(id, at, body, [Secret(key) for key in secrets])
    theirs = [
        Webhook(text_of(key)).sign(id, datetime.fromtimestamp(at, UTC), body.decode())
        for key in secrets
    ]
    assert headers["webhook-signature"] == " ".join(theirs)


@settings(deadline=None)
@given(ids, payloads, st.lists(keys, min_size=1, max_size=2))
def test_the_other_verifies_what_is_signed_here(
    id: str, payload: object, secrets: list[bytes]
) -> None:
    # It goes by the machine's clock, and so does this test.
    now = int(datetime.now(UTC).timestamp())
    body = json.dumps(payload).encode()
    headers = signed_headers(id, now, body, [Secret(key) for key in secrets])
    for key in secrets:
        assert Webhook(text_of(key)).verify(body, headers) == payload
        with pytest.raises(WebhookVerificationError):
            Webhook(text_of(key)).verify(body + b" ", headers)


@settings(deadline=None)
@given(ids, st.integers(0, 10**10), payloads, keys)
def test_what_the_other_signs_is_verified_here(
    id: str, at: int, payload: object, key: bytes
) -> None:
    body = json.dumps(payload).encode()
    signature = Webhook(text_of(key)).sign(id, datetime.fromtimestamp(at, UTC), body.decode())
    headers = {"Webhook-Id": id, "WEBHOOK-TIMESTAMP": str(at), "webhook-signature": signature}
    received = verify_webhook(headers, body, text_of(key), now=at)
    assert (received.id, received.timestamp, received.payload) == (id, at, payload)


# What a receiver trusts


def test_either_secret_verifies_while_one_replaces_the_other() -> None:
    both = signed(NEW, OLD)
    assert re.fullmatch(r"v1,\S{44} v1,\S{44}", both["webhook-signature"])
    for known in (NEW, OLD, [NEW, OLD], [OTHER, OLD]):
        assert verify_webhook(both, BODY, known, now=AT).id == "hook1"
    assert verify_webhook(signed(OLD), BODY, [NEW, OLD], now=AT).id == "hook1"
    with pytest.raises(InvalidWebhook) as caught:
        verify_webhook(both, BODY, OTHER, now=AT)
    assert caught.value.problem is WebhookProblem.SIGNATURE


@settings(deadline=None)
@given(st.data())
def test_no_bit_of_it_can_be_changed(data: st.DataObject) -> None:
    headers = signed(NEW)
    part = data.draw(st.sampled_from(["body", "webhook-id", "webhook-timestamp"]))
    whole = BODY if part == "body" else headers[part].encode()
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    changed = bytearray(whole)
    changed[place // 8] ^= 1 << place % 8
    if part == "body":
        assert problem_of(headers, bytes(changed)) is WebhookProblem.SIGNATURE
    else:
        problem = problem_of({**headers, part: changed.decode("latin-1")})
        assert problem in {WebhookProblem.SIGNATURE, WebhookProblem.MALFORMED}


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "v1,",
        "v1",
        "v2,{}",
        "v1a,{}",
        "{}",
        "v1,{}x",
        "v1,é",
        "v1,\ud800",
        "v1, {}",
    ],
)
def test_another_signature_is_not_taken(signature: str) -> None:
    right = signed(NEW)["webhook-signature"].removeprefix("v1,")
    headers = {**signed(NEW), "webhook-signature": signature.format(right)}
    assert problem_of(headers) is WebhookProblem.SIGNATURE


def test_signatures_of_other_versions_are_passed_over() -> None:
    headers = signed(NEW)
    headers["webhook-signature"] = f"v1a,abc  v2,x {headers['webhook-signature']} v1,y"
    assert verify_webhook(headers, BODY, NEW, now=AT).id == "hook1"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_is_needed_once(name: str) -> None:
    headers = signed(NEW)
    value = headers.pop(name)
    with pytest.raises(InvalidWebhook, match=f"{name}: there is no such header") as caught:
        verify_webhook(headers, BODY, NEW, now=AT)
    assert caught.value.problem is WebhookProblem.MISSING
    assert problem_of({**headers, name: value, name.upper(): "x"}) is WebhookProblem.MALFORMED
    same = {**headers, name: value, name.title(): value}
    assert verify_webhook(same, BODY, NEW, now=AT).id == "hook1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", ""),
        ("webhook-id", "a.b"),
        ("webhook-id", "a b"),
        ("webhook-id", "é"),
        ("webhook-id", "\ud800"),
        ("webhook-timestamp", ""),
        ("webhook-timestamp", "1e9"),
        ("webhook-timestamp", "1700000000.5"),
        ("webhook-timestamp", "-5"),
        ("webhook-timestamp", "٣"),
        ("webhook-timestamp", "1" * 5000),
        ("webhook-timestamp", "nan"),
    ],
)
def test_a_header_that_cannot_be_read_is_named(name: str, value: str) -> None:
    assert problem_of({**signed(NEW), name: value}) is WebhookProblem.MALFORMED


def test_old_and_future_webhooks_are_refused() -> None:
    headers = signed(NEW)
    for now in (AT - 300, AT, AT + 300):
        assert verify_webhook(headers, BODY, NEW, now=now).timestamp == AT
    assert problem_of(headers, now=AT + 301) is WebhookProblem.OLD
    assert problem_of(headers, now=AT - 301) is WebhookProblem.FUTURE
    assert problem_of(headers, now=AT + 11, tolerance=10) is WebhookProblem.OLD
    assert problem_of(headers, now=AT - 0.5, tolerance=0) is WebhookProblem.FUTURE


@pytest.mark.parametrize(("now", "tolerance"), [(float("nan"), 300.0), (AT, float("nan"))])
def test_what_is_no_number_makes_nothing_new_enough(now: float, tolerance: float) -> None:
    assert problem_of(signed(NEW), now=now, tolerance=tolerance) is WebhookProblem.OLD


def test_a_body_that_is_too_large_is_not_looked_at() -> None:
    body = b'"' + b"x" * 98 + b'"'
    headers = signed(NEW, body=body)
    assert verify_webhook(headers, body, NEW, now=AT, body_most=100).payload == "x" * 98
    with pytest.raises(InvalidWebhook, match="100 bytes, more than the 99 allowed") as caught:
        verify_webhook(headers, body, NEW, now=AT, body_most=99)
    assert caught.value.problem is WebhookProblem.TOO_LARGE
    assert problem_of(headers, bytes(BODY_MOST + 1)) is WebhookProblem.TOO_LARGE


@pytest.mark.parametrize("body", [b"", b"not JSON", b"\xff", b"[" * 5000])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    assert problem_of(signed(NEW, body=body), body) is WebhookProblem.MALFORMED


# What signs


@pytest.mark.parametrize("id", ["", "a.b", "a b", "a\nb", "é"])
def test_what_no_receiver_could_read_is_not_signed(id: str) -> None:
    with pytest.raises(ValueError, match="cannot be signed"):
        signed_headers(id, AT, BODY, read_secrets("test", NEW))
    with pytest.raises(ValueError, match="cannot be signed"):
        signed_headers("hook1", -1, BODY, read_secrets("test", NEW))


def test_without_a_secret_there_is_no_signature() -> None:
    assert signed_headers("hook1", AT, BODY, ()) == {
        "webhook-id": "hook1",
        "webhook-timestamp": str(AT),
    }


@pytest.mark.parametrize("size", [24, 64])
def test_a_secret_has_24_to_64_bytes(size: int) -> None:
    assert Secret.parse(text_of(bytes(size))).key == bytes(size)
    wrong = 23 if size == 24 else 65
    with pytest.raises(DefinitionError, match=f"24 to 64 bytes, and this has {wrong}"):
        Secret.parse(text_of(bytes(wrong)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "a secret of mine that is long enough",
        "whsec_a secret of mine that is long enough",
        "whsec_" + "é" * 32,
        "WHSEC_" + NEW[6:],
        NEW + "\n",
        NEW[:-1],
    ],
)
def test_no_error_shows_a_secret(text: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        read_secrets("the secret 'payments'", text)
    told = "".join(traceback.format_exception(caught.value))
    told = "\n".join(line for line in told.splitlines() if not line.startswith("  "))
    assert "the secret 'payments': " in told
    assert len(text) < 10 or text[6:].strip() not in told


def test_no_text_of_a_secret_shows_it() -> None:
    secret = Secret.parse(NEW)
    for text in (repr(secret), str(secret), f"{[secret]}"):
        assert "new secret" not in text
        assert NEW[6:] not in text


def test_one_secret_signs_or_two() -> None:
    assert read_secrets("x", NEW) == read_secrets("x", [NEW])
    assert [len(read_secrets("x", given)) for given in ([NEW], (NEW, OLD))] == [1, 2]
    for none in ([], [NEW, OLD, OTHER]):
        with pytest.raises(DefinitionError, match=r"x: one secret, or 2, and not [03]"):
            read_secrets("x", none)
