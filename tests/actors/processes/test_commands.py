"""External commands: run without a shell, read to the end in bounded memory, and stopped."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import triphase
from triphase.endings import Ending, Raised, Returned, Unfinished
from triphase.external import Command, CommandResult
from triphase.processes import run_command
from triphase.processes.exits import Exited, Output, outcome_of_exit
from triphase_protocol import VALUE_BYTES_MAX, StopHow, structure
from triphase_protocol.values import encode

from .conftest import PATIENCE, Ear, is_gone, wait_gone

pytestmark = pytest.mark.slow


async def run(*argv: str, grace: float = PATIENCE, **options: Any) -> Ending:
    """Run a command to its end."""
    with trio.fail_after(PATIENCE):
        return await run_command(Command(argv, **options), stop=trio.Event(), grace=grace)


def python(text: str) -> tuple[str, ...]:
    """Return the command line of a Python program."""
    return (sys.executable, "-I", "-S", "-c", text)


def value_of(ending: Ending) -> dict[str, Any]:
    """Return the result of a command that went well."""
    assert isinstance(ending.outcome, Returned)
    value: dict[str, Any] = ending.outcome.value
    return value


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "a list of the program and its arguments"),
        ([""], "a list of the program and its arguments"),
        ("ls -l", "no shell"),
        (b"ls", "no shell"),
        (["ls", 1], r"argv\[1\] is 1, not a string"),
        ([b"ls"], r"argv\[0\] is b'ls'"),
        (["ls", "a\0b"], r"argv\[1\] holds a NUL"),
    ],
)
def test_what_is_no_command_line_is_refused(argv: Any, words: str) -> None:
    with pytest.raises(triphase.InvalidValue, match=words):
        Command(argv)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"env": {"A": 1}}, r"env\['A'\] is 1; both must be strings"),
        ({"env": {"A=B": "1"}}, "not something an environment can hold"),
        ({"stdin": "text"}, "stdin is str, not bytes"),
        ({"ok_codes": []}, "at least one exit code"),
        ({"output_bytes_max": -1}, "output_bytes_max=-1 must be from 0"),
        ({"output_bytes_max": VALUE_BYTES_MAX}, "must be from 0 to 2,097,152"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(triphase.InvalidValue, match=words):
        Command(["ls"], **options)


def test_a_command_does_not_show_what_may_be_secret() -> None:
    shown = repr(Command(["ls"], env={"TOKEN": "secret"}, stdin=b"secret"))
    assert "secret" not in shown


async def test_the_result_says_all_of_how_it_ended() -> None:
    value = value_of(await run("sh", "-c", "echo out; echo err >&2; pwd", cwd="/"))
    assert structure(value, CommandResult).stdout == "out\n/\n"
    assert value.pop("seconds") > 0
    assert value == {"exit_code": 0, "stdout": "out\n/\n", "stderr": "err\n", "dropped": 0}


async def test_arguments_reach_the_program_as_they_are() -> None:
    assert value_of(await run("echo", "$HOME; 'a  b' *"))["stdout"] == "$HOME; 'a  b' *\n"


async def test_an_environment_is_the_whole_of_it() -> None:
    ending = await run("env", env={"A": "1", "PATH": os.environ["PATH"]})
    assert value_of(ending)["stdout"] == f"A=1\nPATH={os.environ['PATH']}\n"


@pytest.mark.parametrize(
    ("argv", "options"), [(["no-such-program"], {}), (["ls"], {"cwd": "/no/such/folder"})]
)
async def test_what_cannot_be_started_is_data(argv: list[str], options: dict[str, Any]) -> None:
    outcome = (await run(*argv, **options)).outcome
    assert isinstance(outcome, Raised)
    assert outcome.error.type == "CommandNotStarted"
    assert "No such file or directory" in outcome.error.message


async def test_a_wrong_exit_code_is_an_error_with_the_last_words() -> None:
    outcome = (await run("sh", "-c", "echo first >&2; echo last >&2; exit 3")).outcome
    assert isinstance(outcome, Raised)
    assert (outcome.error.type, outcome.error.message) == ("CommandFailed", "sh: exit code 3: last")
    assert outcome.error.traceback == "first\nlast"
    assert value_of(await run("sh", "-c", "exit 3", ok_codes=[0, 3]))["exit_code"] == 3


async def test_a_signal_is_an_error_that_names_it() -> None:
    outcome = (await run("sh", "-c", "kill -SEGV $$")).outcome
    assert isinstance(outcome, Raised)
    assert outcome.error.message == "sh: killed by SIGSEGV"


async def test_stdin_is_fed_and_need_not_be_read() -> None:
    assert value_of(await run("cat"))["stdout"] == ""
    assert value_of(await run("wc", "-c", stdin=b"x" * 999_999))["stdout"].strip() == "999999"
    assert value_of(await run("true", stdin=b"x" * 999_999))["exit_code"] == 0


async def test_a_flood_of_output_is_read_to_the_end_and_its_ends_are_kept() -> None:
    text = "import os\nfor fd in (1, 2): os.write(fd, b'first\\n')\n"
    text += "for _ in range(80):\n    for fd in (1, 2): os.write(fd, b'x' * 65536)\n"
    text += "for fd in (1, 2): os.write(fd, b'last\\n')"
    value = value_of(await run(*python(text), output_bytes_max=20))
    for stream in ("stdout", "stderr"):
        assert value[stream] == "first\nxxxx\n[5242871 bytes dropped]\nxxxxxlast\n"
    assert value["dropped"] == 2 * 5_242_871


async def test_output_that_is_no_text_still_makes_a_result_that_can_be_stored() -> None:
    value = value_of(await run("head", "-c", "2000000", "/dev/zero", output_bytes_max=2**20))
    assert len(encode(value)) < VALUE_BYTES_MAX
    assert value["dropped"] > 2_000_000 - 2**20
    value = value_of(await run(*python("import os; os.write(1, b'\\xff\\xfe')")))
    assert value["stdout"] == "\ufffd\ufffd"


async def test_a_command_that_is_stopped_is_terminated_with_its_group(ear: Ear) -> None:
    stop = trio.Event()
    command = Command(["sh", "-c", f"sleep 3600 & echo $$ $! > {ear.path}; wait"])
    async with trio.open_nursery() as nursery:
        endings: list[Ending] = []

        async def task() -> None:
            endings.append(await run_command(command, stop=stop, grace=PATIENCE))

        nursery.start_soon(task)
        shell, child = map(int, (await ear.line()).split())
        stop.set()
    (ending,) = endings
    assert ending.outcome == Unfinished()
    assert ending.halt is not None
    assert ending.halt.how is StopHow.TERMINATED
    assert is_gone(shell)
    await wait_gone(child)


async def test_a_command_that_ignores_sigterm_is_killed(ear: Ear) -> None:
    stop = trio.Event()
    text = f"trap '' TERM; echo $$ > {ear.path}; while true; do sleep 1; done"
    async with trio.open_nursery() as nursery:
        endings: list[Ending] = []

        async def task() -> None:
            command = Command(["sh", "-c", text])
            endings.append(await run_command(command, stop=stop, grace=0.1))

        nursery.start_soon(task)
        pid = int(await ear.line())
        stop.set()
    (ending,) = endings
    assert ending.halt is not None
    assert ending.halt.how is StopHow.KILLED
    assert is_gone(pid)


async def test_what_a_command_writes_while_it_stops_is_read(ear: Ear) -> None:
    stop = trio.Event()
    text = "import os, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [15])\n"
    text += f"open({ear.path!r}, 'w').write('ready\\n')\nsignal.sigwait([15])\n"
    text += "for _ in range(50): os.write(1, b'x' * 65536)"
    async with trio.open_nursery() as nursery:
        endings: list[Ending] = []

        async def task() -> None:
            command = Command(python(text), output_bytes_max=0)
            endings.append(await run_command(command, stop=stop, grace=PATIENCE))

        nursery.start_soon(task)
        await ear.line()
        stop.set()
    (ending,) = endings
    assert value_of(ending)["dropped"] == 50 * 65536
    assert ending.halt is not None
    assert ending.halt.how is StopHow.TERMINATED


async def test_a_cancel_returns_when_the_command_is_gone(ear: Ear) -> None:
    pid = 0
    with trio.fail_after(PATIENCE), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, "sh", "-c", f"echo $$ > {ear.path}; exec sleep 3600")
            pid = int(await ear.line())
            scope.cancel()
    assert pid
    assert is_gone(pid)


async def test_what_a_command_left_in_its_group_is_killed(ear: Ear) -> None:
    await run("sh", "-c", f"sleep 3600 & echo $! > {ear.path}")
    await wait_gone(int(await ear.line()))


async def test_a_daemon_that_holds_the_pipes_keeps_nobody_waiting(ear: Ear, tmp_path: Path) -> None:
    own = tmp_path / "own"
    daemon = f"echo $$ > {own}; exec sleep 3600"
    text = f"mkfifo {own}; setsid -f sh -c '{daemon}'; read x < {own}; echo $x > {ear.path}"
    ending = await run("sh", "-c", text)
    # It has left the group, and so our reach.
    os.kill(int(await ear.line()), 9)
    assert value_of(ending)["exit_code"] == 0


async def test_a_stop_before_the_start_starts_nothing() -> None:
    stop = trio.Event()
    stop.set()
    ending = await run_command(Command(["no-such-program"]), stop=stop, grace=1)
    assert ending.outcome == Unfinished()


def test_output_is_cut_at_both_ends() -> None:
    whole = Output(b"abcdef", b"", 6)
    assert whole.cut(6) == whole
    assert whole.cut(4) == Output(b"ab", b"ef", 6)
    assert whole.cut(3) == Output(b"a", b"ef", 6)
    assert whole.cut(0) == Output(b"", b"", 6)
    assert Output(b"ab", b"yz", 9).cut(3) == Output(b"a", b"yz", 9)
    assert Output(b"ab", b"yz", 9).cut(2) == Output(b"a", b"z", 9)


def test_the_exit_code_decides() -> None:
    nothing = Output(b"", b"", 0)
    exited = Exited(exit_code=1, stdout=nothing, stderr=nothing, seconds=1.0)
    assert isinstance(outcome_of_exit(Command(["x"]), exited), Raised)
    assert isinstance(outcome_of_exit(Command(["x"], ok_codes=[1]), exited), Returned)
