"""The job types of these tests, by a name that a worker finds as well, and calls of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from triphase.definition import definition_of
from triphase.processes import Call
from triphase_protocol import Job, JobState, Json, PhaseRecord, PhaseState

FOLDER = Path(__file__).parent / "importable"
"""Where they are."""

if str(FOLDER) not in sys.path:
    sys.path.insert(0, str(FOLDER))

process_jobs: Any = importlib.import_module("process_jobs")
"""Not by a relative import: pytest's name for the module means nothing to another process."""


def call_of(instance: object, phase: str, results: dict[str, Json] | None = None) -> Call:
    """Return the call of one phase of a job."""
    definition = definition_of(type(instance))
    names = [each.name for each in definition.phases]
    results = results or {}
    job = Job(
        id="a-job",
        type=definition.name,
        state=JobState.RUNNING,
        run=4,
        payload=definition.payload_of(instance),
        labels={"color": "red"},
        phases=tuple(
            PhaseRecord(name=name, state=PhaseState.COMPLETED, result=results[name])
            if name in results
            else PhaseRecord(name=name, attempt=2)
            for name in names
        ),
    )
    return Call.of(definition, job, names.index(phase))
