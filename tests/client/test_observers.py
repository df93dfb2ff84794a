"""Observers see what a client does, no secret, and cannot harm it; promise 19."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from typing import Any

import pytest

from presence_async import (
    ClientClosedError,
    InvalidArgumentError,
    LeaseChange,
    LeaseHealth,
    NoRetry,
    PresenceClient,
    ReplyFormatError,
    RequestError,
    StreamHealth,
)
from presence_async.client.observed import (
    HeartbeatFinished,
    LoopBlocked,
    RequestFinished,
    StreamChange,
)
from presence_async.emulator import Fault, Grant, PresenceEmulator
from presence_async.testing import VirtualLoop

CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="")


class Diary:
    """An observer that keeps every record, by kind."""

    def __init__(self) -> None:
        self.requests: list[RequestFinished] = []
        self.heartbeats: list[HeartbeatFinished] = []
        self.leases: list[LeaseChange] = []
        self.streams: list[StreamChange] = []
        self.blocked: list[LoopBlocked] = []
        self.callers: list[tuple[str, str]] = []

    def request_finished(self, record: RequestFinished) -> None:
        self.requests.append(record)
        self.callers.append((record.operation, CALLER.get()))

    def heartbeat_finished(self, record: HeartbeatFinished) -> None:
        self.heartbeats.append(record)

    def lease_changed(self, record: LeaseChange) -> None:
        self.leases.append(record)

    def stream_changed(self, record: StreamChange) -> None:
        self.streams.append(record)

    def loop_blocked(self, record: LoopBlocked) -> None:
        self.blocked.append(record)

    def outcomes(self) -> list[tuple[str, str, int | None, int]]:
        return [(x.operation, x.outcome, x.status, x.attempt) for x in self.requests]


def watched(
    emulator: PresenceEmulator, *observers: object, **settings: Any
) -> PresenceClient:
    config = emulator.config(user_id="alice", **settings)
    return PresenceClient(config, observers=observers)


async def test_each_request_is_told_with_its_attempt_and_outcome(
    emulator: PresenceEmulator,
) -> None:
    diary = Diary()
    async with watched(emulator, diary) as client:
        emulator.inject(Fault(operation="where now", status=503, times=1))
        await client.where_now("bob/secret?")
        emulator.inject(Fault(operation="here now", status=404, times=1))
        with pytest.raises(RequestError):
            await client.here_now("lobby")
        emulator.inject(Fault(operation="get state", cut=True, times=1))
        await client.get_state("lobby")
        await client.here_now()
        emulator.inject(Fault(operation="here now", body=b"<html>", times=9))
        with pytest.raises(ReplyFormatError):
            await client.here_now("lobby", timeout_s=0.1)

    assert diary.outcomes() == [
        ("where now", "unavailable", 503, 1),
        ("where now", "ok", 200, 2),
        ("here now", "rejected", 404, 1),
        # The connection was used before, so it is repeated at once.
        ("get state", "cut", None, 1),
        ("get state", "ok", 200, 2),
        ("here now", "ok", 200, 1),
        ("here now", "malformed", 200, 1),
    ]
    first = diary.requests[0]
    assert first.url_template == "/v2/presence/sub-key/{key}/uuid/{user}"
    assert diary.requests[-2].url_template == "/v2/presence/sub-key/{key}"
    assert (first.user_id, first.error) == ("alice", "UnavailableError")
    assert f"{first.host}:{first.port}" == emulator.origin
    assert "secret" not in repr(diary.requests)


@pytest.mark.parametrize("is_connected", [True, False])
async def test_timeouts_and_cancellations_are_told(
    emulator: PresenceEmulator, *, is_connected: bool
) -> None:
    """Over an idle connection, where no task waits, and over a new one."""
    diary = Diary()
    async with watched(emulator, diary, retry=NoRetry()) as client:
        if is_connected:
            await client.where_now()
        diary.requests.clear()
        emulator.inject(Fault(operation="here now", delay_s=math.inf))
        with pytest.raises(RequestError):
            await client.here_now("lobby", timeout_s=3)
        if is_connected:
            await client.where_now()
        call = asyncio.create_task(client.here_now("lobby"))
        await asyncio.sleep(2)
        call.cancel()
        await asyncio.wait([call])

    told = [x for x in diary.requests if x.operation == "here now"]
    assert [x.outcome for x in told] == ["timeout", "cancelled"]
    assert [x.duration_s for x in told] == pytest.approx([3, 2], abs=0.1)


@pytest.mark.parametrize("is_connected", [True, False])
async def test_what_the_end_of_the_client_cuts_is_cancelled_and_no_timeout(
    emulator: PresenceEmulator, *, is_connected: bool
) -> None:
    diary = Diary()
    async with watched(emulator, diary) as client:
        if is_connected:
            await client.where_now()
        emulator.inject(Fault(operation="here now", delay_s=math.inf))
        call = asyncio.create_task(client.here_now("lobby"))
        await asyncio.sleep(2)
    with pytest.raises(ClientClosedError):
        await call

    assert diary.outcomes()[-1] == ("here now", "cancelled", None, 1)


async def test_a_request_is_told_in_the_context_of_its_caller(
    emulator: PresenceEmulator,
) -> None:
    diary = Diary()
    async with watched(emulator, diary) as client:
        CALLER.set("page")
        await client.here_now("lobby")  # over a new connection
        await client.here_now("lobby")  # over an idle one
        async with client.join("lobby"), client.roster("lobby"):
            await asyncio.sleep(200)

    assert diary.callers[:2] == [("here now", "page")] * 2
    assert ("heartbeat", "page") in diary.callers, "the join"
    assert ("heartbeat", "") in diary.callers, "those that keep it"
    assert {who for what, who in diary.callers if what == "subscribe"} == {""}
    assert {who for what, who in diary.callers[2:] if what == "here now"} == {""}


async def test_requests_that_wait_for_a_place_are_told_in_their_callers_contexts(
    emulator: PresenceEmulator,
) -> None:
    """And not in that of whoever happened to make room for them."""
    told: list[tuple[str, str]] = []

    class Listening:
        def request_finished(self, record: RequestFinished) -> None:
            told.append((record.user_id, CALLER.get()))

    async def visit(client: PresenceClient, user_id: str) -> None:
        CALLER.set(user_id)
        async with client.join("lobby", user_id=user_id):
            await client.heartbeat("hall", user_id=user_id)

    async with (
        watched(emulator, Listening(), max_beats_in_flight=1) as client,
        asyncio.TaskGroup() as group,
    ):
        emulator.inject(Fault(operation="heartbeat", status=503, times=2))
        for user_id in "abcd":
            group.create_task(visit(client, user_id))

    assert len(told) == 4 * 3 + 2
    assert all(user_id == caller for user_id, caller in told), told


async def test_heartbeats_and_leases_are_told(emulator: PresenceEmulator) -> None:
    diary = Diary()
    async with (
        watched(emulator, diary, presence_timeout_s=20) as client,
        client.join("lobby", channel_groups="g") as lease,
    ):
        assert client.is_ready()
        await asyncio.sleep(11)
        emulator.inject(Fault(operation="heartbeat", status=500, for_s=30))
        await asyncio.sleep(29)
        assert not client.is_ready()
        assert client.is_ready(max_lost=1)
        await asyncio.sleep(15)
        assert client.is_ready()
        assert lease.health is LeaseHealth.FRESH
    assert not client.is_ready()

    join = diary.heartbeats[0]
    assert (join.user_id, join.channels, join.channel_groups, join.is_join) == (
        *("alice", ("lobby",), ("g",)),
        True,
    )
    failed = [x.error for x in diary.heartbeats if x.error is not None]
    assert len(failed) > 2
    assert {type(x).__name__ for x in failed} == {"UnavailableError"}
    assert not any(x.is_join for x in diary.heartbeats[1:])
    assert [(x.previous, x.health) for x in diary.leases] == [
        (None, "fresh"),
        ("fresh", "at_risk"),
        ("at_risk", "lost"),
        ("lost", "fresh"),
        ("fresh", "released"),
    ]
    assert {x.lease for x in diary.leases} == {lease}


async def test_the_health_of_streams_is_told(emulator: PresenceEmulator) -> None:
    diary = Diary()
    async with watched(emulator, diary) as client:
        async with client.events("lobby"), client.roster("hall"):
            emulator.inject(Fault(operation="subscribe", status=503, for_s=20))
            await asyncio.sleep(300)
            await asyncio.sleep(60)
        async with client.events("lobby", channel_groups="g"):
            pass  # closed by hand; the next by the client
        stream = client.events("lobby")
        await stream.__aenter__()

    healths = {
        name: [x.health for x in diary.streams if name in x.channels]
        for name in ("lobby", "hall")
    }
    once = [StreamHealth.LIVE, StreamHealth.CLOSED]
    outage = [StreamHealth.LIVE, StreamHealth.RECONNECTING, *once]
    assert healths == {"lobby": [*outage, *once, *once], "hall": outage}
    assert [x.previous for x in diary.streams if "hall" in x.channels] == [
        None,
        *outage[:-1],
    ]


async def test_a_blocked_loop_and_a_sleep_are_told(emulator: PresenceEmulator) -> None:
    diary = Diary()
    async with (
        watched(emulator, diary, presence_timeout_s=20) as client,
        client.join("lobby"),
    ):
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        await asyncio.sleep(1)
        loop.advance(25)
        await asyncio.sleep(20)
        loop.suspend(600)
        await asyncio.sleep(10)

    told = [
        (round(x.blocked_s / 10), round(x.slept_s), x.late_user_ids, x.lost)
        for x in diary.blocked
    ]
    assert told == [(2, 0, ("alice",), 1), (0, 600, ("alice",), 1)]
    late_s = [round(x.lateness_s) for x in diary.heartbeats if x.lateness_s > 1]
    assert len(late_s) == 1
    assert 16 <= late_s[0] <= 25, "due within 9 s of the join, sent 26 s after it"


async def test_an_observer_that_fails_is_logged_once_and_harms_nobody(
    emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        def request_finished(self, record: RequestFinished) -> None:
            raise RuntimeError("in the observer")

        def lease_changed(self, record: LeaseChange) -> None:
            raise RuntimeError("in the observer")

    diary = Diary()
    async with watched(emulator, Failing()) as client:
        client.add_observer(diary)
        async with client.join("lobby"):
            await client.here_now("lobby")
            await asyncio.sleep(400)

    lines = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert sorted(lines) == [
        "lease_changed of an observer failed",
        "request_finished of an observer failed",
    ]
    assert len(diary.requests) > 3
    assert [x.health for x in diary.leases] == ["fresh", "released"]


async def test_an_observer_without_a_method_is_refused(
    emulator: PresenceEmulator,
) -> None:
    class Misspelt:
        def requests_finished(self) -> None: ...

    with pytest.raises(InvalidArgumentError, match="request_finished"):
        watched(emulator, Misspelt())
    with pytest.raises(InvalidArgumentError, match="max_lost"):
        watched(emulator).is_ready(-1)


async def test_no_record_holds_a_secret() -> None:
    diary = Diary()
    planted = ("tok-planted-1", "sec-planted-2")
    grants = {planted[0]: Grant(channels=["lobby", "lobby-pnpres"])}
    async with (
        PresenceEmulator(secret_key=planted[1], access=grants) as emulator,
        watched(emulator, diary, auth=planted[0]) as client,
        client.events("lobby"),
        client.join("lobby") as lease,
    ):
        text = f"no: {planted[0]} {planted[1]}"
        emulator.inject(Fault(status=403, body=text.encode(), times=4))
        for call in (client.here_now("lobby"), lease.set_state({"a": 1})):
            with pytest.raises(RequestError):
                await call
        await asyncio.sleep(200)
        emulator.revoke(planted[0])
        await asyncio.sleep(400)

    assert {type(x.error).__name__ for x in diary.heartbeats} > {"AccessDeniedError"}
    told = [diary.requests, diary.heartbeats, diary.leases, diary.streams]
    errors = [vars(x.error) for x in diary.heartbeats if x.error is not None]
    failed = [x.error for x in diary.heartbeats] + [x.error for x in diary.streams]
    assert {x.__traceback__ for x in failed if x} == {None}, "frames have the token"
    for secret in planted:
        assert secret not in repr(told) + repr(errors)


async def test_lines_about_users_carry_fields_for_structured_logs(
    emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "presence_async.client")
    async with (
        watched(emulator) as client,
        client.join(["lobby", "hall"], channel_groups="g"),
    ):
        emulator.inject(Fault(operation="heartbeat", status=500, times=2))
        emulator.inject(Fault(operation="here now", status=500, times=1))
        await client.here_now("lobby")
        await asyncio.sleep(200)

    lines = [vars(record) for record in caplog.records]
    [retry] = [x for x in lines if "trying again" in x["message"]]
    assert (retry["user"], retry["operation"], retry["attempt"]) == (
        *("alice", "here now"),
        1,
    )
    at_risk, fresh, *_ = [x for x in lines if "health" in x]
    assert (at_risk["user"], at_risk["channel"], at_risk["channel_group"]) == (
        *("alice", "lobby,hall"),
        "g",
    )
    assert (at_risk["health"], fresh["health"]) == ("at_risk", "fresh")
    assert (at_risk["previous_health"], fresh["previous_health"]) == (
        "fresh",
        "at_risk",
    )


@pytest.mark.parametrize(
    "method",
    ["request_finished", "heartbeat_finished", "lease_changed", "stream_changed"],
)
async def test_not_even_a_cancellation_out_of_an_observer_harms_anybody(
    emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    class Unhashable(list[object]):
        def __call__(self, record: object) -> None:
            raise asyncio.CancelledError

    class Failing:
        pass

    setattr(Failing, method, Unhashable())
    async with watched(emulator, Failing()) as client, asyncio.timeout(500):
        await client.here_now("lobby")
        await client.here_now("lobby")
        async with client.join("lobby"), client.events("lobby"):
            await asyncio.sleep(400)
            assert emulator.occupants("lobby")

    assert not emulator.occupants("lobby")
    lines = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert lines == [f"{method} of an observer failed"]


def test_an_observer_may_end_the_program() -> None:
    """After the client has done what it was at: if the loop goes on, so does it."""

    class Ending:
        def heartbeat_finished(self, record: HeartbeatFinished) -> None:
            if not record.is_join and reasons:
                raise reasons.pop()

    reasons: list[BaseException] = [SystemExit(3), KeyboardInterrupt()]

    async def main() -> None:
        async with (
            PresenceEmulator() as emulator,
            watched(emulator, Ending()) as client,
            client.join("lobby") as lease,
        ):
            await asyncio.sleep(1000)
            assert emulator.occupants("lobby")
            assert lease.health is LeaseHealth.FRESH

    loop = VirtualLoop()
    task = loop.create_task(main())
    for reason in (KeyboardInterrupt, SystemExit):
        with pytest.raises(reason):
            loop.run_until_complete(task)
    loop.run_until_complete(task)
    loop.close()


async def test_an_async_method_of_an_observer_is_refused(
    emulator: PresenceEmulator,
) -> None:
    class Waiting:
        async def lease_changed(self, record: LeaseChange) -> None: ...

    with pytest.raises(InvalidArgumentError, match="lease_changed must not be async"):
        watched(emulator, Waiting())
