"""A receiver in another process answers as it is told to; and what a sender makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from tests.actors.gateway.sites import reserved

from triphase.hooks.addresses import Allowed
from triphase.hooks.answers import SendFailed
from triphase.hooks.sending import open_sender

from .outside import Posted, receiving
from .receiver_process import Manners

pytestmark = pytest.mark.slow

LOOPBACK = Allowed.of(["127.0.0.1"])
BODY = b'{"n":"\xc3\xa9"}'


async def test_it_tells_what_it_has_received() -> None:
    async with receiving() as outside, open_sender(allowed=LOOPBACK) as sender:
        answer = await sender.send(outside.url, {"webhook-id": "h1"}, BODY)
        [posted] = await outside.until(1)
    assert answer.status == 204
    assert posted == Posted(
        "/hooks",
        {
            "host": f"127.0.0.1:{outside.port}",
            "user-agent": "triphase",
            "webhook-id": "h1",
            "content-length": str(len(BODY)),
        },
        BODY,
        204,
    )


async def test_it_fails_as_often_as_it_is_to() -> None:
    async with (
        receiving(fail_first=1, fail_every=3, fail_status=500, status=200, delay=0.001) as outside,
        open_sender(allowed=LOOPBACK) as sender,
    ):
        answers = [await sender.send(outside.url, {}, BODY) for _ in range(6)]
        posted = await outside.until(6)
    statuses = [answer.status for answer in answers]
    assert statuses == [each.answered for each in posted] == [500, 200, 500, 200, 200, 500]


async def test_what_it_does_not_answer_it_has_received() -> None:
    async with (
        receiving(hang_first=1) as outside,
        open_sender(allowed=LOOPBACK) as sender,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(sender.send, outside.url, dict[str, str](), BODY)
        [posted] = await outside.until(1)
        nursery.cancel_scope.cancel()
    assert (posted.body, posted.answered) == (BODY, None)


async def test_it_is_gone_after_its_last_answer() -> None:
    async with receiving(exit_after=1) as outside, open_sender(allowed=LOOPBACK) as sender:
        assert (await sender.send(outside.url, {}, BODY)).status == 204
        await outside.ended()
        with pytest.raises(SendFailed, match=r"^127\.0\.0\.1: .") as caught:
            await sender.send(outside.url, {}, BODY)
    assert caught.value.retry


async def test_it_comes_back_where_it_was(tmp_path: Path) -> None:
    with reserved(tmp_path / "none") as place:
        async with open_sender(allowed=LOOPBACK) as sender:
            async with receiving(port=place.port, exit_after=1) as outside:
                assert (await sender.send(outside.url, {}, BODY)).status == 204
            async with receiving(port=place.port) as again:
                assert again.url == outside.url
                assert (await sender.send(again.url, {}, BODY)).status == 204


def test_it_is_asked_on_the_command_line_for_all_its_manners() -> None:
    assert Manners(status=200, delay=0.5).arguments() == [
        "--status=200",
        "--fail-first=0",
        "--fail-every=0",
        "--fail-status=503",
        "--hang-first=0",
        "--delay=0.5",
        "--exit-after=0",
        "--port=0",
    ]
