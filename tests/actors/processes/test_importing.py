"""Which job classes a worker process can import, and how it finds them."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

import pytest

import triphase
from triphase.endings import Raised, Refused
from triphase.processes import Processes, check_importable
from triphase.processes.importing import Place, load, place_of

from .conftest import run
from .jobs import call_of, process_jobs
from .scripts import script

MODULE = """
import triphase

@triphase.job()
class Here:
    @triphase.phase()
    def phase(self, ctx: triphase.Context) -> int:
        return 1

    class Inner:
        pass
"""


def test_a_class_of_a_module_on_the_path_is_importable() -> None:
    check_importable(process_jobs.Do)


def test_a_class_inside_of_a_function_is_refused() -> None:
    @triphase.job()
    class Local:
        @triphase.phase()
        def phase(self, ctx: triphase.Context) -> None: ...

    with pytest.raises(triphase.DefinitionError, match=r"'Local'.*inside of a function"):
        check_importable(Local)
    with pytest.raises(triphase.DefinitionError, match="inside of a function"):
        call_of(Local(), "phase")


def test_a_class_that_its_name_no_longer_means_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_jobs, "Do", process_jobs.Measure)
    with pytest.raises(triphase.DefinitionError, match=r"process_jobs\.Do is not this class"):
        check_importable(Do)


Do = process_jobs.Do


def test_a_module_that_is_not_on_the_path_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = types.ModuleType("made_by_hand")
    monkeypatch.setitem(sys.modules, "made_by_hand", made)
    exec(MODULE, vars(made))
    with pytest.raises(triphase.DefinitionError, match=r"no module 'made_by_hand' on sys\.path"):
        check_importable(made.Here)
    # Another file of that name is not it either.
    (tmp_path / "made_by_hand.py").write_text(MODULE)
    made.__file__ = "/elsewhere/made_by_hand.py"
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    with pytest.raises(triphase.DefinitionError, match=r"not /elsewhere/made_by_hand\.py"):
        check_importable(made.Here)


@pytest.mark.parametrize(
    ("spec", "file", "words"),
    [
        (None, None, "at a prompt"),
        (None, "<stdin>", "at a prompt"),
        ("package.__main__", "/x/package/__main__.py", "move it to another module"),
    ],
)
def test_a_main_module_that_cannot_be_imported_again_is_refused(
    monkeypatch: pytest.MonkeyPatch, spec: str | None, file: str | None, words: str
) -> None:
    main = types.ModuleType("__main__")
    exec(MODULE, vars(main))
    main.__spec__ = None if spec is None else types.SimpleNamespace(name=spec)  # type: ignore[assignment]
    main.__file__ = file
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(triphase.DefinitionError, match=words):
        check_importable(main.Here)


def test_a_class_inside_of_a_class_is_found() -> None:
    place = Place(module="process_jobs", qualname="Do.plain")
    with pytest.raises(triphase.DefinitionError, match=r"no class Do\.plain"):
        load(place)


SCRIPT = (
    MODULE
    + """
import sys, trio
from triphase.definition import definition_of
from triphase.processes import Call, open_processes
from triphase_protocol import Job, JobState, PhaseRecord

async def main():
    async with open_processes() as processes:
        definition = definition_of(Here)
        definition.resolve()
        record = Job(id="x", type="Here", state=JobState.RUNNING, run=1, payload={},
                     phases=(PhaseRecord(name="phase"),))
        call = Call.of(definition, record, 0)
        ending = await processes.run(call, report=print, stop=trio.Event(), grace=9)
        print(ending.outcome)
"""
)


def test_a_class_of_the_script_itself_is_found(tmp_path: Path) -> None:
    text = SCRIPT + '\nif __name__ == "__main__":\n    trio.run(main)\n'
    with script(tmp_path / "script.py", text) as process:
        output, _ = process.communicate()
    assert output == b"Returned(value=1)\n"


def test_a_script_that_guards_nothing_gets_a_clear_error(tmp_path: Path) -> None:
    with script(tmp_path / "script.py", SCRIPT + "\ntrio.run(main)\n") as process:
        output, _ = process.communicate()
    assert output.startswith(b"Refused(error=ErrorRecord(type='DefinitionError'")
    assert b'if __name__ == "__main__":' in output


def test_a_module_run_by_its_name_is_imported_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main = types.ModuleType("__main__")
    exec(MODULE, vars(main))
    main.__spec__ = types.SimpleNamespace(name="package.module")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert place_of(main.Here) == Place(module="package.module", qualname="Here")


async def test_a_changed_declaration_is_refused_by_the_worker(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "changing.py"
    path.write_text(MODULE)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    here = importlib.import_module("changing").Here
    call_of(here(), "phase")
    path.write_text(MODULE.replace("def phase", "def another_phase"))
    outcome = (await run(processes, here(), "phase")).outcome
    assert isinstance(outcome, Refused)
    assert outcome.error.type == "DefinitionChanged"
    assert "another_phase" in outcome.error.message


async def test_a_class_that_is_gone_is_refused_and_an_import_may_fail_for_a_moment(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vanishing.py"
    path.write_text(MODULE)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    here = importlib.import_module("vanishing").Here
    path.write_text("1 / 0")
    outcome = (await run(processes, here(), "phase")).outcome
    assert isinstance(outcome, Raised)
    assert outcome.error.type == "ZeroDivisionError"
    path.write_text("")
    outcome = (await run(processes, here(), "phase")).outcome
    assert isinstance(outcome, Refused)
    assert "no class Here any more" in outcome.error.message
