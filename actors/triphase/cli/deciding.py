"""`triphase approve` and `triphase reject`: decide about jobs that wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.text import Text

from triphase_protocol import Gate, IllegalTransition, unstructure

from .acting import act_on_all
from .humane import moment, one_line
from .options import AsJson, JobId
from .places import UNSAID, Remote
from .screen import Screen

if TYPE_CHECKING:
    from triphase.client import Client

PhaseName = Annotated[
    str | None, Parameter(name="--phase", help="The phase that is meant, if several wait for it.")
]
Reason = Annotated[str | None, Parameter(name="--reason", help="Why, for people.")]


async def approve(
    *ids: JobId,
    phase: PhaseName = None,
    reason: Reason = None,
    remote: Remote = UNSAID,
    json: AsJson = False,
) -> int:
    """Approve jobs that wait for it, and print the decisions.

    It is decided once: if somebody has rejected the job before, that is the exit code 4. In a pipe
    each line has: id, decision, who decided, when, and why.

    Args:
      ids: The jobs' ids, or the beginnings of them.
      phase: The phase that is meant, if several wait for it.
      reason: Why, for people.
      remote: Whom to ask.
      json: Write JSON.
    """
    return await _decide(ids, phase, reason, remote, json, wanted=True)


async def reject(
    *ids: JobId,
    phase: PhaseName = None,
    reason: Reason = None,
    remote: Remote = UNSAID,
    json: AsJson = False,
) -> int:
    """Reject jobs that wait for approval, and print the decisions: they end as `rejected`.

    It is decided once: if somebody has approved the job before, that is the exit code 4. In a pipe
    each line has: id, decision, who decided, when, and why.

    Args:
      ids: The jobs' ids, or the beginnings of them.
      phase: The phase that is meant, if several wait for it.
      reason: Why, for people.
      remote: Whom to ask.
      json: Write JSON.
    """
    return await _decide(ids, phase, reason, remote, json, wanted=False)


async def _decide(
    ids: Sequence[str],
    phase: str | None,
    reason: str | None,
    remote: Remote,
    json: bool,
    *,
    wanted: bool,
) -> int:
    screen = Screen(json=json)

    async def act(client: Client, id: str) -> None:
        decide = client.approve if wanted else client.reject
        gate = await decide(id, phase=phase, reason=reason)
        _show(screen, id, gate, wanted=wanted)

    return await act_on_all("approve" if wanted else "reject", ids, remote, screen, act)


def _show(screen: Screen, id: str, gate: Gate, *, wanted: bool) -> None:
    """Write the decision.

    Raises:
      IllegalTransition: if somebody has decided otherwise before.
    """
    decision = "approved" if gate.approved else "rejected"
    if screen.json:
        screen.object({"job": id, **unstructure(gate)})
    elif screen.drawn:
        style = "green" if gate.approved else "magenta"
        words = one_line(" ".join(part for part in (gate.by, gate.reason) if part))
        screen.draw_line(Text.assemble((id, "bold"), "  ", (decision, style), f"  {words}"))
    else:
        cells = [gate.by or "-", moment(gate.decided_at), gate.reason or "-"]
        screen.line([id, decision, *cells])
    if gate.approved is not wanted:
        by = "nobody in time" if gate.by is None and not gate.approved else gate.by or "somebody"
        raise IllegalTransition(f"job {id} was {decision} before, by {by}")
