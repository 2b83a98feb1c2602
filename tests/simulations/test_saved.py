"""Saved failures: a file holds all of it, and what is wrong with a file is said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triphase_simulations.exploring import Failure, Means
from triphase_simulations.saved import NotSaved, load, save, saved_from, versions

from .conftest import PLANTED


def test_a_failure_comes_back_as_it_was(broken: Failure, tmp_path: Path) -> None:
    path = tmp_path / "failure.json"
    save(broken, path)
    saved = load(path)
    assert saved == saved_from(broken)
    assert saved.scenario == broken.scenario
    assert saved.fixed == dict(broken.perturbations)
    assert saved.violation.normalised == broken.violation.normalised
    assert saved.versions == versions()
    assert {"triphase", "trio", "python"} <= set(saved.versions)


def test_a_saved_failure_fails_again_in_the_same_way(broken: Failure, tmp_path: Path) -> None:
    path = tmp_path / "failure.json"
    save(broken, path)
    failure, observed = load(path).replay(PLANTED)
    assert failure is not None
    assert failure.violations == broken.violations
    assert failure.perturbations == broken.perturbations
    assert observed.history.hash() == broken.history.hash() == load(path).history


def test_a_saved_failure_may_be_gone(broken: Failure, tmp_path: Path) -> None:
    path = tmp_path / "failure.json"
    save(broken, path)
    failure, observed = load(path).replay(Means())
    assert failure is None
    assert observed.history.entries


def test_a_file_is_for_people_too(broken: Failure, tmp_path: Path) -> None:
    path = tmp_path / "failure.json"
    save(broken, path)
    assert path.read_text("utf-8").count("\n") > 20


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    """Return what takes a field away."""
    return lambda value: value.pop(name)


WRONG: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (drop("format"), r"\$\.format: expected 1, got None"),
    (lambda value: value.update(format=2), r"\$\.format: expected 1, got 2"),
    (drop("seed"), r"\$\.seed: required"),
    (lambda value: value.update(seed="7"), r"\$\.seed: expected int, got '7'"),
    (lambda value: value.update(extra=1), r"unknown field 'extra'"),
    (lambda value: value["scenario"]["jobs"][1].pop("name"), r"\$\.scenario\.jobs\[1\]\.name"),
    (lambda value: value["scenario"]["ops"][0].update(what=3), r"\$\.scenario\.ops\[0\]\.what"),
    (lambda value: value.update(perturbations=[["hold", "x", 1]]), r"\$\.perturbations: \["),
    (lambda value: value.update(perturbations=[["bump", "x", 1, 1]]), r"no perturbation.*hold"),
]


@pytest.mark.parametrize(("change", "says"), WRONG)
def test_a_wrong_field_is_named_with_its_file(
    broken: Failure, tmp_path: Path, change: Callable[[dict[str, Any]], None], says: str
) -> None:
    path = tmp_path / "failure.json"
    save(broken, path)
    value = json.loads(path.read_text("utf-8"))
    change(value)
    path.write_text(json.dumps(value), "utf-8")
    with pytest.raises(NotSaved, match=says) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '"x"', "null", "{}", "\udcff"])
def test_garbage_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "failure.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(NotSaved, match=re.escape(str(path))):
        load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotSaved, match=r"nope\.json: No such file"):
        load(tmp_path / "nope.json")
