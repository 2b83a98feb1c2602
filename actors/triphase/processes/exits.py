"""What a command wrote and how it exited, and what that means."""

from __future__ import annotations

from typing import Final

import attrs

from triphase.endings import Raised, Returned, ended_by
from triphase.external import Command, CommandResult
from triphase_protocol import VALUE_BYTES_MAX, ErrorRecord, Json, unstructure
from triphase_protocol.values import encode

from .captured import Captured, text_of

WORDS_MOST: Final = 8_000
"""The most characters of a failed command's stderr that are kept in the error."""

RESULT_BYTES_MAX: Final = VALUE_BYTES_MAX - 1024
"""The most bytes of JSON that a command's result takes; a phase's result may take no more."""


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
