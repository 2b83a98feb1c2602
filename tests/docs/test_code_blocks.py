"""What the documentation shows is what a reader gets: every code block is run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .blocks import blocks_of, commands_of, run_page, runs_of

ROOT = Path(__file__).parents[2]

SKIPS_MAX = 2
"""The README's two set-up commands, which cannot run here: `.ci/run` runs them."""


def pages() -> list[str]:
    """Return the pages of the documentation, by their path from the root."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page.relative_to(ROOT).as_posix() for page in found if "_build" not in page.parts]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", pages())
def test_every_block_of_the_page_runs(page: str, tmp_path: Path) -> None:
    failure = run_page((ROOT / page).read_text("utf-8"), tmp_path)
    assert not failure, f"{page}, {failure}"


def test_only_the_set_up_in_the_readme_is_skipped() -> None:
    skipped = [
        f"{page}:{block.line}: {block.skip}"
        for page in pages()
        for block in blocks_of((ROOT / page).read_text("utf-8"))
        if block.skip is not None
    ]
    assert len(skipped) <= SKIPS_MAX, "\n".join(skipped)
    assert all(place.startswith("README.md:") for place in skipped), "\n".join(skipped)


# How blocks are found and run


def test_a_block_is_found_in_a_list_and_in_a_directive() -> None:
    text = "- item\n\n  ```python\n  a = 1\n  ```\n\n````{note}\n\n```sh\ntrue\n```\n````\n"
    assert [(block.line, block.language, block.text) for block in blocks_of(text)] == [
        (4, "python", "a = 1\n"),
        (10, "sh", "true\n"),
    ]


def test_a_block_of_another_language_is_only_shown() -> None:
    assert not blocks_of("```\nx\n```\n```json\n{}\n```\n~~~pycon\n>>> 1\n~~~\n")


def test_the_comments_before_a_block_are_its_options() -> None:
    text = "<!-- exit: 2 -->\n<!-- skip: needs a\nnetwork -->\n\n```sh\nx\n```\n"
    [block] = blocks_of(text)
    assert (block.exit, block.skip) == (2, "needs a\nnetwork")


@pytest.mark.parametrize("comment", ["contineu", "skip:", "exit: one", "file:", "continue"])
def test_a_comment_that_means_nothing_is_refused(comment: str) -> None:
    with pytest.raises(ValueError, match="line 3: "):
        blocks_of(f"<!-- {comment} -->\n```sh\ntrue\n```\n")


def test_a_console_block_is_what_stands_after_the_prompt() -> None:
    [block] = blocks_of("```console\n$ a \\\n    --b\noutput\n$ c\n```\n")
    assert commands_of(block) == "a \\\n    --b\nc"


def test_what_a_block_prints_must_be_what_the_page_shows(tmp_path: Path) -> None:
    page = """
```python
print("one 1")
```
<!-- output -->
```text
one …
```
<!-- continue -->
```python
print("two 2", "three 3", "four 4", sep="\\n")
```
<!-- output -->
```text
two 2
…
```
"""
    assert not run_page(page, tmp_path)
    failure = run_page(page.replace("two 2\n…", "two 2\nfour 4"), tmp_path)
    assert failure
    assert failure.startswith("line 3: python block: prints another output; the page has\none …\n")
    assert "two 2\nthree 3\n" in failure


@pytest.mark.parametrize(
    "page", ["<!-- output -->\n```text\nx\n```\n", "<!-- output -->\n```sh\ntrue\n```\n"]
)
def test_an_output_that_no_block_can_have_printed_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="line 3: "):
        list(runs_of(blocks_of(page)))


def test_a_continuation_keeps_the_line_numbers_of_the_page() -> None:
    text = "```python\na = 1\n```\n\nWords.\n\n<!-- continue -->\n```python\nprint(a)\n```\n"
    [run] = runs_of(blocks_of(text))
    assert run.text.splitlines()[9 - run.line] == "print(a)"


def test_the_blocks_of_a_page_share_a_folder(tmp_path: Path) -> None:
    text = (
        "<!-- file: jobs.py -->\n```python\nA = 1\n```\n"
        "```python\nfrom jobs import A\nassert A == 1\nopen('made', 'w').close()\n```\n"
        "```console\n$ ls made\nmade\n```\n<!-- exit: 3 -->\n```sh\nexit 3\n```\n"
    )
    assert not run_page(text, tmp_path)


def test_a_failing_block_is_found_with_its_line(tmp_path: Path) -> None:
    failure = run_page("# Title\n\n```python\nx = 1\nx.nothing\n```\n", tmp_path)
    assert failure
    assert failure.startswith("line 4: python block: exit code 1, not exit code 0\n")
    assert 'block_4.py", line 5' in failure
    assert "AttributeError" in failure


def test_a_failing_command_is_found_before_the_last(tmp_path: Path) -> None:
    failure = run_page("```console\n$ false\n$ true\n```\n", tmp_path)
    assert failure
    assert failure.startswith("line 2: console block: exit code 1")


def test_what_runs_in_the_background_ends_with_the_page(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert not run_page("```sh\nexec 3> alive\nsleep 1000 &\n```\n", tmp_path)
        os.set_blocking(reader, True)
        assert os.read(reader, 1) == b""  # the end: nobody holds the other side open
    finally:
        os.close(reader)
