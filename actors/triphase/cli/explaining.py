"""`triphase explain`: why a job does not start."""

from __future__ import annotations

from triphase_protocol import Blocker, unstructure_as

from .acting import asked
from .blockers import words_of
from .exits import Exit
from .options import AsJson, JobId
from .places import UNSAID, Remote
from .screen import Screen
from .sources import job_of


async def explain(id: JobId, /, *, remote: Remote = UNSAID, json: AsJson = False) -> int:
    """Tell what stands in the way of a job's start.

    In a pipe each line has: a word for what it is, and a sentence. There is none if the job starts
    next.

    Args:
      id: The job's id, or the beginning of it.
      remote: Whom to ask.
      json: Write JSON.
    """
    screen = Screen(json=json)
    async with asked(remote.gateway("explain"), screen) as source:
        job = await job_of(source, id)
        blockers = await source.client.explain(job.id)
    objects = unstructure_as(blockers, tuple[Blocker, ...])
    for blocker, fields in zip(blockers, objects, strict=True):
        if screen.json:
            screen.object(fields)
        elif screen.drawn:
            print(words_of(blocker))
        else:
            screen.line([fields["type"], words_of(blocker)])
    if not blockers:
        screen.note(f"nothing stands in the way of job {job.id}: it starts next")
    return Exit.OK
