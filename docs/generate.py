"""Writes the pages of the reference that are made from the code, and the picture of the states.

python docs/generate.py            # writes them
python docs/generate.py --check    # says which are not what they would be, and ends with 1
"""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from reachable import transitions
from state_picture import picture
from wire_pages import messages_page

from triphase.cli.exits import EXITS
from triphase_protocol import (
    PHASE_TRANSITIONS,
    STATES,
    TRANSITIONS,
    EventType,
    JobState,
    PhaseState,
    TriphaseError,
    states,
)
from triphase_protocol.wire import asyncapi, wire_schema

HERE = Path(__file__).parent

NOTE = "<!-- Made by docs/generate.py: change that, or the docstrings, and run it again. -->\n\n"


def main() -> int:
    """Write the files, or compare them."""
    check = "--check" in sys.argv[1:]
    stale = [name for name, text in files().items() if _is_stale(HERE / name, text, check)]
    for name in stale:
        print(f"docs/{name} is not what docs/generate.py makes" if check else f"docs/{name}")
    return 1 if check and stale else 0


def files() -> dict[str, str]:
    """Return the text of each file, by its path below docs/."""
    used = {(each.before, each.event.type) for each in transitions()}
    return {
        "reference/states.md": NOTE + "\n".join(_states_page(used)),
        "reference/job-states.svg": picture(used),
        "reference/messages.md": NOTE + "\n".join(messages_page()),
        "reference/wire.schema.json": _json(wire_schema()),
        "reference/asyncapi.json": _json(asyncapi("1")),
        "reference/errors.md": NOTE + "\n".join(_errors_page()),
    }


def _json(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _is_stale(path: Path, text: str, check: bool) -> bool:
    if path.exists() and path.read_text("utf-8") == text:
        return False
    if not check:
        path.write_text(text, "utf-8")
    return True


# The states


def _states_page(used: set[tuple[JobState | None, EventType]]) -> Iterator[str]:
    yield """# States

What a job and its phases are in, and what leads from one state to another. This page is made from
the tables that the code itself runs by: `STATES`, `TRANSITIONS` and `PHASE_TRANSITIONS` of
`triphase_protocol`.

## Of a job

```{image} job-states.svg
:alt: The states of a job, and the events that lead from one to another
:width: 100%
```

An arrow is an event: `job.` and its word, or, where there is none, the name of the state it leads
to. A dot is a transition to the state at the foot of its column. What is dashed, and a dot that is
empty, is in the tables and does not happen in this version.
"""
    yield _row("state", "means", "holds a slot", "can be cancelled", "visited", "ended")
    yield _row(*["---"] * 6)
    words = _member_words(JobState)
    for state, row in STATES.items():
        columns = (row.holds_slot, row.cancellable, row.visited, row.terminal)
        yield _row(f"`{state}`", words[state.name], *("yes" if each else "" for each in columns))
    yield """
*Holds a slot*: it counts against the limit of its queue and the total one. *Can be cancelled*: a
cancel in this state changes something; in the others it is refused. *Visited*: the reconciler looks
after jobs in this state.

## What moves a job
"""
    yield _row("from", "event", "to", "in this version")
    yield _row(*["---"] * 4)
    for state, targets in TRANSITIONS.items():
        for event, target in targets.items():
            happens = "yes" if (state, event) in used else ""
            yield _row("" if state is None else f"`{state}`", f"`{event}`", f"`{target}`", happens)
    yield """
Every other event leaves the state of a job as it is; after `job.deleted` there is no job. A job
that is due at once is `scheduled` only inside the transaction that submits it: its `job.queued`, or
its `job.gated`, is in the same one.

## Of a phase
"""
    yield _row("state", "means")
    yield _row(*["---"] * 2)
    words = _member_words(PhaseState)
    for each in PhaseState:
        yield _row(f"`{each}`", words[each.name])
    yield "\n## What moves a phase\n"
    yield _row("from", "event", "to")
    yield _row(*["---"] * 3)
    for phase_state, moves in PHASE_TRANSITIONS.items():
        for event, reached in moves.items():
            yield _row(f"`{phase_state}`", f"`{event}`", f"`{reached}`")
    yield """
When a job ends, its phases that have neither completed nor failed end with it, as `cancelled`. So a
job that has ended has no phase that is unfinished.
"""


def _member_words(kind: type[enum.Enum]) -> Mapping[str, str]:
    """Return the docstring below each member of an enum, which only the source has."""
    tree = ast.parse(inspect.getsource(states))
    [body] = [
        node.body
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    ]
    words: dict[str, str] = {}
    for member, text in itertools.pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr):
            assert isinstance(member.targets[0], ast.Name)
            words[member.targets[0].id] = ast.literal_eval(text.value)
    return words


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


# The errors

GROUPS: Mapping[str, Callable[[type[TriphaseError], str], bool]] = {
    "What was declared or passed": lambda kind, module: (
        kind.code in {"definition", "unknown_job_type", "unknown_queue", "unknown_phase"}
        or kind.code in {"invalid_value", "invalid_payload", "invalid_result"}
    ),
    "The job": lambda kind, module: (
        kind.code
        in {
            "not_found",
            "gone",
            "ambiguous_id",
            "key_conflict",
            "illegal_transition",
            "stale",
            "timed_out",
        }
    ),
    "Webhooks": lambda kind, module: kind.code in {"hook_not_found", "invalid_webhook"},
    "The store": lambda kind, module: kind.code.startswith(("store", "not_a_store", "corrupt")),
    "The runtime": lambda kind, module: module == "triphase",
    "The wire": lambda kind, module: module in {"triphase.client", "triphase_protocol.wire"},
    "Actors": lambda kind, module: module == "triphase.actor",
}
"""Which errors stand under which heading; the first that says yes has it."""

MODULES = ("triphase", "triphase.actor", "triphase.client", "triphase_protocol.wire")
"""Where errors are public."""


def _errors_page() -> Iterator[str]:
    yield """# Errors

Every error that triphase raises on purpose, with what its docstring says. What raises it says so
too, in the other pages. The *code* is a stable word, `error.code`: compare it, or the class, rather
than a message. *Exit* is what the command line ends with.

How a job went wrong is none of these. It is data: a `Failed` outcome with an `ErrorRecord`, whose
`type` is the name of the exception that the handler raised, or one of

- `Timeout`: one of its deadlines passed; the message says which;
- `Fail`: the handler said so;
- `InvalidResult`: the handler returned what cannot be stored;
- `InvalidPayload`: the stored fields no longer structure into the job type;
- `DefinitionChanged`: the job was submitted when its type had other phases, and is not translated;
- `DefinitionError`, `NotFound`: a worker process does not find the job's class;
- `ProcessDied`: the worker process ended in the middle of the handler, and nobody had asked it to;
- `ProcessNotStarted`: the system could not start a worker process;
- `CommandFailed`: a command exited with a code that is none of its `ok_codes`, or by a signal;
- `CommandNotStarted`: there is no such program, or it could not be started;
- `Lost`: the phase's process was lost more often than `lost_most` allows;
- `Halted`: the handler was stopped, and nobody knows by whom;
- `Interrupted`: its process went away, or the runtime was closed; of a phase, and of a job with
  `on_restart="fail"`.
"""
    left = _errors()
    yield from _entry("triphase.TriphaseError", left.pop("triphase.TriphaseError"))
    for heading, belongs in GROUPS.items():
        yield f"## {heading}\n"
        for name in [name for name in left if belongs(left[name], name.rpartition(".")[0])]:
            yield from _entry(name, left.pop(name))
    assert not left, f"under no heading: {', '.join(left)}"


def _errors() -> dict[str, type[TriphaseError]]:
    """Return the errors by their public name, in the order in which they are written."""
    modules = [importlib.import_module(name) for name in MODULES]
    found: dict[str, type[TriphaseError]] = {}
    pending = [TriphaseError]
    while pending:
        kind = pending.pop(0)
        pending[:0] = kind.__subclasses__()
        for module in modules:
            if getattr(module, kind.__name__, None) is kind:
                found[f"{module.__name__}.{kind.__name__}"] = kind
    return found


def _entry(name: str, kind: type[TriphaseError]) -> Iterator[str]:
    bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
    yield "```{eval-rst}"
    yield f".. py:exception:: {name}\n"
    if kind is not TriphaseError:
        code, exit_code = kind.code, int(EXITS[kind.code])
        yield f"   Derives from {bases}. Code ``{code}``, exit {exit_code}.\n"
    for line in inspect.cleandoc(kind.__doc__ or "").splitlines():
        yield f"   {line}".rstrip()
    yield "```\n"


if __name__ == "__main__":
    sys.exit(main())
