"""An external command as a value: what a phase of `@command` returns, and what it leaves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from triphase_protocol import VALUE_BYTES_MAX, InvalidValue


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
