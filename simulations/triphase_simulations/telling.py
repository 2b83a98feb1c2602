"""A failure in words and in code: what is wrong, with what workload, and a test that shows it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import attrs

from .exploring import Failure
from .history import History
from .receivers import name_of
from .scenario import TO_CLIENTS, Anchor, ClientPlan, JobPlan, Op, Scenario

WIDTH: Final = 96
"""Columns of a line of code."""


def names_of(history: History) -> dict[str, str]:
    """Return the jobs' names in the scenario, and what deliveries are of, by their ids."""
    names = {job.id: job.key for job in history.jobs if job.key is not None}
    for entry in history.all("answered"):
        answer = entry.data.get("answer")
        if entry.data.get("op") == "submit" and isinstance(answer, Mapping):
            id = cast("Mapping[str, Any]", answer).get("id")
            names[str(id)] = str(entry.data.get("name"))
    hooks = {
        hook.id: f"{names.get(hook.job, hook.job)} {hook.event.value}" for hook in history.hooks
    }
    return {**names, **hooks}


# What is wrong, and with what


def headline(failure: Failure) -> str:
    """Return what is wrong, in a line."""
    violation = failure.violation
    job = violation.job
    name = names_of(failure.history).get(job, job) if job else None
    parts = [violation.oracle, f"job {name}" if name else "", f"seq {violation.seq}"]
    kept = [part for part in parts if part and part != "seq None"]
    if violation.time is not None:
        kept.append(f"at {violation.time:.3f} s")
    return " · ".join(kept)


def beside(failure: Failure) -> list[str]:
    """Return what else is wrong with the run, the same only once."""
    counts = Counter(each.message for each in failure.violations[1:])
    return [f"{text} ({count} times)" if count > 1 else text for text, count in counts.items()]


def workload(scenario: Scenario) -> list[str]:
    """Return a scenario in words, one thing a line."""
    told: list[str] = []
    for spec in scenario.types:
        phases = ", ".join(
            f"{phase.name}{_options(phase, 'name', brackets=True)}" for phase in spec.phases
        )
        options = _options(spec, "name", "phases", "webhooks", brackets=True)
        told.append(f"type {spec.name}{options}: {phases}")
    told += [_job_words(job) for job in scenario.jobs]
    told += [_op_words(op) for op in scenario.ops]
    told += [_client_words(client) for client in scenario.clients]
    told += [
        f"picture {picture.name} of all jobs, from {picture.begins:g} s on"
        for picture in scenario.pictures
    ]
    told += _webhooks_words(scenario)
    rest = _options(
        scenario,
        "suite",
        "types",
        "jobs",
        "ops",
        "clients",
        "pictures",
        "kinds",
        "receivers",
        "webhooks",
        "sending",
        "followed",
    )
    return [*told, *([f"store:{rest}"] if rest else [])]


def _webhooks_words(scenario: Scenario) -> list[str]:
    """Return what becomes of webhooks in words, one thing a line."""
    wanted = [
        *((f"type {spec.name}", plan) for spec in scenario.types for plan in spec.webhooks),
        *((job.name, plan) for job in scenario.jobs for plan in job.webhooks),
        *(("any job", plan) for plan in scenario.webhooks),
    ]
    told = [
        f"webhook of {whose} to {name_of(plan.url)}: {', '.join(plan.events) or 'its end'}"
        + ("; at most once" if plan.at_most_once else "")
        + ("; signed" if plan.signed else "")
        for whose, plan in wanted
    ]
    told += [
        f"receiver {name_of(plan.url)}: {', '.join((*plan.answers, 'ok from then on'))}"
        for plan in scenario.receivers
    ]
    sending = "" if scenario.sending is None else _options(scenario.sending)
    told += [f"sending:{sending}"] if sending else []
    return told if scenario.followed else [*told, "nobody follows"]


def _job_words(job: JobPlan) -> str:
    scripts = [
        f"{phase}: " + " / ".join(", ".join(map(_step_words, steps)) for steps in tries)
        for phase, tries in job.script.items()
    ]
    options = _options(job, "name", "type", "script", "at", "webhooks")
    return f"submit {job.name} ({job.type}) at {job.at:g} s{options}" + (
        "; " + "; ".join(scripts) if scripts else ""
    )


def _step_words(step: Sequence[Any]) -> str:
    return " ".join(str(part) for part in step)


def _op_words(op: Op) -> str:
    about = "" if op.about is None else f" {op.about}"
    via = "" if op.via is None else f" via {op.via}"
    if op.what in TO_CLIENTS and op.via is not None:
        # It is done to the client, and not by it.
        about, via = f" {op.via}", "" if op.about is None else f" for {op.about:g} s"
    job = f" {op.job}" if op.job else ""
    return f"{op.what}{job}{about}{via} {_anchor_words(op.when)}"


def _client_words(client: ClientPlan) -> str:
    jobs = f"of {client.job}" if client.job else f"of type {' and '.join(client.types)}"
    words = [f"client {client.name} follows", ", ".join(client.events) or "all events"]
    if client.job or client.types:
        words.append(jobs)
    words.append(f"from {client.begins:g} s on")
    if client.reads:
        words.append("and reads the job of each")
    if client.pause:
        words.append(f"and takes {client.pause:g} s for each")
    return " ".join(words)


def _anchor_words(anchor: Anchor) -> str:
    words: list[str] = []
    if anchor.at is not None:
        words.append(f"at {anchor.at:g} s")
    if anchor.event is not None:
        nth = f"{anchor.nth}. " if anchor.nth != 1 else ""
        phase = f" of {anchor.phase}" if anchor.phase else ""
        words.append(f"at the {nth}{anchor.event}{phase} of {anchor.job or 'any job'}")
    if anchor.offset:
        words.append(f"{anchor.offset:+g} s")
    return " ".join(words)


def _options(value: Any, *but: str, brackets: bool = False) -> str:
    """Return the fields of an instance that are not what they are by default."""
    text = ", ".join(
        f"{name} {inside:g}" if isinstance(inside, float) else f"{name} {inside}"
        for name, inside in _given(value)
        if name not in but
    )
    if not text:
        return ""
    return f" ({text})" if brackets else f" {text}"


def _given(value: object) -> Iterator[tuple[str, Any]]:
    kind: Any = type(value)
    for field in attrs.fields(kind):
        default: Any = field.default
        default = default.factory() if hasattr(default, "factory") else default
        inside = getattr(value, field.name)
        if inside != default:
            yield field.name, inside


# A regression test


def regression_test(failure: Failure) -> str:
    """Return a test, to be pasted, that fails as long as the failure is there."""
    name = re.sub(r"\W+", "_", f"{failure.suite}_{failure.violation.oracle}").strip("_").lower()
    played = failure.scenario
    scenario = source(played, 4, before=len("scenario = "))
    fixed = source(dict(failure.perturbations), 4, before=len("perturbations: dict[Key, float] = "))
    seed = failure.plan.seed
    names = {"Anchor", "JobPlan", "Op", "Scenario"}
    names |= {type(each).__name__ for each in (*played.clients, *played.pictures)}
    names |= {name for name in ("SendingPlan", "WebhookPlan") if f"{name}(" in scenario}
    received = "from triphase_simulations.receivers import ReceiverPlan\n"
    return f"""\
from triphase_simulations.cast import PhaseSpec, TypeSpec
from triphase_simulations.oracles import judge
from triphase_simulations.plan import Key, Plan
{received if played.receivers else ""}from triphase_simulations.running import run_scenario
from triphase_simulations.scenario import {", ".join(sorted(names))}


def test_{name}_{failure.seed}() -> None:
    scenario = {scenario}
    perturbations: dict[Key, float] = {fixed}
    plan = Plan({seed}, kinds=frozenset(), fixed=perturbations)
    assert not judge(run_scenario(scenario, plan), scenario)
"""


def source(value: Any, indent: int = 0, *, before: int = 0) -> str:
    """Return a value as Python code, wrapped if it is long."""
    begin, items, end = _parts(value)
    if items is None:
        return begin
    flat = begin + ", ".join(f"{name}{source(item, 0, before=-9999)}" for name, item in items) + end
    if len(items) == 1 and begin == "(":
        flat = f"{flat[:-1]},)"
    if "\n" not in flat and indent + before + len(flat) <= WIDTH:
        return flat
    inside = indent + 4
    body = "".join(
        f"{' ' * inside}{name}{source(item, inside, before=len(name) + 1)},\n"
        for name, item in items
    )
    return f"{begin}\n{body}{' ' * indent}{end}"


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]] | None, str]:
    """Return how a value begins, what is in it by name, and how it ends."""
    if attrs.has(type(cast("object", value))):
        return f"{type(value).__name__}(", [(f"{k}=", v) for k, v in _given(value)], ")"
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value).items()
        return "{", [(f"{source(key)}: ", item) for key, item in entries], "}"
    if isinstance(value, list | tuple):
        items = [("", item) for item in cast("Sequence[Any]", value)]
        return ("[", items, "]") if isinstance(value, list) else ("(", items, ")")
    return _literal(value), None, ""


def _literal(value: object) -> str:
    text = repr(value)
    if isinstance(value, str) and text.startswith("'") and '"' not in text:
        return f'"{text[1:-1]}"'
    return text


# How to see it again


def commands(failure: Failure, saved: Path | None) -> list[str]:
    """Return the command lines that show a failure again."""
    found = [f"triphase simulate replay {saved}"] if saved is not None else []
    return [*found, f"triphase simulate replay {failure.seed} --suite {failure.suite}"]


def shrunk_words(failure: Failure) -> str:
    """Return what shrinking did, in a sentence."""
    counts = failure.shrunk
    if counts is None:
        return "not shrunk"
    if not counts.confirmed:
        return "not shrunk: it did not fail in the same way when it was run again"
    pairs = {
        "perturbations": counts.perturbations,
        "jobs": counts.jobs,
        "operations": counts.ops,
        "steps": counts.steps,
    }
    done = ", ".join(f"{noun} {before} → {after}" for noun, (before, after) in pairs.items())
    return f"{done}, in {counts.replays} runs"
