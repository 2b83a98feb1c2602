"""Declaring job types: what is refused, and what a declaration says."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest

import triphase
from triphase.definition import definition_of
from triphase.registry import Registry


@attrs.frozen
class Size:
    width: int
    height: int


@triphase.job(queue="media", timeout=3600)
class Transcode:
    """Fetch a video, encode it."""

    url: str
    sizes: list[Size] = attrs.field(factory=list[Size])
    preset: str = "fast"

    @triphase.phase(timeout=60, retry=triphase.Retry(attempts=5, backoff=1.0))
    async def fetch(self, ctx: triphase.Context) -> str:
        """Fetch it."""
        return f"{self.url}.bin"

    @triphase.phase()
    def encode(self, ctx: triphase.Context) -> dict[str, int] | triphase.Snooze:
        return {"frames": 1200}


def test_a_job_is_a_frozen_class_of_its_fields() -> None:
    job = Transcode("https://example.org/v", preset="slow")
    assert (job.url, job.preset) == ("https://example.org/v", "slow")
    assert job == Transcode(url="https://example.org/v", preset="slow")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        job.url = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def test_phases_are_listed_in_the_order_they_are_written() -> None:
    definition = definition_of(Transcode)
    assert [phase.name for phase in definition.phases] == ["fetch", "encode"]
    assert (definition.name, definition.queue) == ("Transcode", "media")
    assert definition.timeouts.job == 3600
    assert (Transcode.fetch.timeout, Transcode.fetch.retry.attempts) == (60, 5)
    assert Transcode.fetch.__doc__ == "Fetch it."


async def test_a_handler_can_be_called_by_itself() -> None:
    assert await Transcode("x").fetch(None) == "x.bin"
    assert Transcode("x").encode(None) == {"frames": 1200}


def test_result_types_leave_the_fates_out() -> None:
    definition = next(iter(Registry([Transcode])))
    assert definition.result_type("fetch") is str
    assert definition.result_type("encode") == dict[str, int]


def test_without_arguments_the_decorators_have_defaults() -> None:
    @triphase.job
    class Plain:
        @triphase.phase
        async def only(self, ctx: triphase.Context) -> None: ...

    assert definition_of(Plain).queue == "default"
    assert Plain.only.retry.attempts == 1


def test_two_bare_phases_of_one_name_are_refused() -> None:
    with pytest.raises(triphase.DefinitionError, match="two phases named 'fetch'"):

        @triphase.job
        class Twice:
            @triphase.phase
            async def fetch(  # pyright: ignore[reportRedeclaration]
                self, ctx: triphase.Context
            ) -> None: ...

            @triphase.phase  # type: ignore[no-redef]
            async def fetch(self, ctx: triphase.Context) -> str: ...  # noqa: F811


def test_a_subclass_keeps_the_phases_of_its_base_and_may_replace_one() -> None:
    @triphase.job(name="Thorough")
    class Thorough(Transcode):
        @triphase.phase()
        async def fetch(self, ctx: triphase.Context) -> str:
            return "slowly"

        @triphase.phase()
        async def check(self, ctx: triphase.Context) -> None: ...

    definition = definition_of(Thorough)
    assert [phase.name for phase in definition.phases] == ["fetch", "encode", "check"]
    assert definition.phases[0] is Thorough.fetch


def test_a_class_without_phases_is_refused() -> None:
    with pytest.raises(triphase.DefinitionError, match="'Empty' has no phases"):

        @triphase.job()
        class Empty:
            url: str


def test_two_phases_of_one_method_name_are_refused() -> None:
    with pytest.raises(triphase.DefinitionError, match="two phases named 'fetch'"):

        @triphase.job()
        class Twice:
            @triphase.phase()
            async def fetch(  # pyright: ignore[reportRedeclaration]
                self, ctx: triphase.Context
            ) -> None: ...

            @triphase.phase()  # type: ignore[no-redef]
            async def fetch(self, ctx: triphase.Context) -> str: ...  # noqa: F811


def test_two_phases_of_one_given_name_are_refused() -> None:
    with pytest.raises(triphase.DefinitionError, match="two phases named 'fetch'"):

        @triphase.job()
        class Twice:
            @triphase.phase()
            async def fetch(self, ctx: triphase.Context) -> None: ...

            @triphase.phase(name="fetch")
            async def again(self, ctx: triphase.Context) -> None: ...


@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf])
def test_a_timeout_that_is_no_time_is_refused(timeout: float) -> None:
    with pytest.raises(triphase.DefinitionError, match="'T': timeout="):
        triphase.job(name="T", timeout=timeout)(type("T", (), {}))
    with pytest.raises(triphase.DefinitionError, match="phase 'f': timeout="):

        @triphase.phase(timeout=timeout)
        async def f(self: object, ctx: triphase.Context) -> None: ...


def test_a_generator_is_no_phase() -> None:
    with pytest.raises(triphase.DefinitionError, match="'f' is a generator"):

        @triphase.phase()
        def f(self: object, ctx: triphase.Context) -> object:
            yield


def test_a_handler_that_wants_more_than_its_context_is_refused() -> None:
    async def f(self: object, ctx: triphase.Context, more: int) -> None: ...

    wrong: Any = f
    with pytest.raises(triphase.DefinitionError, match=r"'f' must take \(self, ctx\)"):
        triphase.phase()(wrong)


def test_a_queue_limit_must_be_a_whole_number() -> None:
    wrong: list[Any] = [0, -1, 1.5, True]
    for limit in wrong:
        with pytest.raises(triphase.DefinitionError, match="Queue"):
            triphase.Queue(limit=limit)


def test_a_class_that_is_not_decorated_is_no_job_type() -> None:
    with pytest.raises(triphase.DefinitionError, match="not a job type"):
        Registry([int])


def test_two_types_of_one_name_are_refused() -> None:
    @triphase.job(name="Transcode")
    class Other:
        @triphase.phase()
        async def only(self, ctx: triphase.Context) -> None: ...

    with pytest.raises(triphase.DefinitionError, match="two job types are named 'Transcode'"):
        Registry([Transcode, Other])
    Registry([Transcode, Transcode])


def test_an_annotation_that_cannot_be_found_is_named() -> None:
    @triphase.job()
    class Lost:
        where: Nowhere  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownVariableType]

        @triphase.phase()
        async def only(self, ctx: triphase.Context) -> None: ...

    with pytest.raises(triphase.DefinitionError, match=r"'Lost'.*Nowhere"):
        Registry([Lost])


def test_a_payload_is_checked_with_the_path_to_the_bad_field() -> None:
    definition = next(iter(Registry([Transcode])))
    three: Any = "3"
    bad = Transcode("u", sizes=[Size(1, 2), Size(three, 4)])
    with pytest.raises(triphase.InvalidPayload) as caught:
        definition.payload_of(bad)
    assert caught.value.problems == ("$.sizes[1].width: expected int, got '3' (str)",)


def test_a_payload_survives_the_way_to_json_and_back() -> None:
    definition = next(iter(Registry([Transcode])))
    job = Transcode("u", sizes=[Size(1, 2)])
    assert definition.instance_of(definition.payload_of(job)) == job
    with pytest.raises(triphase.InvalidPayload, match=r"\$: unknown field 'urll'"):
        definition.instance_of({"url": "u", "urll": "v"})


def test_a_retry_policy_out_of_range_names_the_field() -> None:
    with pytest.raises(triphase.DefinitionError, match=r"Retry\(attempts=0\)"):
        triphase.Retry(attempts=0)


def test_a_snooze_needs_a_finite_time() -> None:
    for seconds in (-1, math.nan, math.inf):
        with pytest.raises(triphase.InvalidValue, match="Snooze"):
            triphase.Snooze(seconds)
