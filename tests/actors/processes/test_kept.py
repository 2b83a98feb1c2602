"""The surviving commands of one store: found by whose they are, by whoever comes next."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from triphase.endings import Ending, Halt, Lost, Raised, Returned, Unfinished
from triphase.external import Command
from triphase.processes import KeptCommand, KeptCommands
from triphase.processes.found import identity_in
from triphase.processes.keeper import IDENTITY
from triphase_protocol import StopHow

from .conftest import PATIENCE, Ear, Gated, is_gone, wait_gone
from .scripts import script

pytestmark = pytest.mark.slow

OWNER = KeptCommand("job", 1, 4)
NAME = "job.1.4"
"""The folder of that owner."""

TRUE = Command(["true"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the commands go; not there yet."""
    return tmp_path / "state" / "commands"


@pytest.fixture
def commands(folder: Path) -> KeptCommands:
    """The commands of a store."""
    return KeptCommands(folder)


async def run(
    commands: KeptCommands, command: Command, *, owner: KeptCommand = OWNER, grace: float = PATIENCE
) -> Ending:
    """Run a command to its end."""
    with trio.fail_after(PATIENCE):
        return await commands.run(owner, command, stop=trio.Event(), grace=grace)


async def leave(commands: KeptCommands, command: Command, ear: Ear) -> str:
    """Start a command, and leave it when it has spoken; return what it said."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: run(commands, command))
        said = await ear.line()
        nursery.cancel_scope.cancel()
    return said


def stdout_of(ending: Ending) -> str:
    """Return what a command wrote that went well."""
    assert isinstance(ending.outcome, Returned)
    written: str = ending.outcome.value["stdout"]
    return written


def stubborn(ear: Ear) -> Command:
    """Return a command that ignores SIGTERM, and says its number and that of its child."""
    text = f"trap '' TERM; sleep 3600 & echo $$ $! > {ear.path}; while true; do sleep 1; done"
    return Command(["sh", "-c", text])


async def test_an_end_can_be_asked_for_until_it_is_discarded(
    commands: KeptCommands, ear: Ear
) -> None:
    command = Command(["sh", "-c", f"echo here; echo once > {ear.path}"])
    ending = await run(commands, command)
    assert stdout_of(ending) == "here\n"
    assert await ear.line() == "once"
    # It is not started again: this is the end of the same.
    assert await run(commands, command) == ending
    assert await commands.list() == [OWNER]
    assert not await commands.lives(OWNER)
    await commands.discard(OWNER)
    assert await commands.list() == []
    await commands.discard(OWNER)


async def test_a_second_run_attaches_to_the_command_of_the_first(
    commands: KeptCommands, ear: Ear, gated: Gated
) -> None:
    pid = int(await leave(commands, gated.command, ear))
    assert await commands.lives(OWNER)
    gated.open()
    # With another command it would be seen if it were started.
    ending = await run(commands, attrs.evolve(gated.command, argv=("no-such-program",)))
    assert stdout_of(ending) == "before\nafter\n"
    await wait_gone(pid)


async def test_two_runs_at_the_same_moment_start_one_command(
    commands: KeptCommands, ear: Ear, gated: Gated
) -> None:
    endings: list[Ending] = []

    async def task() -> None:
        endings.append(await run(commands, gated.command))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        nursery.start_soon(task)
        await ear.line()
        gated.open()
    # Another one would wait at the gate.
    assert endings[0] == endings[1]
    assert stdout_of(endings[0]) == "before\nafter\n"


async def test_a_look_meets_no_half_of_a_start(
    commands: KeptCommands, ear: Ear, gated: Gated
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: run(commands, gated.command))
        while not await commands.list():
            await trio.lowlevel.checkpoint()
        assert await commands.lives(OWNER)
        await ear.line()
        gated.open()


PARENT = """
import sys, trio
from triphase.external import Command
from triphase.processes import KeptCommand, KeptCommands

async def main():
    commands = KeptCommands(sys.argv[1])
    async with trio.open_nursery() as nursery:
        for phase, text in enumerate(sys.argv[2:], 1):
            command = Command(["sh", "-c", text])
            nursery.start_soon(run, commands, KeptCommand("job", phase, 4), command)

async def run(commands, owner, command):
    await commands.run(owner, command, stop=trio.Event(), grace=1)

trio.run(main)
"""


async def test_after_a_kill_of_the_runtime_the_next_finds_what_it_left(
    tmp_path: Path, folder: Path, commands: KeptCommands, ear: Ear, gated: Gated
) -> None:
    short = f"echo short > {ear.path}; echo done"
    texts = [gated.command.argv[2], short]
    with script(tmp_path / "parent.py", PARENT, str(folder), *texts) as parent:
        heard = {await ear.line(), await ear.line()}
        keeper = identity_in(folder / "job.2.4").keeper.pid
        await wait_gone(keeper)
        parent.kill()
        await trio.to_thread.run_sync(parent.wait)
    (pid,) = heard - {"short"}
    other = KeptCommand("job", 2, 4)
    assert await commands.list() == [OWNER, other]
    assert await commands.lives(OWNER)
    assert not await commands.lives(other)
    assert stdout_of(await run(commands, Command(["sh"]), owner=other)) == "done\n"
    assert await commands.end(OWNER, PATIENCE) is StopHow.TERMINATED
    assert is_gone(int(pid))
    await commands.discard(other)
    assert await commands.list() == []


STRANGE = [
    *("", ".", "..", "/", "a/b", "../../etc", "a\0b", "a\nb", " ", "Aa", "aa", "AA"),
    *("job.1.4", ".1.4", "%2f", "%", "é", "日本", "\udcff", "\ud83d\ude00", "😀"),
    *("~", "-", "*", "x" * 240),
]


async def test_any_id_has_a_folder_of_its_own_in_the_folder(
    folder: Path, commands: KeptCommands
) -> None:
    owners = [KeptCommand(id, 12, 7) for id in STRANGE]

    async def task(owner: KeptCommand) -> None:
        await run(commands, TRUE, owner=owner)

    async with trio.open_nursery() as nursery:
        for owner in owners:
            nursery.start_soon(task, owner)
    found = await commands.list()
    assert len(found) == len(STRANGE)
    assert set(found) == set(owners)
    names = os.listdir(folder)
    assert len({name.casefold() for name in names}) == len(STRANGE)
    assert os.listdir(folder.parent) == ["commands"]
    for owner in found:
        await commands.discard(owner)
    assert os.listdir(folder) == []


async def test_what_others_have_put_there_is_left_alone(
    folder: Path, commands: KeptCommands, tmp_path: Path
) -> None:
    assert await commands.list() == []
    await run(commands, TRUE)
    foreign = [
        *("notes", "job", "job.1", "job.1.04", "Job.1.4", "a/b.1.4", ".job.1.4", "job.-1.4"),
        *("%61.1.4", "%zz.1.4", "%ff.1.4", "%2.1.4", "job.1.4.5", "job.\u0661.4", ".removed-x"),
    ]
    for name in foreign:
        (folder / name).mkdir(parents=True)
    (folder / "file.1.4").write_text("not a folder")
    (folder / "link.1.4").symlink_to(tmp_path, target_is_directory=True)
    before = sorted(os.listdir(folder))
    assert await commands.list() == [OWNER]
    await commands.end(OWNER, 0)
    assert await commands.list() == []
    assert sorted(os.listdir(folder)) == [name for name in before if name != NAME]


async def test_one_that_ignores_sigterm_is_killed_and_ended_once(
    folder: Path, commands: KeptCommands, ear: Ear
) -> None:
    pids = (await leave(commands, stubborn(ear), ear)).split()
    assert await commands.end(OWNER, 0.05) is StopHow.KILLED
    for pid in pids:
        await wait_gone(int(pid))
    assert os.listdir(folder) == []
    assert await commands.end(OWNER, 0.05) is StopHow.NOTHING_RAN


async def test_two_ends_at_the_same_moment_are_one_after_the_other(
    commands: KeptCommands, ear: Ear, gated: Gated
) -> None:
    await leave(commands, gated.command, ear)
    ends: list[StopHow] = []

    async def task() -> None:
        ends.append(await commands.end(OWNER, PATIENCE))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        nursery.start_soon(task)
    assert ends == [StopHow.TERMINATED, StopHow.NOTHING_RAN]


async def test_a_cancel_of_an_end_waits_for_it(
    folder: Path, commands: KeptCommands, ear: Ear
) -> None:
    pid, _ = (await leave(commands, stubborn(ear), ear)).split()
    with trio.fail_after(PATIENCE), trio.CancelScope() as scope:
        scope.cancel()
        assert await commands.end(OWNER, 0.05) is StopHow.KILLED
    assert is_gone(int(pid))
    assert os.listdir(folder) == []


async def test_a_run_after_an_end_starts_anew(
    commands: KeptCommands, ear: Ear, gated: Gated
) -> None:
    first = await leave(commands, gated.command, ear)
    endings: list[Ending] = []

    async def task() -> None:
        endings.append(await run(commands, gated.command))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commands.end, OWNER, PATIENCE)
        await wait_all_tasks_blocked()
        nursery.start_soon(task)
        assert await ear.line() != first
        gated.open()
    assert stdout_of(endings[0]) == "before\nafter\n"


async def test_an_end_while_a_run_waits_takes_the_command_away_from_it(
    commands: KeptCommands, ear: Ear, gated: Gated
) -> None:
    endings: list[Ending] = []

    async def task() -> None:
        endings.append(await run(commands, gated.command))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        await ear.line()
        assert await commands.end(OWNER, PATIENCE) is StopHow.TERMINATED
    assert isinstance(endings[0].outcome, Raised | Lost)
    assert endings[0].halt is None


async def test_a_stop_stops_it_and_its_end_can_be_asked_for(
    commands: KeptCommands, ear: Ear
) -> None:
    endings: list[Ending] = []
    request = trio.Event()

    async def task() -> None:
        endings.append(await commands.run(OWNER, stubborn(ear), stop=request, grace=0.05))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        await ear.line()
        request.set()
    assert endings[0].outcome == Unfinished()
    assert endings[0].halt is not None
    assert endings[0].halt.how is StopHow.KILLED
    assert await commands.list() == [OWNER]
    assert not await commands.lives(OWNER)


async def test_a_stop_before_the_start_starts_nothing(commands: KeptCommands) -> None:
    request = trio.Event()
    request.set()
    ending = await commands.run(OWNER, TRUE, stop=request, grace=1)
    assert ending == Ending(Unfinished(), Halt(StopHow.STOPPED, 0.0))
    assert await commands.list() == []


async def test_a_start_that_was_cut_short_is_lost_until_it_is_discarded(
    folder: Path, commands: KeptCommands
) -> None:
    (folder / NAME).mkdir(parents=True)
    assert await commands.list() == [OWNER]
    assert not await commands.lives(OWNER)
    ending = await run(commands, TRUE)
    assert isinstance(ending.outcome, Lost)
    assert ending.outcome.error.type == "CommandLost"
    await commands.discard(OWNER)
    assert isinstance((await run(commands, TRUE)).outcome, Returned)


async def test_one_that_was_killed_with_its_keeper_is_lost(
    folder: Path, commands: KeptCommands, ear: Ear, gated: Gated
) -> None:
    await leave(commands, gated.command, ear)
    identity = identity_in(folder / NAME)
    for process in (identity.keeper, identity.command):
        os.kill(process.pid, 9)
        await wait_gone(process.pid)
    assert not await commands.lives(OWNER)
    assert isinstance((await run(commands, gated.command)).outcome, Lost)
    assert await commands.end(OWNER, 0) is StopHow.NOTHING_RAN
    assert await commands.list() == []


async def test_a_removal_that_was_cut_short_is_gone_on_with(
    folder: Path, commands: KeptCommands
) -> None:
    # As it is when we are killed between its two steps, twice.
    for name in (f".removed-{NAME}", ".removed-other.1.4"):
        (folder / name).mkdir(parents=True)
        (folder / name / IDENTITY).write_text("{}")
    await run(commands, TRUE)
    await commands.discard(OWNER)
    assert os.listdir(folder) == [".removed-other.1.4"]
    assert await commands.list() == []
    assert os.listdir(folder) == []


async def test_one_that_lives_is_not_discarded(
    commands: KeptCommands, ear: Ear, gated: Gated, caplog: pytest.LogCaptureFixture
) -> None:
    await leave(commands, gated.command, ear)
    await commands.discard(OWNER)
    assert "command of job job is not discarded: it runs" in caplog.text
    assert await commands.lives(OWNER)
    await commands.end(OWNER, PATIENCE)


async def test_one_that_is_stuck_in_the_kernel_is_not_forgotten(
    commands: KeptCommands, ear: Ear, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stop(identity: object, grace: float) -> Halt:
        await trio.lowlevel.checkpoint()
        return Halt(StopHow.ABANDONED, grace)

    await leave(commands, gated.command, ear)
    with monkeypatch.context() as patched:
        patched.setattr("triphase.processes.kept.stop_command", stop)
        assert await commands.end(OWNER, 0) is StopHow.ABANDONED
    assert await commands.list() == [OWNER]
    assert await commands.end(OWNER, PATIENCE) is StopHow.TERMINATED


async def test_a_folder_that_cannot_be_read_is_an_error_and_stays(
    folder: Path, commands: KeptCommands, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / NAME / IDENTITY).mkdir(parents=True)
    for call in (
        lambda: commands.lives(OWNER),
        lambda: commands.end(OWNER, 0),
        lambda: run(commands, TRUE),
    ):
        with pytest.raises(IsADirectoryError):
            await call()
    await commands.discard(OWNER)
    assert "command of job job is not discarded: [Errno 21]" in caplog.text
    assert await commands.list() == [OWNER]


async def test_without_a_place_for_files_a_command_runs_and_does_not_survive(ear: Ear) -> None:
    commands = KeptCommands(None)
    assert stdout_of(await run(commands, Command(["echo", "here"]))) == "here\n"
    pid = int(await leave(commands, Command(["sh", "-c", f"echo $$ > {ear.path}; cat"]), ear))
    assert is_gone(pid)
    assert not await commands.lives(OWNER)
    assert await commands.list() == []
    assert await commands.end(OWNER, 0) is StopHow.NOTHING_RAN
    await commands.discard(OWNER)
