"""Those who follow over a network: what they miss, get twice or get late is said."""

from __future__ import annotations

import attrs
import pytest

from triphase_protocol import EventType
from triphase_simulations.history import Entry, History
from triphase_simulations.oracles import judge

from .followed import (
    FOLLOWED,
    LOST,
    doctored,
    event,
    faults,
    followed,
    is_received,
    lost,
    never_received,
)
from .played import saying

SEEDS = range(1, 16)


def test_a_calm_history_with_clients_is_good_and_has_it_all() -> None:
    assert faults(followed()) == set()
    assert {entry.what for entry in followed().entries} >= {
        "deaf",
        "dialled",
        "follows",
        "looked",
        "picture",
        "received",
    }
    heard = {entry.lane for entry in followed().all("received")}
    assert heard == {client.name for client in FOLLOWED.clients}


@pytest.mark.parametrize("seed", [0, *SEEDS])
def test_whatever_disturbs_them_nothing_goes_wrong(seed: int) -> None:
    assert judge(lost(seed), LOST) == []


def test_the_seeds_disturb_in_every_way() -> None:
    assert {kind for seed in SEEDS for kind, _, _ in lost(seed).used} == set(LOST.kinds)
    assert any(entry.lane == "c1#2" for entry in lost(0).all("received"))


# O20


@pytest.mark.parametrize("client", ["c0", "c1", "c3", "c4"])
def test_o20_an_event_is_never_received(client: str) -> None:
    missed = event("long", EventType.PHASE_COMPLETED, nth=2)
    assert faults(never_received(client, missed.seq)) == {"O20: cN never received phase.completed"}


def test_o20_the_last_event_is_never_received() -> None:
    last = followed().log[-1]
    history = never_received("c0", last.seq)
    assert faults(history) == {f"O20: cN never received {last.type.value}"}
    # Of a run that was broken off nobody knows what was still on its way.
    assert faults(attrs.evolve(history, settled=False)) == {"O12: the run did not settle"}


def test_o20_nothing_is_received_at_all() -> None:
    history = doctored(lambda entry: None if entry.lane == "c2" else entry)
    assert faults(history) >= {"O20: cN never received job.completed"}


def received_too(client: str, seq: int, before: int, history: History) -> History:
    """Return a history in which a client receives an event once more, before another."""
    again = next(entry for entry in history.entries if is_received(entry, "c0", seq))
    place = next(
        place for place, entry in enumerate(history.entries) if is_received(entry, client, before)
    )
    there = history.entries[place]
    more = attrs.evolve(again, lane=there.lane, time=there.time)
    more = saying(more, committed=there.data["committed"])
    entries = [*history.entries[:place], more, *history.entries[place:]]
    return attrs.evolve(history, entries=entries)


@pytest.mark.parametrize("client", ["c1", "c3", "c4"])
def test_o20_an_event_is_received_again(client: str) -> None:
    first = event("long", EventType.JOB_STARTED)
    then = event("long", EventType.PHASE_STARTED)
    last = event("long", EventType.JOB_COMPLETED)
    for before in (then, last):
        history = received_too(client, first.seq, before.seq, followed())
        assert faults(history) == {"O20: cN received seq N after seq N"}


def test_o20_an_event_is_received_again_in_another_life() -> None:
    history = lost(0)
    lives = [entry.data["seq"] for entry in history.all("received") if entry.lane == "c1"]
    next_life = next(entry for entry in history.all("received") if entry.lane == "c1#2")
    again = received_too("c1", lives[-1], next_life.data["seq"], history)
    assert faults(again, LOST) == {"O20: cN received seq N after seq N"}


def test_o20_two_events_are_received_the_wrong_way_round() -> None:
    first, second = (event("third", EventType.PHASE_COMPLETED, nth=nth) for nth in (1, 2))

    def change(entry: Entry) -> Entry:
        for one, other in ((first, second), (second, first)):
            if is_received(entry, "c0", one.seq):
                return saying(entry, seq=other.seq, version=other.version, committed=other.seq)
        return entry

    assert faults(doctored(change)) >= {"O20: cN received seq N after seq N"}


@pytest.mark.parametrize(
    ("client", "name", "event_type"),
    [
        ("c1", "third", EventType.JOB_STARTED),
        ("c2", "long", EventType.PHASE_STARTED),
        ("c3", "asks", EventType.JOB_APPROVED),
    ],
)
def test_o20_what_a_client_does_not_follow_is_received(
    client: str, name: str, event_type: EventType
) -> None:
    foreign = event(name, event_type)
    after = next(
        entry.data["seq"]
        for entry in followed().all("received")
        if entry.lane == client and entry.data["seq"] > foreign.seq
    )
    history = received_too(client, foreign.seq, after, followed())
    assert faults(history) == {
        "O20: cN received what it does not follow, or what is not in the log"
    }


def test_o20_another_version_is_received() -> None:
    end = event("long", EventType.JOB_COMPLETED)

    def change(entry: Entry) -> Entry:
        mine = is_received(entry, "c0", end.seq)
        return saying(entry, version=end.version + 1) if mine else entry

    assert faults(doctored(change)) == {
        "O20: cN received what it does not follow, or what is not in the log"
    }


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("other_log", {"O20: the stream began anew: other_log"}),
        ("ahead", {"O20: the stream began anew: ahead"}),
        ("pruned", set[str]()),
    ],
)
def test_o20_a_stream_begins_anew_though_its_log_is_the_same(reason: str, said: set[str]) -> None:
    entries = list(followed().entries)
    place = next(place for place, entry in enumerate(entries) if entry.what == "received")
    entries.insert(place, attrs.evolve(entries[place], what="reset", data={"reason": reason}))
    assert faults(attrs.evolve(followed(), entries=entries)) == said


def test_o20_of_progress_the_last_is_enough() -> None:
    first, second = (event("long", EventType.PHASE_PROGRESS, nth=nth) for nth in (1, 2))
    assert first.phase == second.phase
    assert faults(never_received("c0", first.seq)) == set()
    assert faults(never_received("c0", second.seq)) == {"O20: cN never received phase.progress"}


def test_o20_of_a_deleted_job_nothing_is_due() -> None:
    history = lost(0)
    deletion = next(each for each in history.log if each.type is EventType.JOB_DELETED)
    before = history.events_of(deletion.job)[0]
    assert faults(never_received("c0", before.seq, history), LOST) == set()
    assert faults(never_received("c0", deletion.seq, history), LOST) == set()


def pictured(what: str = "picture", **changes: object) -> set[str]:
    """Return what is said if the picture is another."""
    (entry,) = followed().all("picture")
    other = attrs.evolve(entry, what=what, data={**entry.data, **changes})
    return faults(doctored(lambda each: other if each is entry else each))


def test_o20_a_picture_is_wrong() -> None:
    (entry,) = followed().all("picture")
    jobs = entry.data["jobs"]
    id = event("long", EventType.JOB_COMPLETED).job
    version, state = jobs[id]
    assert state == "completed"
    assert pictured(jobs=jobs) == set()
    rest = {job: seen for job, seen in jobs.items() if job != id}
    assert pictured(jobs=rest) == {"O20: the picture of pN says nothing, and it is completed"}
    for seen in ([version, "running"], [version - 1, "running"]):
        found = pictured(jobs={**jobs, id: seen})
        assert found == {"O20: the picture of pN says running, and it is completed"}
    found = pictured(jobs={**jobs, "j999": [1, "queued"]})
    assert found == {"O20: the picture of pN says queued, and it is nothing"}


def test_o20_an_event_does_not_fit_into_a_picture() -> None:
    found = pictured("misdrawn", seq=3, message="no")
    assert found == {"O20: an event does not fit into the picture of pN"}


# O30


def late(client: str, seconds: float, *seqs: int) -> History:
    """Return a history in which a client receives events later."""

    def change(entry: Entry) -> Entry:
        mine = any(is_received(entry, client, seq) for seq in seqs)
        return attrs.evolve(entry, time=entry.time + seconds) if mine else entry

    return doctored(change)


def test_o30_an_event_is_received_late() -> None:
    seq = event("long", EventType.PHASE_COMPLETED).seq
    said = {"O30: cN received it N s late"}
    assert faults(late("c0", 0.6, seq)) == said
    assert faults(late("c2", 0.6, event("long", EventType.JOB_COMPLETED).seq)) == said
    assert faults(late("c0", 0.4, seq)) == set()


@pytest.mark.parametrize("client", ["c1", "c3", "c4"])
def test_o30_who_is_slow_itself_may_be_late(client: str) -> None:
    seq = event("long", EventType.PHASE_COMPLETED, nth=2).seq
    assert faults(late(client, 0.6, seq)) == set()


def test_o30_nobody_is_late_for_what_was_there_before_it_came() -> None:
    # The whole stream, from its first event on.
    begins = 2.0
    early = [each.seq for each in followed().log if each.at < followed().log[0].at + begins]
    history = doctored(
        lambda entry: (
            attrs.evolve(entry, time=max(entry.time, begins))
            if any(is_received(entry, "c0", seq) for seq in early)
            else entry
        )
    )
    assert faults(history) == set()
    assert faults(late("c0", begins, *early[1:])) == {"O30: cN received it N s late"}


@pytest.mark.parametrize("kind", ["stall", "delay", "cut", "vanish", "crash"])
def test_o30_whatever_else_disturbs_excuses_it(kind: str) -> None:
    history = late("c0", 0.6, event("long", EventType.PHASE_COMPLETED).seq)
    assert faults(attrs.evolve(history, used={("hold", "committer", 3): 2.0})) != set()
    assert faults(attrs.evolve(history, used={(kind, "somewhere", 3): 0.3})) == set()
