"""What is read ahead: it comes in order, and is forgotten without harm."""

from __future__ import annotations

from triphase.hooks.ahead import Due, ReadAhead
from triphase_protocol import EventType, Hook

A, B = "https://a.example/", "https://b.example/"


def due(id: str, url: str) -> Due:
    """Something that is due."""
    hook = Hook(id=id, job="j", run=1, seq=1, event=EventType.JOB_COMPLETED, url=url)
    return Due(hook, disabled=False)


def test_it_comes_in_the_order_in_which_it_was_read() -> None:
    ahead = ReadAhead(2)
    for id, url in (("1", A), ("2", B), ("3", A)):
        ahead.add(due(id, url))
    assert ahead.ids() == {"1", "2", "3"}
    assert ahead.enough() == [A]
    assert [ahead.take(A), ahead.take(A), ahead.take(A)] == [due("1", A), due("3", A), None]
    assert (ahead.ids(), ahead.enough()) == ({"2"}, [])


def test_what_is_dropped_is_that_of_one_url() -> None:
    ahead = ReadAhead(1)
    for id, url in (("1", A), ("2", B), ("3", A)):
        ahead.add(due(id, url))
    ahead.drop(A)
    ahead.drop("https://c.example/")
    assert ahead.ids() == {"2"}
    assert ahead.take(A) is None
    assert ahead.enough() == [B]
