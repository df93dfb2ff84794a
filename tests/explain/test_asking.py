"""Asking a client: times, users, limits, secrets, and faults that harm nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from presence_async import (
    AccessDeniedError,
    InvalidArgumentError,
    LeaseHealth,
    PresenceClient,
    PresenceConfig,
)
from presence_async.emulator import Fault, Grant, PresenceEmulator
from presence_async.explain.facts import Joined, Kept, Left, Seen
from presence_async.explain.moment import read
from presence_async.explain.story import explained
from presence_async.register import MemoryRegister

from ..sharing.scene import Line
from .stories import NOON, at_noon, until


async def test_the_answer_is_about_the_time_that_is_asked_about(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    await until("12:00:10")
    await alice.join("lobby", presence_timeout_s=60)
    emulator.inject(Fault(operation="heartbeat", status=503, for_s=120))
    await until("12:10:00")
    noon = dt.datetime.fromtimestamp(NOON, dt.UTC)
    times: dict[str, float | dt.datetime] = {
        "before": noon,
        "online": noon + dt.timedelta(seconds=30),
        "offline": NOON + 100,
        "again": NOON + 500,
    }

    told = {name: alice.explain(at=at) for name, at in times.items()}

    assert told["before"].verdict == (
        "Nothing is known of alice at 12:00:00; the story begins at 12:00:10."
    )
    assert told["online"].verdict == (
        "alice was shown online on lobby at 12:00:30, and had been since 12:00:10, as"
        " far as this client knows."
    )
    assert "was shown offline on lobby from 12:01:10 to" in told["offline"].verdict
    assert "was shown online on lobby at 12:08:20" in told["again"].verdict
    assert told["online"].at == times["online"]
    kinds = [decision.kind for decision in told["again"].decisions]
    assert kinds == ["joined", "failed", "lost", "failed", "back", "kept"]
    assert alice.explain().verdict == told["offline"].verdict


@pytest.mark.parametrize("at", [dt.datetime(2026, 1, 1), "12:00", -1, 1e300, True])  # noqa: DTZ001  # what is refused
async def test_a_time_that_is_none_is_refused(
    alice: PresenceClient, at: object
) -> None:
    with pytest.raises(InvalidArgumentError, match="at: "):
        alice.explain(at=at)  # type: ignore[arg-type]  # what is refused


async def test_a_time_to_come_is_refused(alice: PresenceClient) -> None:
    alice.explain(at=NOON + 0.0004)

    with pytest.raises(InvalidArgumentError, match="at: is in the future"):
        alice.explain(at=NOON + 90)


def test_only_decisions_around_the_time_are_told() -> None:
    """And how it began, however long before that was."""
    facts = [
        fact
        for n in range(9)
        for fact in (
            Joined(at=NOON + n * 1200, user="alice", names=("lobby",), timeout_s=300),
            Left(at=NOON + n * 1200 + 600, user="alice", names=("lobby",)),
        )
    ]

    told = explained("alice", facts, at=NOON + 4810, now=NOON + 90_000)
    later = explained("alice", facts, at=NOON + 80_000, now=NOON + 90_000)
    whole = explained("alice", facts, at=None, now=NOON + 90_000)

    assert [(d.at.timestamp() - NOON) / 600 for d in told.decisions] == [
        *(3, 4, 5, 6, 7, 8, 9)
    ]
    assert told.left_out == 18 - 7
    assert str(told).endswith("\n\nLeft out as long before or after: 11 decisions.")
    assert [d.kind for d in later.decisions] == ["left"]
    assert (len(whole.decisions), whole.left_out) == (18, 0)


async def test_of_a_stranger_nothing_is_known(alice: PresenceClient) -> None:
    told = alice.explain("mallory")

    assert told.verdict.startswith("Nothing is known of mallory")
    assert (told.decisions, told.is_complete) == ((), True)
    assert json.loads(json.dumps(told.to_dict()))["user_id"] == "mallory"


def test_a_closed_client_tells_without_an_event_loop() -> None:
    async def main() -> PresenceClient:
        async with (
            PresenceEmulator() as emulator,
            PresenceClient(emulator.config(user_id="alice")) as client,
        ):
            await client.join("lobby")
        return client

    client = asyncio.run(main())
    told = client.explain()

    assert "because the client was closed" in told.verdict
    assert abs(told.at.timestamp() - time.time()) < 60


async def test_what_happened_within_a_millisecond_is_told_in_order(
    alice: PresenceClient,
) -> None:
    await asyncio.sleep(0.0004)
    await alice.join("lobby")
    await alice.close()

    told = alice.explain()

    assert [decision.kind for decision in told.decisions][:2] == ["joined", "left"]
    assert "because the client was closed" in told.verdict


async def test_only_so_many_decisions_are_remembered(
    emulator: PresenceEmulator,
) -> None:
    at_noon()
    config = emulator.config(user_id="alice", explain_decisions=4)
    async with PresenceClient(config) as client:
        for _ in range(5):
            await (await client.join("lobby")).leave()
            await asyncio.sleep(60)
        told = client.explain()

    assert len(client._core.heartbeats.news.recorder.witness._memory.of("alice")) == 4  # type: ignore[union-attr]  # it is on
    assert not told.is_complete
    assert str(told).endswith("Older decisions are not remembered any more.")


@pytest.mark.parametrize("off", [{"explain_decisions": 0}, {"explain_bytes": 0}])
async def test_where_nothing_is_kept_nothing_is_told(
    emulator: PresenceEmulator, off: dict[str, int]
) -> None:
    async with PresenceClient(emulator.config(user_id="alice", **off)) as client:
        await client.join("lobby")

        with pytest.raises(InvalidArgumentError, match="explain_decisions"):
            client.explain()


@pytest.mark.parametrize(
    "wrong",
    [
        {"explain_decisions": -1},
        {"explain_bytes": 1.5},
        {"explain_to": ""},
        {"explain_to": 7},
        {"explain_to": "a\0b"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
        PresenceConfig(subscribe_key="demo", user_id="alice", **wrong)  # type: ignore[arg-type]  # what is refused


def test_the_environment_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRESENCE_EXPLAIN_FILE", "/tmp/decisions")  # noqa: S108  # not opened

    config = PresenceConfig.from_env(subscribe_key="demo", user_id="alice")

    assert config.explain_to == "/tmp/decisions"  # noqa: S108  # not opened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-10m", NOON - 600),
        ("-90s", NOON - 90),
        ("-1d", NOON - 86_400),
        ("11:59", NOON - 60),
        ("11:59:30", NOON - 30),
        ("12:00", NOON),
        ("12:01", NOON + 60 - 86_400),
        ("2026-11-27T11:00", NOON - 3600),
        ("2026-11-27T12:00:00+01:00", NOON - 3600),
    ],
)
def test_times_are_read_as_people_write_them(text: str, expected: float) -> None:
    assert read(text, NOON) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "-10", "2026-13-01", "-9999999999s"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="at: must be like"):
        read(text, NOON)


SECRETS = ("t0ken-planted", "sec-planted", "c0okie-planted")


async def test_no_secret_is_told_or_written(
    emulator: PresenceEmulator, tmp_path: Path
) -> None:
    """Neither a token, nor the secret key, nor what a token function complains of."""
    token, secret_key, cookie = SECRETS
    emulator.grant(token, Grant(channels=["lobby", "vip"]))

    async def provider(_: str) -> str:
        if emulator.requests.total > 2:
            raise RuntimeError(f"no token for {cookie}")
        return token

    file = tmp_path / "decisions"
    config = emulator.config(
        user_id="alice", auth=provider, secret_key=secret_key, explain_to=file
    )
    async with PresenceClient(config) as client:
        await client.join("lobby", presence_timeout_s=60)
        emulator.inject(Fault(status=403, body=f'{{"message": "no {token}"}}'.encode()))
        await asyncio.sleep(100)
        with pytest.raises(AccessDeniedError):
            await client.join("vip")
        client.set_auth(token)
        await asyncio.sleep(100)
        told = str(client.explain()) + json.dumps(client.explain().to_dict())

    written = file.read_text(encoding="ascii")
    assert "403" in written
    assert "token provider failed" in written
    assert [x for x in SECRETS if x in told + written] == []


async def test_a_file_that_cannot_be_written_is_one_line_of_the_log(
    emulator: PresenceEmulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    config = emulator.config(
        user_id="alice", explain_to=tmp_path / "none" / "decisions"
    )
    async with PresenceClient(config) as client:
        for _ in range(3):
            await (await client.join("lobby")).leave()
        told = client.explain()

    assert "because this client was asked to leave" in told.verdict
    lines = [r.getMessage() for r in caplog.records if "written" in r.getMessage()]
    assert len(lines) == 1
    assert "No such file or directory" in lines[0]


async def test_a_fault_in_noting_harms_nothing(
    alice: PresenceClient,
    emulator: PresenceEmulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lease = await alice.join("lobby", presence_timeout_s=60)
    recorder = alice._core.heartbeats.news.recorder
    assert recorder is not None
    monkeypatch.delattr(type(recorder.witness), "change")
    for name in ("answered", "hears", "late_s"):
        monkeypatch.delattr(type(recorder.witness), name)
    await alice.join("news")
    emulator.inject(Fault(operation="heartbeat", status=503, for_s=120))
    await asyncio.sleep(200)

    assert lease.health is LeaseHealth.FRESH
    critical = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert [r.getMessage() for r in critical] == ["noting a decision failed"]


async def test_calm_users_take_nothing_and_joins_are_known_all_the_same(
    alice: PresenceClient,
) -> None:
    for n in range(20):
        await alice.join("lobby", user_id=f"u{n}")
    await until("12:30:00")
    recorder = alice._core.heartbeats.news.recorder

    assert recorder is not None
    assert "witness" not in vars(recorder)
    first = alice.explain("u7").decisions[0]
    assert first.kind == "joined"
    assert abs(first.at.timestamp() - NOON) < 1


async def test_events_that_the_client_has_caused_are_no_news(
    alice: PresenceClient,
) -> None:
    async with alice.events("lobby"):
        for _ in range(3):
            await (await alice.join("lobby")).leave()
            await asyncio.sleep(1)
        async with alice.join("lobby"):
            await asyncio.sleep(700)
        await asyncio.sleep(30)

        told = alice.explain()

    assert "seen" not in [decision.kind for decision in told.decisions]


async def test_an_event_is_news_once_however_many_streams_receive_it(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    await alice.join("lobby")
    other = PresenceClient(alice.config)
    again = alice.events("lobby", query_params={"a": "b"})
    async with alice.events("lobby"), alice.roster("lobby"), again, other:
        await asyncio.sleep(60)
        await other.leave("lobby")
        await asyncio.sleep(200)

        told = alice.explain()

    assert [d.kind for d in told.decisions].count("seen") == 2  # left, and joined again


async def test_only_a_heartbeat_ends_what_a_leave_by_another_device_began(
    alice: PresenceClient,
) -> None:
    """The second leave within ten seconds is answered when they are over."""
    await alice.join("lobby", presence_timeout_s=120)
    async with alice.roster("lobby"), PresenceClient(alice.config) as other:
        await until("12:03:20")
        await other.leave("lobby")
        await until("12:03:23")
        first = alice.explain().verdict
        await other.leave("lobby")
        await until("12:03:26")
        second = alice.explain().verdict
        await until("12:05:00")
        after = alice.explain()

    why = "because another process or device with the same user ID left"
    assert first == (
        f"alice was shown offline on lobby for a moment at 12:03:20 {why}; a heartbeat"
        " sent at once brought alice back."
    )
    assert second == f"alice has been shown offline on lobby since 12:03:23 {why}."
    assert f"shown offline on lobby from 12:03:23 to 12:03:30 {why}." in after.verdict
    assert any("again, after 7 s" in x.text for x in after.decisions)


async def test_of_a_heartbeat_at_once_that_failed_the_verdict_says_nothing(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    await alice.join("lobby", presence_timeout_s=120)
    async with alice.roster("lobby"), PresenceClient(alice.config) as other:
        await until("12:03:20")
        emulator.inject(Fault(operation="heartbeat", status=503, for_s=20))
        await other.leave("lobby")
        await until("12:05:00")
        told = alice.explain()

    assert told.verdict.startswith("alice was shown offline on lobby from 12:03:20 to")
    assert told.verdict.endswith("same user ID left.")
    kinds = [decision.kind for decision in told.decisions]
    assert kinds[:3] + kinds[5:] == ["joined", "seen", "failed", "kept"]
    # The answer and the event come at once, on two connections.
    assert set(kinds[3:5]) == {"seen", "back"}


def test_a_heartbeat_that_was_acknowledged_later_ends_it_though_no_event_came() -> None:
    joined = Joined(at=NOON, user="alice", names=("lobby",), timeout_s=120)
    left = Seen(at=NOON + 50, user="alice", action="leave", name="lobby")
    kept = Kept(at=NOON + 90, user="alice", names=("lobby",), acked=NOON + 60)

    told = explained("alice", [joined, left, kept], at=None, now=NOON + 90)

    assert "from 12:00:50 to 12:01:00 because another process" in told.verdict


@pytest.fixture
async def emulator_of_many(
    presence_leak_check: None,
) -> AsyncIterator[PresenceEmulator]:
    """A service of crowds: no event is about a single user."""
    async with PresenceEmulator(announce_max=0, presence_deltas=True) as emulator:
        yield emulator


async def test_interval_events_tell_of_users_too(
    emulator_of_many: PresenceEmulator,
) -> None:
    at_noon()
    config = emulator_of_many.config(user_id="alice")
    async with PresenceClient(config) as client, PresenceClient(config) as other:
        await client.join("lobby")
        async with client.events("lobby"):
            await asyncio.sleep(30)
            await other.leave("lobby")
            await asyncio.sleep(30)
            told = client.explain()

    assert "another process or device with the same user ID left" in told.verdict


async def test_a_register_that_goes_away_is_part_of_the_story(
    emulator: PresenceEmulator,
) -> None:
    at_noon()
    line = Line(MemoryRegister())
    async with PresenceClient(
        emulator.config(user_id="alice"), register=line
    ) as client:
        await client.join("lobby")
        line.is_cut = True
        await until("12:02:00")
        line.is_cut = False
        await until("12:04:00")
        told = client.explain()

    texts = [decision.text for decision in told.decisions]
    assert any("leaves waited: the line is cut." in text for text in texts)
    assert any(text.startswith("The register was back after") for text in texts)
