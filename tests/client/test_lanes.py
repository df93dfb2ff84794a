"""One lane per user: order, doubt, and what is repeated; promise 6."""

from __future__ import annotations

import asyncio
import logging
import math

import pytest

from presence_async import DeadlineError, LinearRetry, PresenceClient, RequestError
from presence_async.emulator import Fault, PresenceEmulator


async def test_requests_of_one_user_wait_for_each_other(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(delay_s=1))

    await asyncio.gather(
        client.heartbeat("lobby"),
        client.set_state("lobby", state={"a": 1}),
        client.leave("lobby"),
        client.heartbeat("lobby", user_id="eve"),
    )

    began_s = emulator.requests[0].at_s
    seen = [
        (e.operation, e.user_id, round(e.at_s - began_s)) for e in emulator.requests
    ]
    assert seen == [
        ("heartbeat", "bob", 0),
        ("heartbeat", "eve", 0),
        ("set state", "bob", 1),
        ("leave", "bob", 2),
    ]


@pytest.mark.parametrize("timeout_s", [30, math.inf])
async def test_a_later_call_waits_for_the_retries_of_an_earlier_one(
    emulator: PresenceEmulator, timeout_s: float
) -> None:
    retry = LinearRetry(wait_s=1)
    emulator.inject(Fault(status=503, times=1))
    async with PresenceClient(emulator.config(user_id="bob", retry=retry)) as client:
        await asyncio.gather(
            client.heartbeat("lobby", timeout_s=timeout_s),
            client.leave("lobby", timeout_s=timeout_s),
        )
        assert not emulator.occupants("lobby")
        await client.heartbeat("lobby")
        emulator.inject(Fault(status=503, times=1))

        await asyncio.gather(
            client.set_state("lobby", state={"n": 1}, timeout_s=timeout_s),
            client.set_state("lobby", state={"n": 2}, timeout_s=timeout_s),
        )

        assert emulator.occupants("lobby") == {"bob": {"n": 2}}


async def give_up(client: PresenceClient, emulator: PresenceEmulator) -> None:
    """Leave a heartbeat with state in doubt: the service applies it in 8 s."""
    emulator.inject(Fault(operation="heartbeat", delay_s=8, times=1))
    with pytest.raises(DeadlineError):
        await client.heartbeat("lobby", state={"old": 1}, timeout_s=1)


async def test_a_leave_after_a_request_in_doubt_is_repeated_once(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await give_up(client, emulator)
    await client.leave("lobby")

    await asyncio.sleep(60)

    assert len(emulator.requests.of("leave")) == 2
    assert not emulator.occupants("lobby")
    assert client.heartbeats.stats().leaving == 0


async def test_a_state_after_a_request_in_doubt_wins_in_the_end(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await give_up(client, emulator)
    await client.set_state("lobby", state={"new": 1})
    await client.set_state("lobby", state={"newest": 1})

    await asyncio.sleep(60)

    assert emulator.occupants("lobby") == {"bob": {"newest": 1}}
    assert len(emulator.requests.of("set state")) == 3


async def test_a_repeat_leaves_out_what_a_later_request_is_about(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await give_up(client, emulator)
    await client.leave(["lobby", "news"])
    await client.heartbeat("lobby")

    await asyncio.sleep(60)

    repeated = emulator.requests.of("leave")[-1]
    assert repeated.channels == ("news",)
    assert set(emulator.occupants("lobby")) == {"bob"}


async def test_a_repeated_heartbeat_does_not_bring_an_old_state_back(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="leave", delay_s=8, times=1))
    leaving = asyncio.create_task(client.leave("other", timeout_s=1))
    with pytest.raises(DeadlineError):
        await leaving
    await client.heartbeat("lobby", state={"old": 1})
    await client.set_state("lobby", state={"new": 1})

    await asyncio.sleep(60)

    assert emulator.occupants("lobby") == {"bob": {"new": 1}}


async def test_the_same_request_again_needs_no_repeat(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", delay_s=12, times=1))

    await client.heartbeat("lobby")
    await asyncio.sleep(60)

    assert len(emulator.requests.of("heartbeat")) == 2


async def test_a_held_lease_is_beaten_again_after_doubt(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await client.join("lobby", state={"new": 1})
    emulator.inject(Fault(operation="set state", delay_s=8, times=1))
    with pytest.raises(DeadlineError):
        await client.set_state("other", state={"x": 1}, timeout_s=1)
    await client.heartbeat("lobby")
    before = len(emulator.requests.of("heartbeat"))

    await asyncio.sleep(11)

    assert len(emulator.requests.of("heartbeat")) == before + 1


async def test_a_repeat_that_fails_is_not_tried_for_ever(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await give_up(client, emulator)
    await client.leave("lobby")
    emulator.inject(Fault(operation="leave", status=503))

    await asyncio.sleep(60)

    assert len(emulator.requests.of("leave")) == 2
    assert client.heartbeats.stats().leaving == 0


async def test_a_crash_while_sending_for_one_user_is_that_users_failure(
    client: PresenceClient,
    emulator: PresenceEmulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mine = await client.join("lobby", presence_timeout_s=20)
    eves = await client.join("lobby", user_id="eve", presence_timeout_s=20)
    begin = client._core.pipeline.begin

    def crash_once(*_: object, **__: object) -> None:
        monkeypatch.setattr(client._core.pipeline, "begin", begin)
        raise KeyError

    monkeypatch.setattr(client._core.pipeline, "begin", crash_once)
    await asyncio.sleep(30)

    assert {mine.health, eves.health} == {"fresh"}
    risks = [r for r in caplog.records if "at_risk" in r.getMessage()]
    assert len(risks) == 1
    assert {e.action for e in emulator.events("lobby")} == {"join"}


@pytest.mark.parametrize("method", ["take", "_next", "answered", "_settle", "drain"])
async def test_a_crash_of_the_engine_is_survived(
    client: PresenceClient,
    emulator: PresenceEmulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
) -> None:
    lease = await client.join("lobby", presence_timeout_s=20)
    engine: object = client._core.heartbeats.engine
    if method.startswith("_"):
        engine = client._core.heartbeats.engine.dispatch
    if method == "_settle":
        # A heartbeat that goes well leaves nothing to settle.
        emulator.inject(Fault(operation="heartbeat", status=503, times=1))
    sound = getattr(engine, method)

    def crash_once(*_: object) -> None:
        monkeypatch.setattr(engine, method, sound)
        raise KeyError

    monkeypatch.setattr(engine, method, crash_once)
    await asyncio.sleep(60)

    assert lease.health == "fresh"
    assert [e.action for e in emulator.events("lobby")] == ["join"]
    assert [r.levelname for r in caplog.records if r.levelno >= 50] == ["CRITICAL"]


async def test_callers_hear_of_their_joins_though_the_log_line_of_one_crashes(
    client: PresenceClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "presence_async.client")
    logger = logging.getLogger("presence_async.client")

    def crash_once(record: logging.LogRecord) -> bool:
        if record.getMessage().endswith(": joined"):
            logger.removeFilter(crash_once)
            raise KeyError
        return True

    logger.addFilter(crash_once)
    async with asyncio.timeout(5):
        lease = await client.join("lobby")

    assert lease.health == "fresh"


async def test_retry_after_on_a_beat_holds_all_beats_back(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    for user in ("a", "b", "c"):
        await client.join("lobby", user_id=user, presence_timeout_s=30)
    before = emulator.requests.total
    emulator.inject(Fault(operation="heartbeat", status=429, retry_after_s=8, times=1))
    await asyncio.sleep(60)

    first, second = emulator.requests[before : before + 2]
    assert second.at_s - first.at_s >= 8
    assert {lease.health for lease in client.heartbeats.leases} == {"fresh"}
    assert {e.action for e in emulator.events("lobby")} == {"join"}


async def test_stats_count_what_there_is(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await client.join("lobby", presence_timeout_s=20)
    await client.join("lobby", user_id="eve", presence_timeout_s=20)
    await asyncio.sleep(60)
    emulator.inject(Fault(operation="heartbeat", status=403))
    await asyncio.sleep(10)

    stats = client.heartbeats.stats()

    assert (stats.leases, stats.fresh, stats.refused) == (2, 0, 2)
    assert (stats.at_risk, stats.lost, stats.leaving) == (0, 0, 0)
    assert stats.beats_failed >= 2
    assert stats.beats_sent > stats.beats_failed
    assert stats.lateness_max_s == 0
    assert stats.next_due_s is not None
    assert stats.to_dict()["leases"] == 2


async def test_the_error_of_a_burst_reaches_every_waiter(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")
    emulator.inject(Fault(operation="set state", status=403))

    results = await asyncio.gather(
        *(lease.patch_state({"n": n}) for n in range(3)), return_exceptions=True
    )

    assert all(isinstance(result, RequestError) for result in results)
    assert len({id(result) for result in results}) == 3
