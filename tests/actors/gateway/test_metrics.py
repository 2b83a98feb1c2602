"""Figures for Prometheus: they are the runtime's and the gateway's own, as they are then."""

from __future__ import annotations

import sys

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from triphase.gateway.metrics import FIGURES

from .front import Front, open_front, socket, upgrade
from .posts import Posts, ended
from .rig import Clip, Note

Figures = dict[tuple[str, str], float]


async def scraped(front: Front) -> Figures:
    """Scrape; return the values by name and label."""
    answer = await front.ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


async def test_values_are_taken_when_they_are_asked_for(autojump_clock: MockClock) -> None:
    async with open_front(Clip) as front:
        before = await scraped(front)
        assert before["triphase_jobs_active", ""] == 0
        assert before["triphase_scheduler_started_total", ""] == 0
        job = await front.rig.runtime.submit(Clip(5.0))
        await trio.sleep(1)
        during = await scraped(front)
        assert during["triphase_jobs_active", ""] == 1
        assert during["triphase_handlers_running", ""] == 1
        assert during["triphase_scheduler_started_total", ""] == 1
        await job.wait()
        after = await scraped(front)
        statistics = front.rig.runtime.statistics()
        assert after["triphase_jobs_active", ""] == 0
        assert after["triphase_log_head", ""] == statistics.feed.last_seq > 0
        assert after["triphase_store_operations_total", ""] == statistics.committer.operations


async def test_the_door_and_the_gateway_are_in_it(autojump_clock: MockClock) -> None:
    async with open_front(Note) as front:
        client = front.connect()
        await client.send(upgrade())
        await client.head()
        await front.say(upgrade({"Origin": "https://evil.example"}))
        await front.ask("GET", "/nothing")
        await trio.sleep(1)
        found = await scraped(front)
        assert found["triphase_sockets", ""] == 1
        assert found["triphase_sockets_opened_total", ""] == 1
        assert found["triphase_connections", ""] == 2
        assert found["triphase_sockets_refused_total", "forbidden"] == 1
        assert found["triphase_http_answers_total", "404"] == 1
        assert found["triphase_http_answers_total", "403"] == 1
        assert found["triphase_failures_total", ""] == 0


async def test_what_subscribers_are_sent_is_counted_also_when_they_have_left(
    autojump_clock: MockClock,
) -> None:
    async with open_front(Note) as front:
        async with socket(front) as peer:
            await peer.greet()
            await peer.ask("subscribe", topic="jobs", after=0)
            await (await front.rig.runtime.submit(Note())).wait()
            head = front.rig.runtime.statistics().feed.last_seq
            await peer.events("jobs", head)
            assert (await scraped(front))["triphase_subscriptions", ""] == 1
        await trio.sleep(100)
        found = await scraped(front)
        assert found["triphase_subscriptions", ""] == 0
        assert found["triphase_deliveries_total", ""] == head
        assert found["triphase_delivered_bytes_total", ""] > head
        assert found["triphase_subscribers_lagged_total", ""] == 0


async def test_what_becomes_of_webhooks_is_counted(autojump_clock: MockClock) -> None:
    posts = Posts()
    async with open_front(Note, webhooks="https://x.example/", **posts.options(tries=2)) as front:
        await front.rig.runtime.submit(Note())
        await ended(front.rig.runtime, 1)
        posts.status = 500
        await front.rig.runtime.submit(Note())
        await ended(front.rig.runtime, 2)
        found = await scraped(front)
        counted = {name: found[f"triphase_hooks_{name}_total", ""] for name in COUNTED}
        assert counted == {"delivered": 1, "failed": 1, "dead": 1}
        assert found["triphase_hooks_sending", ""] == found["triphase_hooks_resting", ""] == 0


COUNTED = ("delivered", "failed", "dead")


async def test_each_gateway_has_its_own(autojump_clock: MockClock) -> None:
    async with open_front(Note) as one, open_front(Note) as other:
        await one.ask("GET", "/nothing")
        assert ("triphase_http_answers_total", "404") in await scraped(one)
        assert ("triphase_http_answers_total", "404") not in await scraped(other)


async def test_every_figure_is_told_with_its_words(autojump_clock: MockClock) -> None:
    async with open_front(Note) as front:
        await front.rig.runtime.submit(Note())
        await trio.sleep(100)
        text = (await front.ask("GET", "/metrics")).body.decode()
        for figure in FIGURES:
            name = f"triphase_{figure.name}{'_total' if figure.counts else ''}"
            assert f"# HELP {name} " in text
            assert f"# TYPE {name} {'counter' if figure.counts else 'gauge'}" in text


async def test_the_format_is_the_clients_choice(autojump_clock: MockClock) -> None:
    async with open_front() as front:
        answer = await front.ask(
            "GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
        )
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.body.endswith(b"# EOF\n")


async def test_without_the_package_it_says_what_to_install(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    async with open_front() as front:
        answer = await front.ask("GET", "/metrics")
        assert (answer.status, answer.code) == (501, "unsupported")
        assert "triphase[metrics]" in answer.json["error"]["message"]
        assert await front.is_well()
