from __future__ import annotations

from triphase_simulations.oracles import Violation


def said(message: str, oracle: str = "O1") -> str:
    return Violation(oracle, "j7", 3, 1.5, message).normalised


def test_the_same_mistake_of_another_job_at_another_time_is_the_same() -> None:
    one = said("3 hold a slot of queue q1 after 0.25 s in node#2, job j12")
    other = said("17 hold a slot of queue q1 after 1e-05 s in node, job j3")
    assert one == other


def test_another_mistake_is_another() -> None:
    assert said("it was started twice") != said("it was never started")
    assert said("it was started twice") != said("it was started twice", oracle="O2")


def test_where_it_happened_does_not_matter() -> None:
    assert (
        Violation("O1", "j1", 2, None, "late").normalised
        == Violation("O1", None, None, 3.0, "late").normalised
    )
