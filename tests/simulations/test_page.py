"""The picture of a failure as a page: all of it, well formed, and from nowhere else."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import attrs
import pytest

from triphase_simulations.exploring import Failure
from triphase_simulations.oracles import Violation
from triphase_simulations.page import page
from triphase_simulations.telling import regression_test

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Tags(HTMLParser):
    """Checks that every tag is closed, and keeps what it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(broken: Failure) -> str:
    """The page of the failure."""
    return page(broken, Path("found/busy-7.json"))


@pytest.fixture(scope="module")
def tags(text: str) -> Tags:
    """Its tags."""
    parser = Tags()
    parser.feed(text)
    return parser


def test_it_is_well_formed(tags: Tags) -> None:
    assert not tags.open
    ids = [values["id"] for _, values in tags.seen if "id" in values]
    assert ids == ["here"]


def test_it_needs_nothing_from_elsewhere(text: str, tags: Tags) -> None:
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in tags.seen}
    assert not re.search(r"https?:|url\(|@import|\bsrc=", text)
    assert [values["href"] for tag, values in tags.seen if tag == "a"] == ["#here"]


def test_it_reads_in_light_and_dark(text: str) -> None:
    assert "color-scheme: light dark" in text
    assert "prefers-color-scheme: dark" in text
    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    light, dark = text.split("@media", 1)
    assert all(f"{name}:" in light for name in used)
    assert all(f"{name}:" in dark for name in used)


def test_it_says_what_the_report_says(text: str, broken: Failure) -> None:
    for part in (
        broken.violation.message,
        "planted · job film0",
        "Seed 7 of busy",
        "triphase simulate replay found/busy-7.json",
        "submit film0 (Film) at 0 s",
        "dies as the scenario says",
        regression_test(broken),
    ):
        assert html.escape(part) in text
    assert text.count("<tr ") > 25


def test_nothing_that_is_told_becomes_markup(broken: Failure) -> None:
    nasty = "<script>alert('x')</script> & \"quoted\" $seed"
    violations = (Violation(nasty, None, None, None, nasty), *broken.violations)
    found = page(attrs.evolve(broken, suite=nasty, violations=violations, details=nasty))
    assert "<script" not in found
    assert html.escape(nasty) in found


def test_an_empty_history_has_a_page(broken: Failure) -> None:
    empty = attrs.evolve(broken, history=type(broken.history)(), moments=())
    assert "<tbody>" in page(empty)
