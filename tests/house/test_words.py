"""Words that have no place in this repository: one machine's paths, and what was left undone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

# Each is written so that it does not match itself.
BANNED = {
    r"(?<!\w)/(?:home|root|Users|work)/": "a path of one machine",
    r"\b(?:FIX[M]E|X{3})\b": "work left undone",
    r"^(?:<{7}|>{7}) ": "a merge left undone",
    r"\bbreakpoint\(\)": "a debugger left in",
}


def banned_words(path: str, text: str) -> list[str]:
    """Return each line that has a banned word."""
    return [
        f"{path}:{number}: {why}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, why in BANNED.items()
        if re.search(pattern, line)
    ]


def files_of(root: Path) -> list[Path]:
    """Return the files that are in the repository, or will be with the next commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True, text=True).stdout
    return [root / name for name in listed.split("\0") if name and (root / name).is_file()]


# The rule


def test_no_file_has_a_banned_word(root: Path) -> None:
    if not (root / ".git").exists():
        pytest.skip("not a git checkout: which files belong to it is not known")
    found = [
        offence
        for path in files_of(root)
        for offence in banned_words(
            path.relative_to(root).as_posix(), path.read_text("utf-8", errors="replace")
        )
    ]
    assert not found, "\n".join(found)


# The rule can fail


@pytest.mark.parametrize(
    "broken",
    [
        "/ho~me/somebody/x",
        '"/ro~ot/.x"',
        "# FIX~ME: later",
        "X~XX",
        "<<<~<<<< ours",
        "breakpoint~()",
    ],
)
def test_a_banned_word_is_found(broken: str) -> None:
    line = broken.replace("~", "")
    assert banned_words("a.py", f"fine\n{line}\n")[0].startswith("a.py:2: ")


def test_what_only_looks_alike_is_let_through() -> None:
    assert not banned_words("a.py", "docs/home/x\nXXXL\n~/.pyenv\nhttps://x.org/roots/\n== x")
