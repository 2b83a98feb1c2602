"""One phase of one job, as something that can be sent to another process."""

from __future__ import annotations

import attrs

from triphase.definition import Definition
from triphase_protocol import Job

from .importing import Place, place_of


@attrs.frozen(kw_only=True)
class Call:
    """All that a worker needs to run one handler; plain data."""

    place: Place
    """Where the job class is."""

    job: Job
    """The record, as the run has it."""

    index: int
    """Which of its phases."""

    @classmethod
    def of(cls, definition: Definition, job: Job, index: int) -> Call:
        """Return the call of one phase.

        Args:
          definition: the job type.
          job: the record, as the run has it now.
          index: which phase.

        Raises:
          DefinitionError: if the job class is not one that another process can import.
        """
        return cls(place=place_of(definition.cls), job=job, index=index)
