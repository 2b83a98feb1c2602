"""An external command as a value, and what its exit means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from triphase_protocol import VALUE_BYTES_MAX, ErrorRecord, InvalidValue, Json, unstructure
from triphase_protocol.values import encode

from .captured import Captured, text_of
from .outcomes import Raised, Returned, ended_by

WORDS_MOST: Final = 8_000
"""The most characters of a failed command's stderr that are kept in the error."""

RESULT_BYTES_MAX: Final = VALUE_BYTES_MAX - 1024
"""The most bytes of JSON that a command's result takes; a phase's result may take no more."""


def _argv(value: Iterable[str]) -> tuple[str, ...]:
    parts: tuple[Any, ...] = () if isinstance(value, str | bytes) else tuple(value)
    if not parts or parts[0] == "":
        raise InvalidValue(
            f"Command({value!r}): a list of the program and its arguments is needed, "
            "there is no shell that would take a line apart"
        )
    for index, part in enumerate(parts):
        if not isinstance(part, str):
            raise InvalidValue(f"Command: argv[{index}] is {part!r}, not a string")
        if "\0" in part:
            raise InvalidValue(f"Command: argv[{index}] holds a NUL, which no argument can")
    return parts


def _cwd(value: str | os.PathLike[str] | None) -> str | None:
    return None if value is None else os.fspath(value)


def _env(value: Mapping[str, str] | None) -> Mapping[str, str] | None:
    if value is None:
        return None
    for name, content in value.items():
        if not isinstance(name, str) or not isinstance(content, str):
            raise InvalidValue(f"Command: env[{name!r}] is {content!r}; both must be strings")
        if not name or "=" in name or "\0" in name + content:
            raise InvalidValue(f"Command: env[{name!r}] is not something an environment can hold")
    return dict(value)


def _stdin(value: bytes | None) -> bytes | None:
    if value is not None and not isinstance(value, bytes):
        raise InvalidValue(f"Command: stdin is {type(value).__name__}, not bytes")
    return value


def _codes(value: Iterable[int]) -> tuple[int, ...]:
    codes = tuple(value)
    if not codes or not all(isinstance(code, int) for code in codes):
        raise InvalidValue(f"Command: ok_codes={codes!r} must be at least one exit code")
    return codes


def _most(value: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= VALUE_BYTES_MAX // 2:
        raise InvalidValue(
            f"Command: output_bytes_max={value!r} must be from 0 to {VALUE_BYTES_MAX // 2:,}"
        )
    return value


@attrs.frozen
class Command:
    """An external command, run without a shell.

    Raises:
      InvalidValue: if it is not one that could be run.
    """

    argv: tuple[str, ...] = attrs.field(converter=_argv)
    """The program, looked up on PATH unless it has a slash, and its arguments."""

    cwd: str | None = attrs.field(default=None, converter=_cwd, kw_only=True)
    """Where it runs; None is where we do."""

    env: Mapping[str, str] | None = attrs.field(
        default=None, converter=_env, kw_only=True, repr=False
    )
    """The whole of its environment; None is ours."""

    stdin: bytes | None = attrs.field(default=None, converter=_stdin, kw_only=True, repr=False)
    """What it can read; None is nothing."""

    ok_codes: tuple[int, ...] = attrs.field(default=(0,), converter=_codes, kw_only=True)
    """The exit codes that mean success; every other is a failure."""

    output_bytes_max: int = attrs.field(default=2**20, converter=_most, kw_only=True)
    """How many bytes of stdout, and of stderr, are kept: the first half and the last half."""

    survives: bool = attrs.field(default=False, kw_only=True)
    """It goes on when the runtime ends, and is found again: see `surviving`."""


@attrs.frozen(kw_only=True)
class CommandResult:
    """What a command that went well leaves: the result of its phase."""

    exit_code: int

    stdout: str
    """What it wrote, as text; a line says where some is missing."""

    stderr: str

    dropped: int
    """How many bytes of the two are missing."""

    seconds: float
    """How long it ran."""


@attrs.frozen
class Output:
    """What is kept of one stream."""

    head: bytes
    """The first bytes."""

    tail: bytes
    """The last bytes of those that are not in *head*."""

    total: int
    """How many were written."""

    @classmethod
    def of(cls, captured: Captured) -> Output:
        """Return what was captured so far."""
        return cls(captured.head, captured.tail, captured.total)

    @property
    def dropped(self) -> int:
        """How many bytes between the two are missing."""
        return self.total - len(self.head) - len(self.tail)

    def cut(self, most: int) -> Output:
        """Return no more than *most* bytes of it: of the beginning and of the end."""
        if len(self.head) + len(self.tail) <= most:
            return self
        head, rest = self.head[: most // 2], most - most // 2
        last = self.head[most // 2 :] + self.tail if not self.dropped else self.tail
        return Output(head, last[len(last) - rest :] if rest else b"", self.total)

    def text(self) -> str:
        """Return it as text, with a line that says what is missing."""
        return text_of(self.head, self.tail, self.dropped)


@attrs.frozen(kw_only=True)
class Exited:
    """The end of a command."""

    exit_code: int
    """The exit code, or minus the signal that ended it."""

    stdout: Output
    stderr: Output

    seconds: float
    """How long it ran."""


def captures(command: Command) -> tuple[Captured, Captured]:
    """Return empty captures for stdout and stderr."""
    head, tail = halves(command.output_bytes_max)
    return Captured(head, tail), Captured(head, tail)


def halves(most: int) -> tuple[int, int]:
    """Return how many bytes are kept of the beginning and of the end."""
    return most // 2, most - most // 2


def outcome_of_exit(command: Command, exited: Exited) -> Returned | Raised:
    """Decide what the end of a command means: by its exit code alone.

    The value of a success is a `CommandResult`, as JSON.
    """
    if exited.exit_code in command.ok_codes:
        return Returned(_result(command, exited))
    words = exited.stderr.text().strip()
    last = words.rpartition("\n")[2][:500]
    message = f"{command.argv[0]}: {ended_by(exited.exit_code)}"
    return Raised(
        ErrorRecord(
            type="CommandFailed",
            message=f"{message}: {last}" if last else message,
            traceback=words[-WORDS_MOST:] or None,
        )
    )


def not_started(command: Command, why: object) -> Raised:
    """Return the outcome of a command that could not be started."""
    message = f"{command.argv[0]}: cannot be started: {why}"
    return Raised(
        ErrorRecord(
            type="CommandNotStarted",
            message=message.encode("utf-8", "backslashreplace").decode("utf-8"),
        )
    )


def _result(command: Command, exited: Exited) -> Json:
    """Return the result, with as much of the output as a result may hold."""
    most = command.output_bytes_max
    while True:
        out, err = exited.stdout.cut(most), exited.stderr.cut(most)
        result = unstructure(
            CommandResult(
                exit_code=exited.exit_code,
                stdout=out.text(),
                stderr=err.text(),
                dropped=out.dropped + err.dropped,
                seconds=round(exited.seconds, 6),
            )
        )
        # Bytes that are no text take up to six characters each.
        if len(encode(result)) <= RESULT_BYTES_MAX:
            return result
        most //= 2
