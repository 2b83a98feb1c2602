"""The code blocks of a Markdown page, and how a reader would run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
from markdown_it import MarkdownIt

LANGUAGES = {"console", "python", "sh"}
"""The languages whose blocks are run; every other block is only shown, unless it is output."""

ANYTHING = "…"
"""In output, stands for the rest of a line or a part of it; alone in a line, for any lines."""

SECONDS_MAX = 60
"""How long one block may run."""


@attrs.frozen(kw_only=True)
class Block:
    """One fenced block, with what the HTML comments right before it say.

    `<!-- continue -->` joins a Python block to the one before; `<!-- file: NAME -->` runs it
    under that name, for a later block to use; `<!-- exit: CODE -->` expects another exit code
    than 0; `<!-- skip: REASON -->` leaves it out. `<!-- output -->` before a block of another
    language: it is what the block before it prints.
    """

    line: int
    """The line of the page on which its text begins."""

    language: str
    text: str
    continues: bool = False
    file: str | None = None
    exit: int = 0
    skip: str | None = None
    output: str | None = None
    """What it must print, if the page shows it."""


def blocks_of(text: str) -> list[Block]:
    """Return the blocks of a page that a reader could run.

    Raises:
      ValueError: if the comment before a block is none of those that are known, so that a
        slip of the pen does not switch a check off.
    """
    return list(_blocks(text, 1))


def _blocks(text: str, first: int) -> Iterator[Block]:
    comments: list[str] = []
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "html_block":
            comments += re.findall(r"<!--\s*(.*?)\s*-->", token.content, re.DOTALL)
            continue
        if token.type == "fence" and token.map:
            language = token.info.strip().partition(" ")[0]
            line = first + token.map[0] + 1
            if language in LANGUAGES or "output" in comments:
                yield _block(line, language, token.content, comments)
            elif language.startswith("{"):  # a directive, which may hold blocks of its own
                yield from _blocks(token.content, line)
        comments = []


def _block(line: int, language: str, text: str, comments: list[str]) -> Block:
    block = Block(line=line, language=language, text=text)
    for comment in comments:
        match [part.strip() for part in comment.split(":", 1)]:
            case ["continue"] if language == "python":
                block = attrs.evolve(block, continues=True)
            case ["file", name] if language == "python" and name:
                block = attrs.evolve(block, file=name)
            case ["exit", code] if code.isdecimal():
                block = attrs.evolve(block, exit=int(code))
            case ["skip", reason] if reason:
                block = attrs.evolve(block, skip=reason)
            case ["output"] if language not in LANGUAGES:
                block = attrs.evolve(block, output=text)
            case _:
                raise ValueError(f"line {line}: a {language} block cannot have <!-- {comment} -->")
    return block


def runs_of(blocks: list[Block]) -> Iterator[Block]:
    """Yield what is run: the blocks not skipped, a block, its continuations, its output as one."""
    run: Block | None = None
    for block in (block for block in blocks if block.skip is None):
        if block.output is not None:
            if run is None:
                raise ValueError(f"line {block.line}: there is no block that could print this")
            run = attrs.evolve(run, output=(run.output or "") + block.output)
        elif not block.continues:
            if run:
                yield run
            run = block
        elif run and run.language == "python":
            # Blank lines between keep the page's line numbers in tracebacks.
            gap = block.line - run.line - run.text.count("\n")
            run = attrs.evolve(run, text=run.text + "\n" * gap + block.text, exit=block.exit)
        else:
            raise ValueError(f"line {block.line}: there is no Python block to continue")
    if run:
        yield run


def commands_of(block: Block) -> str:
    """Return the shell script that a block is: of a console, the lines after the prompt."""
    if block.language == "sh":
        return block.text
    commands: list[str] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            commands.append(line[2:])
        elif commands and commands[-1].endswith("\\"):
            commands[-1] += f"\n{line}"
    if not commands:
        raise ValueError(f"line {block.line}: a console block without a line that begins with `$ `")
    return "\n".join(commands)


def run_page(text: str, folder: Path) -> str | None:
    """Run a page's blocks in order, in an empty folder; return how the first failure went.

    What a block leaves running in the background runs to the end of the page.
    """
    with _process_groups() as groups:
        for block in runs_of(blocks_of(text)):
            if block.language == "python":
                script = folder / (block.file or f"block_{block.line}.py")
                # Blank lines before keep the page's line numbers in tracebacks.
                script.write_text("\n" * (block.line - 1) + block.text, "utf-8")
                command = [sys.executable, str(script)]
            else:
                command = ["sh", "-e", "-c", commands_of(block)]
            code, output = _run(command, folder, groups)
            if code != block.exit:
                ended = f"exit code {code}" if code is not None else f"over {SECONDS_MAX} seconds"
                what = f"line {block.line}: {block.language} block: {ended}, not exit code"
                return f"{what} {block.exit}\n{output}"
            if block.output is not None and not _is_shown(block.output, output):
                what = f"line {block.line}: {block.language} block: prints another output"
                return f"{what}; the page has\n{block.output}it is\n{output}"
    return None


def _is_shown(shown: str, output: str) -> bool:
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == ANYTHING else f"{_pattern(line)}\n"
        for line in shown.splitlines()
    )
    lines = [f"{line.rstrip()}\n" for line in output.splitlines()]
    return re.fullmatch(pattern, "".join(lines)) is not None


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, line.rstrip().split(ANYTHING)))


def _run(command: list[str], folder: Path, groups: list[int]) -> tuple[int | None, str]:
    scripts = sysconfig.get_path("scripts")
    environment = {**os.environ, "PATH": os.pathsep.join([scripts, os.environ["PATH"]])}
    # A file, not a pipe: a pipe stays open for as long as something runs in the background.
    with (folder / ".output").open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        groups.append(process.pid)
        code: int | None = None
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(SECONDS_MAX)
        output.seek(0)
        return code, output.read()


@contextmanager
def _process_groups() -> Generator[list[int]]:
    """Kill every process group in the list at the end."""
    groups: list[int] = []
    try:
        yield groups
    finally:
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
