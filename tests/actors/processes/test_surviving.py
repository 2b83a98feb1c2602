"""Commands that outlive the runtime: found by who they are, and by the record of their end."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triphase.endings import Ending, Halt, Lost, Raised, Returned, Unfinished
from triphase.external import Command
from triphase.processes.found import Attached, Finished, Gone, attach, identity_in
from triphase.processes.identity import lives, wait_end
from triphase.processes.keeper import EXIT, IDENTITY
from triphase.processes.surviving import NotStarted, _introduce, attend, begin, start, stop, wait
from triphase_protocol import StopHow

from .conftest import PATIENCE, Ear, Gated, is_gone, wait_gone
from .scripts import script

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for one command, which is not there yet."""
    return tmp_path / "state" / "a command"


async def run_surviving(
    folder: Path, command: Command, *, stop: trio.Event, grace: float
) -> Ending:
    """Start a command, or attach to it, and return what came of it."""
    return await attend(await begin(folder, command, stop), command, stop, grace)


async def ended(folder: Path) -> Finished:
    """Wait for the end of a command."""
    with trio.fail_after(PATIENCE):
        found = await attach(folder)
        if isinstance(found, Attached):
            found = await wait(found)
    assert isinstance(found, Finished)
    return found


async def test_a_command_is_started_attached_to_and_finished(
    folder: Path, ear: Ear, gated: Gated
) -> None:
    identity = await start(folder, gated.command)
    pid = int(await ear.line())
    assert identity.command.pid == identity.group == pid
    assert await attach(folder) == Attached(folder, identity)
    gated.open()
    finished = await ended(folder)
    assert finished.exited.exit_code == 4
    assert finished.exited.stdout.text() == "before\nafter\n"
    assert finished.exited.seconds > 0
    # A zombie until its keeper has recorded that.
    await wait_gone(pid)
    # Asked again, it says the same.
    assert await attach(folder) == finished
    shutil.rmtree(folder)
    assert isinstance(await attach(folder), Gone)


PARENT = """
import sys, trio
from triphase.external import Command
from triphase.processes.surviving import attend, begin

async def main():
    command = Command(["sh", "-c", sys.argv[2]])
    stop = trio.Event()
    await attend(await begin(sys.argv[1], command, stop), command, stop, grace=1)

trio.run(main)
"""


async def test_a_command_survives_the_kill_of_its_parent_and_is_found_again(
    tmp_path: Path, folder: Path, ear: Ear, gated: Gated
) -> None:
    text = gated.command.argv[2]
    with script(tmp_path / "parent.py", PARENT, str(folder), text) as parent:
        pid = int(await ear.line())
        parent.kill()
        await trio.to_thread.run_sync(parent.wait)
    found = await attach(folder)
    assert isinstance(found, Attached)
    assert found.identity.command.pid == pid
    gated.open()
    with trio.fail_after(PATIENCE):
        ending = await run_surviving(folder, gated.command, stop=trio.Event(), grace=1)
    assert isinstance(ending.outcome, Returned)
    assert ending.outcome.value["stdout"] == "before\nafter\n"


async def test_one_that_ended_while_nobody_looked_is_finished(
    tmp_path: Path, folder: Path, ear: Ear, gated: Gated
) -> None:
    with script(tmp_path / "parent.py", PARENT, str(folder), gated.command.argv[2]) as parent:
        pid = int(await ear.line())
        identity = identity_in(folder)
        parent.kill()
        await trio.to_thread.run_sync(parent.wait)
    gated.open()
    await wait_gone(pid)
    await wait_gone(identity.keeper.pid)
    found = await attach(folder)
    assert isinstance(found, Finished)
    assert found.exited.exit_code == 4


async def test_a_cancel_leaves_it_running(folder: Path, ear: Ear, gated: Gated) -> None:
    async with trio.open_nursery() as nursery:

        async def task() -> None:
            await run_surviving(folder, gated.command, stop=trio.Event(), grace=1)

        nursery.start_soon(task)
        await ear.line()
        nursery.cancel_scope.cancel()
    assert isinstance(await attach(folder), Attached)
    gated.open()
    await ended(folder)


async def test_a_stop_ends_it_and_its_end_is_recorded(folder: Path, ear: Ear, gated: Gated) -> None:
    request = trio.Event()
    endings: list[Ending] = []

    async def task() -> None:
        endings.append(await run_surviving(folder, gated.command, stop=request, grace=PATIENCE))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        pid = int(await ear.line())
        request.set()
    (ending,) = endings
    assert ending.outcome == Unfinished()
    assert ending.halt is not None
    assert ending.halt.how is StopHow.TERMINATED
    assert is_gone(pid)
    assert (await ended(folder)).exited.exit_code == -15


async def test_one_that_ignores_sigterm_is_killed_with_its_group(folder: Path, ear: Ear) -> None:
    text = f"trap '' TERM; sleep 3600 & echo $! > {ear.path}; while true; do sleep 1; done"
    identity = await start(folder, Command(["sh", "-c", text]))
    child = int(await ear.line())
    halt = await stop(identity, 0.1)
    assert halt.how is StopHow.KILLED
    assert (await ended(folder)).exited.exit_code == -9
    await wait_gone(child)


async def test_a_number_that_belongs_to_somebody_else_is_neither_waited_for_nor_killed(
    folder: Path, ear: Ear
) -> None:
    identity = await start(folder, Command(["true"]))
    await ended(folder)
    (folder / EXIT).unlink()
    innocent = await trio.lowlevel.open_process(["sleep", "3600"], start_new_session=True)
    try:
        process = {"pid": innocent.pid, "started": identity.command.started}
        record = {
            "boot": identity.boot,
            "group": innocent.pid,
            "command": process,
            "keeper": process,
        }
        (folder / IDENTITY).write_text(json.dumps(record))
        doctored = identity_in(folder)
        assert not lives(doctored.command)
        found = await attach(folder)
        assert isinstance(found, Gone)
        with trio.fail_after(PATIENCE):
            assert (await stop(doctored, 0)).how is StopHow.STOPPED
            await wait_end(doctored.command)
            assert await wait(Attached(folder, doctored)) == found
        assert innocent.poll() is None
    finally:
        innocent.kill()
        await innocent.wait()


async def test_after_a_restart_of_the_machine_only_the_record_counts(
    folder: Path, ear: Ear, gated: Gated
) -> None:
    identity = await start(folder, gated.command)
    await ear.line()
    record = json.loads((folder / IDENTITY).read_text())
    (folder / IDENTITY).write_text(json.dumps({**record, "boot": "another"}))
    found = await attach(folder)
    assert found == Gone("the machine was restarted while it ran")
    assert (await stop(identity_in(folder), 0)).how is StopHow.STOPPED
    gated.open()
    await wait_gone(identity.keeper.pid)
    assert isinstance(await attach(folder), Finished)


async def test_one_whose_keeper_was_killed_is_waited_for_and_its_end_unknown(
    folder: Path, ear: Ear, gated: Gated
) -> None:
    identity = await start(folder, gated.command)
    pid = int(await ear.line())
    os.kill(identity.keeper.pid, 9)
    await wait_gone(identity.keeper.pid)
    found = await attach(folder)
    assert isinstance(found, Attached)
    gated.open()
    with trio.fail_after(PATIENCE):
        gone = await wait(found)
    assert isinstance(gone, Gone)
    await wait_gone(pid)
    ending = await run_surviving(folder, gated.command, stop=trio.Event(), grace=1)
    assert isinstance(ending.outcome, Lost)
    assert ending.outcome.error.type == "CommandLost"


async def test_a_keeper_outlives_what_a_service_manager_sends_to_all(
    folder: Path, ear: Ear, gated: Gated
) -> None:
    identity = await start(folder, gated.command)
    await ear.line()
    for number in (1, 2, 15):
        os.kill(identity.keeper.pid, number)
    os.kill(identity.command.pid, 15)
    assert (await ended(folder)).exited.exit_code == -15


async def test_a_record_that_makes_no_sense_says_nothing(folder: Path) -> None:
    identity = await start(folder, Command(["true"]))
    await ended(folder)
    # Until its keeper has ended a record could still come.
    with trio.fail_after(PATIENCE):
        await wait_end(identity.keeper)
    (folder / EXIT).write_text("{}")
    assert isinstance(await attach(folder), Gone)


async def test_a_program_that_is_not_there_is_how_it_ended(folder: Path) -> None:
    ending = await run_surviving(folder, Command(["no-such-program"]), stop=trio.Event(), grace=1)
    assert isinstance(ending.outcome, Raised)
    assert ending.outcome.error.type == "CommandNotStarted"
    words = "[Errno 2] No such file or directory: 'no-such-program'"
    assert words in ending.outcome.error.message


@pytest.fixture
def old_folder(folder: Path) -> Path:
    """A folder that is there, with nothing in it."""
    folder.mkdir(parents=True)
    return folder


async def test_a_folder_that_is_there_already_starts_nothing(old_folder: Path) -> None:
    with pytest.raises(NotStarted, match="File exists"):
        await start(old_folder, Command(["true"]))


async def test_a_start_that_did_not_come_far_is_called_off_for_ever(
    old_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = old_folder
    assert isinstance(await attach(folder), Gone)
    # The keeper of that start, had it only been slow.
    monkeypatch.setattr("triphase.processes.surviving._make_folder", Path)
    touch = folder / "touched"
    with pytest.raises(NotStarted, match="File exists"):
        await start(folder, Command(["touch", str(touch)]))
    assert isinstance(await attach(folder), Gone)
    assert not touch.exists()


async def test_a_start_whose_keeper_dies_without_a_word_is_told_by_its_identity(
    folder: Path, ear: Ear, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def introduce(process: trio.Process, spec: bytes) -> str:
        await _introduce(process, spec)
        return ""

    monkeypatch.setattr("triphase.processes.surviving._introduce", introduce)
    identity = await start(folder, gated.command)
    assert identity.command.pid == int(await ear.line())
    gated.open()
    await ended(folder)

    async def kill(process: trio.Process, spec: bytes) -> str:
        process.kill()
        await process.wait()
        return ""

    monkeypatch.setattr("triphase.processes.surviving._introduce", kill)
    other = folder.with_name("other")
    ending = await run_surviving(other, gated.command, stop=trio.Event(), grace=1)
    assert isinstance(ending.outcome, Raised)
    assert ending.outcome.error.message == "sh: cannot be started: its keeper died"


async def test_a_stop_before_the_start_starts_nothing(folder: Path) -> None:
    request = trio.Event()
    request.set()
    ending = await run_surviving(folder, Command(["true"]), stop=request, grace=1)
    assert ending == Ending(Unfinished(), Halt(StopHow.STOPPED, 0.0))
    assert await attach(folder) == Gone("it was never started")


async def test_a_folder_that_cannot_be_read_is_an_error_of_its_own(
    folder: Path, ear: Ear, gated: Gated
) -> None:
    await start(folder, gated.command)
    await ear.line()
    found = await attach(folder)

    async def task() -> None:
        with pytest.raises(IsADirectoryError):
            await attend(found, gated.command, trio.Event(), grace=1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        await wait_all_tasks_blocked()
        (folder / IDENTITY).unlink()
        (folder / IDENTITY).mkdir()
        gated.open()


async def test_the_folders_are_durable_before_the_command_begins(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr("triphase.processes.keeper.sync_folder", synced.append)
    await start(folder, Command(["true"]))
    assert synced == [str(folder.parent), str(folder.parents[1])]
    await start(folder.with_name("another"), Command(["true"]))
    assert synced[2:] == [str(folder.parent)]
    await ended(folder)
    await ended(folder.with_name("another"))


async def test_its_output_is_bounded_on_disk_too(folder: Path) -> None:
    text = "echo first; head -c 3000000 /dev/zero; echo last; head -c 100 /dev/zero >&2"
    command = Command(["sh", "-c", text], output_bytes_max=20)
    with trio.fail_after(PATIENCE):
        ending = await run_surviving(folder, command, stop=trio.Event(), grace=1)
    assert isinstance(ending.outcome, Returned)
    value = ending.outcome.value
    dropped = 6 + 3_000_000 + 5 - 20
    assert value["stdout"] == f"first\n{chr(0) * 4}\n[{dropped} bytes dropped]\n{chr(0) * 5}last\n"
    assert value["dropped"] == dropped + 80
    assert size_of(folder) < 500_000


def size_of(folder: Path) -> int:
    """Return how many bytes the files of a folder have."""
    return sum(path.stat().st_size for path in folder.iterdir())


async def test_it_is_fed_and_has_the_environment_and_folder_it_was_given(
    folder: Path, tmp_path: Path
) -> None:
    command = Command(
        ["sh", "-c", "cat | wc -c; pwd; echo $A"],
        stdin=b"x" * 300_000,
        cwd=tmp_path,
        env={"A": "1", "PATH": os.environ["PATH"]},
    )
    with trio.fail_after(PATIENCE):
        ending = await run_surviving(folder, command, stop=trio.Event(), grace=1)
    assert isinstance(ending.outcome, Returned)
    value: dict[str, Any] = ending.outcome.value
    assert value["stdout"].split() == ["300000", str(tmp_path), "1"]


async def test_signals_are_not_ignored_by_the_command_though_they_are_by_its_keeper(
    folder: Path,
) -> None:
    command = Command(["sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status"])
    await start(folder, command)
    lines = (await ended(folder)).exited.stdout.text().split()
    # Signals of the C library itself are left as they were: no program can set them.
    settable = sum(1 << number - 1 for number in signal.valid_signals())
    assert [int(mask, 16) & settable for mask in lines[1::2]] == [0, 0]
