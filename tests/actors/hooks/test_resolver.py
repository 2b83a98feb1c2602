"""The machine's resolver, in threads of its own limit."""

from __future__ import annotations

import socket
import threading
from ipaddress import ip_address
from typing import Any

import pytest
import trio
import trio.testing

from triphase.hooks.resolver import system_resolver


async def test_a_name_of_this_machine_is_known() -> None:
    addresses = await system_resolver()("localhost", 80)
    assert addresses
    assert all(address.is_loopback for address in addresses)


async def test_an_address_is_its_own() -> None:
    assert await system_resolver()("192.0.2.1", 80) == [ip_address("192.0.2.1")]


async def test_a_lookup_that_hangs_is_left_and_keeps_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go, asked = threading.Event(), list[tuple[str, bool]]()
    begun = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def hang(host: str, port: int, **_: Any) -> list[Any]:
        asked.append((host, go.is_set()))
        if host == "slow.example":
            token.run_sync_soon(begun.set)
            assert go.wait(60)
        return [(2, 1, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    resolve = system_resolver(lookups=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(resolve, "slow.example", 80)
        await begun.wait()
        nursery.cancel_scope.cancel()
    assert asked == [("slow.example", False)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(resolve, "quick.example", 80)
        await trio.testing.wait_all_tasks_blocked()
        # It waits for the place, and other threads of the program do not.
        for _ in range(10):
            await trio.to_thread.run_sync(lambda: None)
        go.set()
    assert asked == [("slow.example", False), ("quick.example", True)]
