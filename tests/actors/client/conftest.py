"""What the tests of the client share: a valve in what clients send."""

from __future__ import annotations

import pytest

from triphase.websocket import Socket

from .valve import Valve


@pytest.fixture
def valve(monkeypatch: pytest.MonkeyPatch) -> Valve:
    """A valve that is open."""
    found, send = Valve(), Socket.send
    found.opened.set()

    async def send_if_open(self: Socket, text: bytes) -> None:
        if self._inner.is_client:
            found.waiting += 1
            await found.opened.wait()
            found.waiting -= 1
        await send(self, text)

    monkeypatch.setattr(Socket, "send", send_if_open)
    return found
