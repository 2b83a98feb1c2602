"""`triphase demo` on a few packages, in this process."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from triphase.cli import demo_jobs
from triphase.cli.demo_jobs import Tally, package_names, standard_library
from triphase.cli.demo_page import package_page
from triphase.cli.demo_results import Collected, Compressed, Longest, SourceFile

from .conftest import Cli

SOME = ("--package", "json", "--package", "tomllib")


def test_a_demo_runs_its_jobs_and_writes_their_pages(cli: Cli, folder: Path) -> None:
    ran = cli("demo", *SOME, "--json")
    (summary,) = ran.objects
    assert ran.code == 0
    assert summary["packages"] == summary["completed"] == summary["submitted"] == 2
    assert (summary["recognised"], summary["phases_kept"]) == (0, 0)
    # Four each, and one that fails the first time.
    assert summary["phases_executed"] == 2 * 4 + 1
    assert summary["retried"] == [{"package": "json", "phase": "compress", "attempts": 2}]
    sources = [
        path for name in ("json", "tomllib") for path in (standard_library() / name).rglob("*.py")
    ]
    assert summary["files"] == len(sources)
    assert summary["bytes"] == sum(path.stat().st_size for path in sources)
    assert 0 < summary["packed_bytes"] < summary["bytes"]
    index = (folder / "triphase-demo" / "index.html").read_text("utf-8")
    assert '<a href="json.html">json</a>' in index
    assert "decoder.py" in (folder / "triphase-demo" / "json.html").read_text("utf-8")
    assert not list((folder / "triphase-demo").glob(".*"))
    assert "json: compress failed on try 1: PlannedFailure" in ran.err
    assert "2/2  " in ran.err


def test_a_second_demo_does_nothing_and_says_the_same(cli: Cli) -> None:
    (first,) = cli("demo", *SOME, "--json").objects
    ran = cli("demo", *SOME, "--json")
    (second,) = ran.objects
    assert (second["submitted"], second["recognised"], second["finished_before"]) == (0, 2, 2)
    assert (second["phases_executed"], second["phases_kept"]) == (0, 8)
    assert not ran.err
    work = {"submitted", "recognised", "finished_before", "phases_executed", "phases_kept"}
    same = set(first) - work - {"elapsed"}
    assert {name: first[name] for name in same} == {name: second[name] for name in same}


def test_more_packages_join_those_that_are_done(cli: Cli) -> None:
    cli("demo", *SOME)
    (summary,) = cli("demo", *SOME, "--package", "zoneinfo", "--json").objects
    assert (summary["submitted"], summary["recognised"], summary["completed"]) == (1, 2, 3)
    assert (summary["phases_executed"], summary["phases_kept"]) == (4, 8)


def test_the_hints_of_the_summary_work(cli: Cli, folder: Path) -> None:
    ran = cli("demo", *SOME, "--out", "a folder", "--store", "the store.db")
    hints = [cells[1] for cells in ran.cells if cells[0] == "next"]
    assert ["report", "a folder/index.html"] in ran.cells
    assert len(hints) == 3
    for hint in hints:
        program, *arguments = shlex.split(hint)
        assert program == "triphase"
        assert cli(*arguments).code == 0


def test_a_job_of_the_demo_can_be_submitted_by_hand(cli: Cli) -> None:
    payload = '{"name":"x","folder":"x","pages":"x"}'
    ran = cli("submit", "Package", payload, "--jobs", "triphase.cli.demo_jobs:JOBS")
    assert ran.code == 0


def test_a_job_that_fails_fails_the_demo(cli: Cli, folder: Path) -> None:
    (folder / "triphase-demo" / "json.html").mkdir(parents=True)
    ran = cli("demo", *SOME)
    assert ran.code == 1
    (failed,) = [cells[1] for cells in ran.cells if cells[0] == "failed"]
    assert failed.startswith("json: failed, IsADirectoryError")
    assert cli("demo", *SOME).code == 1


def test_a_folder_that_cannot_be_made_is_unreachable(cli: Cli, folder: Path) -> None:
    (folder / "file").touch()
    ran = cli("demo", "--out", "file")
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.startswith("triphase: the folder file cannot be made")


def test_the_packages_are_those_of_the_standard_library(tmp_path: Path) -> None:
    names = package_names(standard_library())
    assert names == sorted(names)
    assert {"json", "email", "xml"} <= set(names)
    assert not {"test", "site-packages", "__pycache__"} & set(names)
    assert demo_jobs.FAILS_ONCE in names
    assert not package_names(tmp_path)


def test_a_tally_counts_what_a_file_defines() -> None:
    tally = Tally()
    tally.add("a.py", b"class A:\n    async def f(self):\n        pass\n\ndef g(): pass\n")
    tally.add("bad.py", b"def f(:\n")
    tally.add("null.py", b"\0")
    parsed = tally.parsed()
    assert (parsed.modules, parsed.lines, parsed.classes) == (3, 6, 1)
    assert (parsed.functions, parsed.async_functions) == (2, 1)
    assert parsed.longest == Longest(name="f", file="a.py", line=2, lines=2)
    assert parsed.unparsable == ["bad.py", "null.py"]


@pytest.mark.parametrize("name", ["<script>", "a&b"])
def test_a_page_shows_names_as_text(name: str) -> None:
    page = package_page(
        name,
        f"/x/{name}",
        Collected(files=[SourceFile(path=f"{name}.py", bytes=1, sha256="0" * 64)], bytes=1),
        Tally().parsed(),
        Compressed(source_bytes=0, packed_bytes=0),
    )
    assert name not in page
    assert "100%" in page
