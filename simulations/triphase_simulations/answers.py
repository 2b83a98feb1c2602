"""What a runtime answered, as it stands in a history."""

from __future__ import annotations

from typing import cast

import triphase
from triphase_protocol import Json, unstructure


def shown(answer: object, *, whole: bool = False) -> Json:
    """Return an answer as JSON: of a record what oracles ask for, of others what they are.

    Args:
      answer: what a verb returned.
      whole: all that is in it; else only its type.
    """
    match answer:
        case triphase.Job():
            return {
                "id": answer.id,
                "state": answer.state.value,
                "run": answer.run,
                "version": answer.version,
            }
        case triphase.Hook():
            # Without what is sent: a traceback may stand in it.
            return {
                "hook": answer.id,
                "job": answer.job,
                "state": answer.state.value,
                "attempts": answer.attempts,
            }
        case triphase.JobHandle():
            return {"id": answer.id}
        case None | bool():
            return answer
        case tuple() if whole:
            return [type(each).__name__ for each in cast("tuple[object, ...]", answer)]
        case _:
            told: dict[str, Json] = unstructure(answer) if whole else {}
            return {"type": type(answer).__name__, **told}
