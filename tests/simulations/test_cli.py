"""`triphase simulate` from end to end, as the installed command runs it."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import cyclopts
import pytest
from tests.actors.cli.ran import Ran

from triphase.cli import main as command_line
from triphase_protocol import JobState
from triphase_simulations import cli as simulations_cli, oracles
from triphase_simulations.bench import scenario_of
from triphase_simulations.cli.progress import LiveProgress
from triphase_simulations.coverage import goals
from triphase_simulations.exploring import Means, explore, plan_of
from triphase_simulations.suites import SUITES

from .conftest import busy_scenario

Cli = Callable[..., Ran]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = command_line.main(["simulate", *arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@attrs.frozen
class Tiny:
    """A suite of one scenario."""

    name: str = "tiny"
    says: str = "One scenario, which loses a process."

    def scenario(self, seed: int) -> Any:
        """Return it."""
        return attrs.evolve(busy_scenario(), suite=self.name)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a suite `tiny` and no other."""
    others = {name: SUITES[name] for name in SUITES}
    suites: Any = SUITES
    suites.clear()
    suites["tiny"] = Tiny()
    yield
    suites.clear()
    suites.update(others)


# What is right


def test_a_suite_in_which_nothing_fails(cli: Cli, tiny: None) -> None:
    ran = cli("tiny", "--scenarios", "3", "--json")
    assert ran.code == 0
    (last,) = ran.objects
    assert set(last) == {"scenarios", "failures", "history_hash", "per_second", "goals"}
    assert (last["scenarios"], last["failures"]) == (3, 0)
    assert last["goals"]["nothing + job.submitted"] == 3
    assert list(last["goals"]) == list(goals())
    assert ran.err == "tiny: 3 scenarios …\n"
    assert not list(Path().iterdir())


def test_the_hash_is_that_of_the_exploration(cli: Cli) -> None:
    (last,) = cli("restart", "--scenarios", "4", "--seed", "6", "--json").objects
    found = explore(SUITES["restart"], scenarios=4, seed=6)
    assert last["history_hash"] == found.history_hash


def test_all_suites_are_run_without_a_name(cli: Cli) -> None:
    first, second = (cli("--scenarios", "1", "--json") for _ in range(2))
    assert first.code == 0
    assert first.objects[-1]["scenarios"] == len(SUITES)
    assert first.objects[-1]["history_hash"] == second.objects[-1]["history_hash"]
    assert all(f"{name}: 1 scenario …" in first.err for name in SUITES)


def test_a_table_tells_what_was_covered(cli: Cli, tiny: None) -> None:
    ran = cli("tiny", "--scenarios", "2")
    cells = dict(line.split("\t") for line in ran.out.splitlines())
    assert cells["nothing + job.submitted"] == "2"
    assert list(cells) == list(goals())
    assert re.search(r"\n2 scenarios, 0 failures, .* goals met, history \w{16}\n", ran.err)


# What fails


def test_a_failure_is_shown_small_and_written(cli: Cli, tiny: None, planted: None) -> None:
    ran = cli("tiny", "--scenarios", "2", "--json")
    assert ran.code == 1
    failure, last = ran.objects
    assert last["failures"] == 2
    assert failure["oracle"] == "planted"
    assert (failure["jobs"], failure["ops"], failure["perturbations"]) == (1, 1, 0)
    assert failure["confirmed"]
    assert set(failure["files"]) == {"json", "txt", "html"}
    assert all(Path(path).parent == Path("triphase-failures") for path in failure["files"].values())
    text = Path(failure["files"]["txt"]).read_text("utf-8")
    assert text in ran.err
    assert f"triphase simulate replay {failure['files']['json']}" in text
    assert "<!doctype html>" in Path(failure["files"]["html"]).read_text("utf-8")
    assert f"written to\n  {failure['files']['json']}" in ran.err


def test_a_failure_is_replayed_from_its_file(cli: Cli, tiny: None, planted: None) -> None:
    failure, _ = cli("tiny", "--scenarios", "1", "--json", "--out", "found").objects
    ran = cli("replay", failure["files"]["json"])
    assert ran.code == 1
    assert ran.out.split("\t")[2:] == ["failed", f"{failure['history']}\n"]
    assert "VIOLATION  planted" in ran.err
    (again,) = cli("replay", failure["files"]["json"], "--json", "--out", "again").objects
    assert again["history"] == failure["history"]
    assert Path(again["files"]["html"]).parent == Path("again")


def test_a_failure_that_is_gone_ends_with_0(
    cli: Cli, tiny: None, planted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure, _ = cli("tiny", "--scenarios", "1", "--json").objects
    path = Path(failure["files"]["json"])
    path.write_text(path.read_text("utf-8").replace('"trio": "', '"trio": "0.'), "utf-8")
    monkeypatch.setattr(oracles, "ORACLES", ())
    ran = cli("replay", str(path))
    assert ran.code == 0
    assert "\tnothing wrong\t" in ran.out
    assert "it was saved with trio 0." in ran.err


def test_a_failure_is_replayed_from_its_seed(cli: Cli, tiny: None, planted: None) -> None:
    failure, _ = cli("tiny", "--scenarios", "1", "--json").objects
    ran = cli("replay", str(failure["seed"]), "--suite", "tiny", "--json")
    assert ran.code == 1
    (again,) = ran.objects
    assert again["normalised"] == failure["normalised"]
    assert not again["files"]


def test_a_seed_without_a_suite_is_tried_in_each(cli: Cli) -> None:
    ran = cli("replay", "12345")
    assert ran.code == 0
    assert [line.split("\t")[0] for line in ran.out.splitlines()] == list(SUITES)
    assert all("\tnothing wrong\t" in line for line in ran.out.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("--scenarios", "0"),
        ("--scenarios", "1.5"),
        ("--jobs", "0"),
        ("replay",),
        ("replay", "nope.json"),
        ("replay", "1", "--suite", "nope"),
        ("replay", "x.json", "--suite", "restart"),
        ("mutants", "--scenarios", "0"),
        ("mutants", "--jobs", "0"),
        ("bench", "--runs", "0"),
        ("mutants", "no-such-mistake", "--scenarios", "1"),
    ],
)
def test_a_wrong_command_line_is_one_line_on_stderr(cli: Cli, arguments: tuple[str, ...]) -> None:
    ran = cli(*arguments)
    assert ran.code == 2
    assert not ran.out
    assert ran.err.startswith("triphase: ")
    assert ran.err.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_said(cli: Cli, tiny: None, planted: None) -> None:
    Path("taken").write_text("", "utf-8")
    ran = cli("tiny", "--scenarios", "1", "--out", "taken")
    assert ran.code == 5
    assert "triphase: taken: File exists" in ran.err


# Mutants


@attrs.frozen
class Counts:
    replays: int


@attrs.frozen
class Hunt:
    mutant: str
    killed: bool
    oracle: str | None
    suite: str | None
    scenarios: int
    seconds: float
    seed: int | None
    shipped: str = "somewhere"
    message: str | None = None
    shrunk: Counts | None = None
    smallest: tuple[str, ...] = ()


FOUND = Hunt(
    "a", True, "O1", "restart", 12, 0.5, 99, "here", "twice", Counts(31), ("submit x", "crash")
)
MISSED = Hunt("b", False, None, None, 30, 2.0, None)


@pytest.fixture
def hunted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Have two mutants, of which one is found; returns what was hunted."""
    asked: list[dict[str, Any]] = []

    def hunt_all(mutants: list[str], **options: int) -> Iterator[Hunt]:
        asked.append({"mutants": mutants, **options})
        yield from ({"first": FOUND, "second": MISSED}[mutant] for mutant in mutants)

    module = types.ModuleType("triphase_simulations.mutants")
    vars(module).update(MUTANTS={"a": "first", "b": "second"}, hunt_all=hunt_all)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return asked


def test_mutants_are_hunted_one_by_one(cli: Cli, hunted: list[dict[str, Any]]) -> None:
    ran = cli("mutants", "--scenarios", "30", "--seed", "4", "--jobs", "2")
    assert ran.code == 1
    assert hunted == [{"mutants": ["first", "second"], "scenarios": 30, "seed": 4, "jobs": 2}]
    assert ran.out.splitlines() == [
        "a\tfound by O1\t12 scenarios\t500 ms\trestart 99\there\tsubmit x; crash",
        "b\tnot found\t30 scenarios\t2.0 s\t-\tsomewhere\t-",
    ]
    assert ran.err == (
        "2 mistakes planted, 1 not found; "
        "in the median after 12 scenarios, and made small in 31 runs\n"
    )


def test_one_mutant_is_hunted_by_its_name(cli: Cli, hunted: list[dict[str, Any]]) -> None:
    assert cli("mutants", "a").code == 0
    assert [each["mutants"] for each in hunted] == [["first"]]


def test_mutants_as_json(cli: Cli, hunted: list[dict[str, Any]]) -> None:
    first, second = cli("mutants", "--json").objects
    assert (first["mutant"], first["killed"], first["seed"]) == ("a", True, 99)
    assert (first["smallest"], first["replays"]) == (["submit x", "crash"], 31)
    assert (second["killed"], second["oracle"], second["seed"]) == (False, None, None)


# Speed


def test_runs_are_measured_beside_bare_ones(cli: Cli) -> None:
    bare, one, ten = cli("bench", "--runs", "2", "--json").objects
    assert [each["what"] for each in (bare, one, ten)] == [
        "bare trio.run",
        "1 job of 3 phases",
        "10 jobs of 3 phases",
    ]
    assert bare["of_bare"] == 1
    assert all(each["runs"] == 2 and each["per_second"] > 0 for each in (bare, one, ten))


@pytest.mark.parametrize("jobs", [1, 10])
def test_what_is_measured_does_what_it_says(jobs: int) -> None:
    scenario = scenario_of(jobs)
    observed = Means().observe(scenario, plan_of(scenario, 1))
    assert observed.violations == ()
    assert [job.state for job in observed.history.jobs] == [JobState.COMPLETED] * jobs
    assert len(observed.history.ran) == 3 * jobs


# The bar


def is_stderr(stream: object) -> bool:
    return stream is sys.stderr


def test_a_terminal_has_a_bar(
    cli: Cli, tiny: None, planted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triphase_simulations.cli.progress.REDRAW_EVERY", 0)
    monkeypatch.setattr("triphase.cli.screen._is_terminal", is_stderr)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    drawn: list[str] = []
    real = LiveProgress._draw

    def draw(self: LiveProgress) -> None:
        drawn.append(self.course.words())
        real(self)

    monkeypatch.setattr(LiveProgress, "_draw", draw)
    ran = cli("tiny", "--scenarios", "2")
    assert ran.code == 1
    assert drawn[0].startswith("0/2  tiny")
    assert any("2/2  tiny" in words and "2 failed" in words for words in drawn)
    assert any("makes a failure small: 9 runs" in words for words in drawn)
    assert "1/2  tiny" in ran.err
    assert "━" in ran.err
    assert "VIOLATION  planted" in ran.err


# How `triphase` finds the command


def test_help_names_it_and_its_own_commands(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--help"]) == 0
    assert " simulate " in capsys.readouterr().out
    ran = cli("--help")
    assert all(word in ran.out for word in ("replay", "mutants", "--scenarios", "--out", "SUITE"))


def test_another_command_does_not_load_simulations() -> None:
    program = (
        "import sys; from triphase.cli.main import main; main(['ls', '--limit', '0']); "
        "print([name for name in sys.modules if name.startswith('triphase_simulations')])"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.fixture
def unloadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an app without the command, which cannot be loaded."""

    class Entry:
        name = "simulate"

        def load(self) -> None:
            raise ModuleNotFoundError("No module named 'hypothesis'")

    monkeypatch.setattr(
        command_line, "app", cyclopts.App(name="triphase", result_action="return_value")
    )

    def entry_points(*, group: str) -> list[Entry]:
        return [Entry()] if group == "triphase.commands" else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


def test_what_cannot_be_loaded_says_what_to_install(cli: Cli, unloadable: None) -> None:
    ran = cli("restart")
    assert ran.code == 2
    assert not ran.out
    assert ran.err == (
        "triphase: simulate cannot be loaded: No module named 'hypothesis'; "
        "try: pip install 'triphase[simulate]'\n"
    )


def test_help_is_there_all_the_same(unloadable: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["--help"]) == 0
    captured = capsys.readouterr()
    assert "Usage" in captured.out
    assert "pip install 'triphase[simulate]'" in captured.err


def test_every_option_is_in_its_page() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
    sections = re.split(r"\n##+ ", page.read_text("utf-8"))
    for name, function in simulations_cli.COMMANDS.items():
        (section,) = [
            text for text in sections if text.startswith(f"simulate {name}".strip() + "\n")
        ]
        app = cyclopts.App()
        app.default(function)
        for argument in app.assemble_argument_collection():
            assert any(f"`{each}" in section for each in argument.names), (name, argument.names)
