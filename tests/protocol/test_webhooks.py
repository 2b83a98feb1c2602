"""Webhooks: what may stand where, and how it is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from triphase_protocol import (
    TERMINAL_EVENTS,
    DefinitionError,
    Delivery,
    EventType,
    Hook,
    HookState,
    InvalidValue,
    Webhook,
    structure,
    unstructure,
)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "https://example.org/a%20b?c=d&e=@f",
        "HTTP://Example.ORG:8080/",
        "http://localhost:1",
        "http://127.0.0.1/hook",
        "http://[::1]:8080/hook",
        "https://xn--bcher-kva.example./",
        "https://a_b.example/",
    ],
)
def test_a_url_of_http_with_a_host_is_taken_as_it_is(url: str) -> None:
    assert Webhook(url=url).url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must begin with http"),
        ("example.org/hook", "must begin with http"),
        ("//example.org/hook", "must begin with http"),
        ("ftp://example.org/", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("javascript:alert(1)", "must begin with http"),
        ("https://", "has no host"),
        ("https:///hook", "has no host"),
        ("https:example.org", "has no host"),
        ("https://:80/", "has no host"),
        ("https://example.org/#top", "fragment"),
        ("https://example.org/#", "fragment"),
        ("https://bücher.example/", "must be ASCII"),
        ("https://example.org/a b", "must be ASCII"),
        ("https://example.org/\n", "must be ASCII"),
        ("https://exam\tple.org/", "must be ASCII"),
        ("https://example.org\\@elsewhere/", "must be ASCII"),
        ("https://example.org:port/", "is not a URL"),
        ("https://example.org:99999/", "is not a URL"),
        ("https://example.org:0/", "a host or a port that cannot be"),
        ("https://[::1/", "is not a URL"),
        ("https://[fe80::1%25eth0]/", "a host or a port that cannot be"),
        ("https://exam%70le.org/", "a host or a port that cannot be"),
        ("https://a..b*c/", "a host or a port that cannot be"),
        ("https://-a/", "a host or a port that cannot be"),
        (f"https://example.org/{'x' * 2000}", "at most 2000 characters"),
        (b"https://example.org/", "must be a str"),
        (None, "must be a str"),
    ],
)
def test_another_url_is_refused_by_name(url: Any, words: str) -> None:
    with pytest.raises(DefinitionError, match=words) as caught:
        Webhook(url=url)
    assert str(caught.value).startswith("Webhook(url=")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "url",
    [
        "https://ann:s3cr@example.org/",
        "https://ann:s3/cr@example.org/",
        "https://ann:s3cr@x@example.org/",
        "https://s3cr@example.org/",
        "https://:s3cr@example.org/",
        "https://ann:s3cr@",
        "ftp://ann:s3cr@example.org/",
        "ann:s3cr@example.org",
        "https://ann:s3cr\n@example.org/",
    ],
)
def test_a_password_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        Webhook(url=url)
    assert not re.search("s3/?cr|ann", str(caught.value))


def test_a_user_is_refused_even_if_empty() -> None:
    with pytest.raises(DefinitionError, match="must not have a user"):
        Webhook(url="https://@example.org/")


def test_without_events_it_wants_those_that_end_a_run() -> None:
    webhook = Webhook(url="https://example.org/")
    assert {type for type in EventType if webhook.wants(type)} == TERMINAL_EVENTS


def test_with_events_it_wants_these() -> None:
    webhook = Webhook(url="https://example.org/", events=("job.started", "phase.failed"))
    assert webhook.events == (EventType.JOB_STARTED, EventType.PHASE_FAILED)
    assert {type for type in EventType if webhook.wants(type)} == set(webhook.events)


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ("job.started", ("job.started",)),
        (EventType.JOB_STARTED, ("job.started",)),
        (["job.started", "job.started", EventType.JOB_STARTED], ("job.started",)),
        ([], ()),
    ],
)
def test_events_are_given_in_more_than_one_way(events: Any, found: tuple[str, ...]) -> None:
    assert Webhook(url="https://example.org/", events=events).events == found


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (["job.exploded"], "'job.exploded' is no event type"),
        ([3], "3 is no event type"),
        (3, "events=3"),
        (None, "events=None"),
        (["hook.delivered"], "another without end"),
        (["job.started", "hook.dead"], "'hook.dead' is about a webhook"),
    ],
)
def test_other_events_are_refused(events: Any, words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        Webhook(url="https://example.org/", events=events)


def test_a_delivery_is_given_by_its_word_too() -> None:
    word: Any = "at_most_once"
    webhook = Webhook(url="https://example.org/", delivery=word)
    assert webhook.delivery is Delivery.AT_MOST_ONCE
    with pytest.raises(DefinitionError, match="'at_least_once', 'at_most_once'"):
        Webhook(url="https://example.org/", delivery="twice")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("secret", ["", "x" * 201, 5, b"x"])
def test_the_name_of_a_secret_is_a_short_str(secret: Any) -> None:
    assert Webhook(url="https://example.org/", secret="main").secret == "main"
    with pytest.raises(DefinitionError, match="the name of its secret") as caught:
        Webhook(url="https://example.org/", secret=secret)
    assert "xxx" not in str(caught.value), "it may be the secret itself, by mistake"


def test_it_travels_and_is_checked_on_arrival() -> None:
    webhook = Webhook(
        url="https://example.org/",
        events=(EventType.JOB_STARTED,),
        delivery=Delivery.AT_MOST_ONCE,
        secret="main",
    )
    sent = unstructure(webhook)
    assert sent == {
        "url": "https://example.org/",
        "events": ["job.started"],
        "delivery": "at_most_once",
        "secret": "main",
    }
    assert structure(sent, Webhook) == webhook
    for broken in (
        {**sent, "url": "ftp://ann:s3cr@example.org/"},
        {**sent, "events": ["hook.dead"]},
        {**sent, "events": "job.started"},
        {**sent, "delivery": "twice"},
        {**sent, "secret": ""},
        {**sent, "colour": "red"},
    ):
        with pytest.raises(InvalidValue) as caught:
            structure(broken, Webhook)
        assert "s3cr" not in str(caught.value)


def test_the_place_of_a_delivery_is_that_of_its_event() -> None:
    hook = Hook(
        id="h", job="a", run=1, seq=7, event=EventType.JOB_FAILED, url="https://x/", body="{}"
    )
    assert hook.place == (7, "h")
    assert (hook.state, hook.attempts) == (HookState.PENDING, 0)
    assert structure(unstructure(hook), Hook) == hook
