"""Requests, carried out by the runtime's verbs."""

from __future__ import annotations

from collections.abc import Mapping

from triphase.runtime import Runtime
from triphase_protocol import (
    Approval,
    Blocker,
    DefinitionError,
    Gate,
    Hook,
    InvalidValue,
    Job,
    Json,
    Outcome,
    QueueState,
    TimedOut,
    WaitTimeout,
    unstructure,
    unstructure_as,
)
from triphase_protocol.wire import (
    Approve,
    Cancel,
    Explain,
    Find,
    FindHooks,
    Found,
    FoundHooks,
    Get,
    GetHook,
    Got,
    ListQueues,
    Pause,
    Redeliver,
    Reject,
    Request,
    Resume,
    Retry,
    SetLimit,
    Statistics,
    Submit,
    Submitted,
    Wait,
    WaitAll,
    Waited,
    WaitedAll,
    cursor_of,
    done_topic,
    place_of,
)

from .host import Host
from .pages import fitting


async def carry_out(host: Host, request: Request, by: str | None) -> Json:
    """Carry a request out, and return its result as JSON; the shapes are in `wire.replies`.

    A checkpoint. When it is cancelled, what it asks for was done or it was not.

    Args:
      host: the gateway.
      request: any but `subscribe`, `unsubscribe`, `abandon` and `ping`, which are about a
        connection.
      by: who asks; kept in the events of what they change.

    Raises:
      TriphaseError: as the runtime's verb does.
    """
    runtime = host.runtime
    match request:
        case Submit():
            return unstructure(await _submit(runtime, request))
        case Get():
            job = await runtime.get(request.job)
            return unstructure(Got(job=job, done=done_topic(job.id)))
        case Find():
            return unstructure(await _find(runtime, request))
        case Wait():
            return unstructure_as(await _wait(runtime, request), Waited)
        case WaitAll():
            outcomes = await runtime.wait_all(request.jobs, request.timeout)
            return unstructure_as(WaitedAll(outcomes=outcomes), WaitedAll)
        case Explain():
            found = await runtime.explain(request.job)
            return unstructure_as(found, tuple[Blocker, ...])
        case ListQueues():
            return unstructure_as(await runtime.queue_states(), Mapping[str, QueueState])
        case FindHooks():
            return unstructure(await _find_hooks(runtime, request))
        case GetHook():
            return unstructure(await runtime.hook(request.hook))
        case Statistics():
            gateway: Json = unstructure(host.statistics())
            return {**unstructure(runtime.statistics()), "gateway": gateway}
        case _:
            return await _change(runtime, request, by)


async def _change(runtime: Runtime, request: Request, by: str | None) -> Json:
    done: Job | Gate | Hook | None = None
    match request:
        case Cancel():
            done = await runtime.cancel(request.job, reason=request.reason, by=by)
        case Retry():
            done = await runtime.retry(request.job, from_phase=request.from_phase, by=by)
        case Approve() | Reject():
            decide = runtime.approve if isinstance(request, Approve) else runtime.reject
            done = await decide(
                request.job,
                phase=request.phase,
                asked_in=request.asked_in,
                by=by,
                reason=request.reason,
            )
        case Pause():
            await runtime.pause(request.queue)
        case Resume():
            await runtime.resume(request.queue)
        case SetLimit():
            await runtime.set_limit(request.queue, request.limit)
        case Redeliver():
            done = await runtime.redeliver(request.hook)
        case _:
            raise InvalidValue(f"{type(request).__name__} is about a connection, not about jobs")
    return unstructure(done)


async def _submit(runtime: Runtime, request: Submit) -> Submitted:
    if request.approval_timeout is not None and not request.approval:
        raise InvalidValue("approval_timeout: needs approval")
    approval: Approval | bool = request.approval
    if request.approval_timeout is not None:
        approval = _approval(request.approval_timeout)
    handle = await runtime.submit(
        runtime.make(request.job, request.payload),
        key=request.key,
        delay=request.delay,
        at=request.at,
        priority=request.priority,
        queue=request.queue,
        labels=request.labels,
        queue_timeout=request.queue_timeout,
        approval=approval or None,
        webhook=request.webhooks,
    )
    return Submitted(job=handle.id, done=done_topic(handle.id), created=handle.created)


def _approval(timeout: float) -> Approval:
    try:
        return Approval(timeout)
    except DefinitionError as exc:
        raise InvalidValue(f"approval_timeout: {exc}") from exc


async def _find(runtime: Runtime, request: Find) -> Found:
    page = await runtime.find(
        states=request.states,
        types=request.types,
        queues=request.queues,
        labels=request.labels,
        key=request.key,
        prefix=request.prefix,
        newest_first=request.newest_first,
        after=request.after,
        limit=request.limit,
    )
    jobs = tuple(fitting(page.jobs))
    return Found(jobs=jobs, next=page.next if len(jobs) == len(page.jobs) else jobs[-1].id)


async def _find_hooks(runtime: Runtime, request: FindHooks) -> FoundHooks:
    hooks = await runtime.hooks(
        job=request.job,
        states=request.states,
        after=None if request.after is None else place_of(request.after),
        limit=request.limit,
    )
    further = cursor_of(hooks[-1].place) if len(hooks) == request.limit else None
    return FoundHooks(hooks=tuple(hooks), next=further)


async def _wait(runtime: Runtime, request: Wait) -> Waited:
    outcome: Outcome | TimedOut
    try:
        outcome = await runtime.wait(request.job, request.timeout)
    except WaitTimeout:
        outcome = TimedOut(job=request.job)
    return Waited(outcome=outcome)
