"""Job types by name, and everything that can be wrong with a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from triphase.cli.exits import UsageError
from triphase.cli.job_types import job_types
from triphase_protocol import DefinitionError


def names(spec: str) -> list[str]:
    return [cls.__name__ for cls in job_types(spec)]


def test_a_class_a_list_or_a_whole_module(folder: Path) -> None:
    assert names("sample:ONE") == names("sample:Ping") == ["Ping"]
    assert names("sample:BOTH") == ["Transcode", "Ping"]
    # Once each, whatever else they are bound to.
    assert names("sample") == ["Transcode", "Ping"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere", "there is no module 'nowhere'"),
        ("sample.py", "write package.module, not a path"),
        ("./sample", "write package.module, not a path"),
        ("", "is not a module's name"),
        ("sample:NOPE", "has no 'NOPE'"),
        ("sample:NONE", "sample:NONE is empty"),
        ("sample:SAMPLE", "has no 'SAMPLE'"),
        ("sample:__name__", "neither a job type nor a list of them"),
        ("json", "the module 'json' has no job types"),
        ("raises", "cannot be imported: ZeroDivisionError"),
        ("exits", "cannot be imported: SystemExit"),
        ("needs", "cannot be imported: No module named 'nowhere'"),
    ],
)
def test_each_thing_that_is_wrong_is_named(folder: Path, spec: str, message: str) -> None:
    (folder / "raises.py").write_text("1 / 0", "utf-8")
    (folder / "exits.py").write_text("raise SystemExit(3)", "utf-8")
    (folder / "needs.py").write_text("import nowhere", "utf-8")
    with pytest.raises(UsageError) as caught:
        job_types(spec)
    assert message in str(caught.value)


@pytest.mark.parametrize("spec", ["sample:WRONG", "builtins:int"])
def test_a_class_that_is_no_job_type_is_refused(folder: Path, spec: str) -> None:
    with pytest.raises(DefinitionError, match="is not a job type"):
        job_types(spec)
