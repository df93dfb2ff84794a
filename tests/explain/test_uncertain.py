"""What is not certain is told so: late answers, lost ones, and what others do."""

from __future__ import annotations

from pathlib import Path

import pytest

from presence_async import PresenceClient, PresenceError
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.explain.facts import Back, Failed, Joined, Left, Lost
from presence_async.explain.file import lines_of, read_facts
from presence_async.explain.story import explained
from presence_async.register import MemoryRegister

from ..sharing.scene import Line
from .stories import NOON, at_noon, check, repeatable, until


async def test_answers_that_come_late(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    """The last heartbeat arrived eight seconds after it was sent."""
    await alice.join("lobby", presence_timeout_s=60)
    emulator.inject(Fault(operation="heartbeat", delay_s=8, for_s=60))
    await until("12:01:00")
    emulator.inject(Fault(operation="heartbeat", status=503, for_s=120))
    await until("12:05:00")

    check("late_answers", alice.explain())
    gone = next(e.at_s for e in emulator.events("lobby") if e.action == "timeout")
    doubt = alice.explain(at=NOON + gone - 1000 - 4).verdict
    assert doubt.startswith("alice may have been shown offline on lobby from 12:0")


async def test_answers_that_are_lost(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    await alice.join("lobby", presence_timeout_s=60)
    lost = Fault(operation="heartbeat", cut=True, at="after_effect", for_s=180)
    emulator.inject(lost)
    await until("12:05:00")

    check("lost_answers", alice.explain())
    assert [e.action for e in emulator.events("lobby")] == ["join"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(operation="heartbeat", delay_s=2, times=1),
        Fault(operation="heartbeat", cut=True, at="after_effect", times=1),
        Fault(operation="heartbeat", cut=True, times=1),
    ],
    ids=["late", "lost", "failed"],
)
async def test_a_join_that_took_a_while_is_no_time_offline(
    alice: PresenceClient, emulator: PresenceEmulator, fault: Fault
) -> None:
    emulator.inject(fault)
    await alice.join("lobby", presence_timeout_s=60)
    await until("12:05:00")

    told = alice.explain().verdict
    assert told.startswith("alice has been shown online on lobby since 12:00:0"), told
    early = alice.explain(at=NOON + 0.01).verdict
    assert early.startswith("alice may have been shown offline"), early


async def test_a_shorter_timeout_that_never_arrives(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    await alice.join("lobby", presence_timeout_s=300)
    await until("12:01:00")
    emulator.inject(Fault(operation="heartbeat", cut=True))
    with pytest.raises(PresenceError):
        await alice.join("lobby", presence_timeout_s=20)
    emulator.inject(Fault(operation="heartbeat", status=503, for_s=600))
    await until("12:03:00")

    check("shorter_timeout_lost", alice.explain())
    assert "alice" in emulator.occupants("lobby")


async def test_a_leave_of_which_nobody_knows(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await alice.join("lobby", presence_timeout_s=60)
    lost = Fault(operation="leave", cut=True, at="after_effect", for_s=300)
    emulator.inject(lost)
    await until("12:00:10")
    with pytest.raises(PresenceError):
        await lease.leave()
    await until("12:05:00")

    assert "alice may have been shown offline on lobby from 12:00:10 to 12:01:00" in (
        alice.explain(at=NOON + 30).verdict
    )


async def test_two_workers_whose_register_was_away(
    emulator: PresenceEmulator, tmp_path: Path
) -> None:
    """One leaves without the other, whose next heartbeat brings her back."""
    loop, register = at_noon(), MemoryRegister()
    lines, workers = [Line(register), Line(register)], []
    for n, line in enumerate(lines):
        config = emulator.config(user_id="alice", explain_to=tmp_path / str(n))
        workers.append(repeatable(PresenceClient(config, register=line)))
        await workers[n].start()
    lines[1].is_cut = True
    await workers[1].join("lobby", presence_timeout_s=120)
    await until("12:01:00")
    lease = await workers[0].join("lobby", presence_timeout_s=120)
    await until("12:01:30")
    await lease.leave()
    await until("12:05:00")
    facts = [x for n in "01" for x in read_facts(lines_of(tmp_path / n))[0]]
    doubt = explained("alice", facts, at=NOON + 91, now=loop.wall_time()).verdict
    later = explained("alice", facts, at=NOON + 280, now=loop.wall_time()).verdict
    for worker in workers:
        await worker.close()

    assert doubt.startswith("alice may have been shown offline on lobby from 12:01:30")
    assert later.startswith("alice was shown online on lobby at 12:04:40")
    assert [e.action for e in emulator.events("lobby")][:3] == ["join", "leave", "join"]


def test_who_is_kept_by_one_process_is_not_offline_for_what_another_has_lost() -> None:
    names = ("lobby",)
    facts = [
        *(
            Joined(at=NOON, user="alice", run=run, names=names, timeout_s=60)
            for run in ("one", "two")
        ),
        *(
            Lost(at=NOON + s, user="alice", run=run, names=names, until=NOON + s)
            for run, s in (("one", 90), ("two", 200))
        ),
        Back(at=NOON + 300, user="alice", run="one", names=names, was="lost"),
    ]

    def shown(at: float) -> str:
        return explained("alice", facts, at=NOON + at, now=NOON + 310).verdict

    assert "may have been shown offline on lobby from 12:01:30 to" in shown(100)
    assert "was shown offline on lobby from 12:03:20 to 12:05:00" in shown(250)


def test_a_heartbeat_that_may_arrive_after_a_leave_is_told() -> None:
    stray = Failed(
        at=NOON + 10,
        user="alice",
        what="heartbeat",
        names=("lobby",),
        why="no answer",
        sent=NOON,
        acted_by=NOON + 20,
        timeout_s=60,
    )
    left = Left(at=NOON + 12, user="alice", names=("lobby",))
    joined = Joined(at=NOON - 60, user="alice", names=("lobby",), timeout_s=60)

    def shown(at: float) -> str:
        facts = [joined, stray, left]
        return explained("alice", facts, at=NOON + at, now=NOON + 300).verdict

    assert "may have been shown offline" in shown(30)
    assert "has been shown offline on lobby since 12:01:20" in shown(90)
