"""Only type-checked, never run: what the checkers must know about declared jobs."""

from __future__ import annotations

from typing import assert_type

import triphase


@triphase.job(queue="media")
class Transcode:
    url: str
    preset: str = "fast"

    @triphase.phase(timeout=60)
    async def fetch(self, ctx: triphase.Context) -> str:
        return self.url

    @triphase.phase()
    def encode(self, ctx: triphase.Context) -> dict[str, int]:
        assert_type(ctx.result_of(Transcode.fetch), str)
        return {}

    @triphase.phase()
    async def publish(self, ctx: triphase.Context) -> int | triphase.Snooze | triphase.Fail:
        assert_type(ctx.result_of(Transcode.encode), dict[str, int])
        return 1


async def use(runtime: triphase.Runtime) -> None:
    positional = Transcode("https://example.org/v")
    assert_type(positional, Transcode)
    assert_type(positional.preset, str)
    Transcode(url="u", preset="slow")
    Transcode(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Transcode("u", speed=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    positional.url = "v"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    handle = await runtime.submit(positional, key="k")
    assert_type(handle, triphase.JobHandle)
    match await handle.wait():
        case triphase.Completed(result=result):
            print(result)
        case triphase.Failed(error=error):
            assert_type(error, triphase.ErrorRecord)
        case triphase.Cancelled() | triphase.Rejected() | triphase.Interrupted():
            pass
    async for event in runtime.events(after=0):
        assert_type(event, triphase.Event)
