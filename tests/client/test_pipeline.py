"""One call, one budget: retries, Retry-After, tokens, gates; promises 3, 9 and 10."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from presence_async import (
    AccessDeniedError,
    AuthToken,
    ClientClosedError,
    DeadlineError,
    InvalidArgumentError,
    NoRetry,
    PresenceClient,
    RateLimitedError,
    RequestError,
    UnavailableError,
)
from presence_async.client.aio import Deadlines, Gate, TimeLimit
from presence_async.client.auth import TokenProvider
from presence_async.client.call import Budget
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.protocol.where_now import WhereNowOperation


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_a_failed_query_is_repeated_until_it_works(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(status=503, times=3))

    await client.where_now()

    assert len(emulator.requests) == 4


async def test_after_the_last_attempt_the_failure_is_raised(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(status=503))

    with pytest.raises(UnavailableError) as caught:
        await client.where_now()

    assert caught.value.attempts == 4
    assert caught.value.operation == "where now"
    assert caught.value.elapsed_s > 0


async def test_no_retry_means_one_attempt(emulator: PresenceEmulator) -> None:
    emulator.inject(Fault(status=503))
    async with PresenceClient(emulator.config(retry=NoRetry())) as client:
        with pytest.raises(UnavailableError):
            await client.where_now()

    assert len(emulator.requests) == 1


async def test_every_attempt_has_its_own_request_id(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(status=503, times=3))
    await client.where_now()

    assert len({entry.params["requestid"] for entry in emulator.requests}) == 4


async def test_retry_after_is_waited_for(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(status=429, retry_after_s=7, times=1))
    began_s = now_s()

    await client.where_now()

    assert 7 <= now_s() - began_s <= 7.3


async def test_retry_after_beyond_the_budget_raises_at_once(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(status=429, retry_after_s=60))
    began_s = now_s()

    with pytest.raises(RateLimitedError) as caught:
        await client.where_now()

    assert now_s() == began_s
    assert caught.value.retry_after_s == 60


async def test_the_budget_covers_attempts_waits_and_silence(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(delay_s=math.inf))
    began_s = now_s()

    with pytest.raises(DeadlineError) as caught:
        await client.where_now(timeout_s=25)

    assert now_s() - began_s == pytest.approx(25)
    assert caught.value.attempts == 3
    assert isinstance(caught.value.last_failure, DeadlineError)


async def test_out_of_time_names_what_failed_before(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(delay_s=math.inf))
    emulator.inject(Fault(status=503, times=1))

    with pytest.raises(DeadlineError, match=r"the attempt before: .*503"):
        await client.where_now(timeout_s=5)


async def test_an_attempt_that_hangs_is_given_up_and_repeated(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(delay_s=math.inf, times=1))
    began_s = now_s()

    await client.where_now()

    assert 10 <= now_s() - began_s < 10.5


async def test_a_timeout_of_infinity_has_no_limit(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(delay_s=9, times=3))

    await client.where_now(timeout_s=math.inf)


async def test_queries_beyond_the_gate_wait_and_beats_pass(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(operation="where now", delay_s=5))
    async with PresenceClient(emulator.config(max_connections=10)) as client:
        queries = [asyncio.create_task(client.where_now()) for _ in range(40)]
        await asyncio.sleep(0.1)
        under_way = len(emulator.requests.of("where now"))
        began_s = now_s()
        lease = await client.join("lobby", user_id="eve", presence_timeout_s=3)
        joined_after_s = now_s() - began_s
        await asyncio.gather(*queries)

        assert under_way == 10
        assert joined_after_s == 0
        assert lease.health == "fresh"
        actions = [event.action for event in emulator.events("lobby")]
        assert actions == ["join"]


async def test_waiting_at_the_gate_counts_against_the_budget(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(delay_s=5))
    async with PresenceClient(emulator.config(max_connections=1)) as client:
        first = asyncio.create_task(client.where_now())
        await asyncio.sleep(0.1)
        with pytest.raises(DeadlineError, match="still waiting to be sent") as caught:
            await client.where_now(timeout_s=1)
        await first

    assert not caught.value.is_about_service


async def test_a_rate_bounds_heartbeats_and_leaves(emulator: PresenceEmulator) -> None:
    async with PresenceClient(emulator.config(max_requests_per_s=10)) as client:
        began_s = now_s()
        await asyncio.gather(
            *(client.join("lobby", user_id=f"user-{n}") for n in range(21))
        )
        assert now_s() - began_s == pytest.approx(2, abs=0.11)


async def test_a_request_beyond_32_kib_is_refused_before_it_is_sent(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    many = [f"channel-{n}-{'x' * 60}" for n in range(1000)]
    large = {"text": "x" * 40_000}
    calls: dict[str, list[Callable[[], Awaitable[object]]]] = {
        "state": [
            lambda: client.set_state("lobby", state=large),
            lambda: client.join(["a", "lobby"], state=large),
            lambda: client.heartbeat("lobby", state=large),
        ],
        "channels": [
            lambda: client.heartbeat(many),
            lambda: client.add_channels("group", many),
            lambda: client.here_now(many, offset=1),
        ],
        "channel_groups": [lambda: client.heartbeat(channel_groups=many)],
        "user_id": [lambda: client.set_state("a", user_id="日" * 2000, state={})],
        "query_params": [
            lambda: client.where_now(query_params=large),
            lambda: client.leave("lobby", query_params=large),
            lambda: client.join("lobby", query_params=large),
        ],
    }

    for argument, asked in calls.items():
        for call in asked:
            with pytest.raises(InvalidArgumentError, match="32768") as caught:
                await call()
            assert caught.value.argument == argument

    assert emulator.requests.total == 0


async def test_presence_on_many_channels_is_told_in_parts(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    names = [f"channel-{n}-{'x' * 60}" for n in range(1000)]

    lease = await client.join(names, user_id="eve")
    await lease.set_state({"a": 1})
    stored = await client.set_state(names, state={"b": 1})
    states = [emulator.occupants(name) for name in (names[0], names[-1])]
    await lease.leave()
    await client.join(names)
    await client.leave(names)

    assert states == [{"eve": {"a": 1}}] * 2
    assert stored == {"b": 1}
    assert not any(emulator.occupants(name) for name in names)


async def test_many_channels_are_asked_in_parts(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    names = [f"channel-{n}-{'x' * 60}" for n in range(1000)]
    await client.join(names[0])
    await client.set_state(names[-1], state={"a": 1})

    here = await client.here_now(names)
    found = await client.get_state(names)

    assert len(here.channels) == len(found.states) == 1000
    assert here.total_occupancy == 1
    assert found.states[names[-1]] == {"a": 1}
    assert len(emulator.requests.of("here now")) == 4


# Tokens.


async def test_a_refused_token_is_fetched_anew_once(emulator: PresenceEmulator) -> None:
    fetched: list[str] = []

    async def token(user_id: str) -> str:
        fetched.append(user_id)
        return f"token-{len(fetched)}"

    emulator.inject(Fault(status=403, times=1))
    async with PresenceClient(emulator.config(auth=token)) as client:
        await client.where_now()
        assert [e.params["auth"] for e in emulator.requests] == ["token-1", "token-2"]

        emulator.inject(Fault(status=403))
        with pytest.raises(AccessDeniedError):
            await client.where_now()

    assert fetched == ["tester"] * 3


async def test_one_user_is_fetched_for_once_at_a_time(
    emulator: PresenceEmulator,
) -> None:
    fetched: list[str] = []

    async def token(user_id: str) -> str:
        fetched.append(user_id)
        await asyncio.sleep(1)
        return f"of-{user_id}"

    async with PresenceClient(emulator.config(auth=token)) as client:
        await asyncio.gather(*(client.where_now() for _ in range(5)))
        await client.heartbeat("lobby", user_id="eve")

    assert fetched == ["tester", "eve"]
    assert emulator.requests[-1].params["auth"] == "of-eve"


async def test_a_token_is_fetched_ahead_of_its_end(emulator: PresenceEmulator) -> None:
    fetched = 0

    async def token(_: str) -> AuthToken:
        nonlocal fetched
        fetched += 1
        wall_s = asyncio.get_running_loop().wall_time()  # type: ignore[attr-defined]
        end = dt.datetime.fromtimestamp(wall_s + 600, tz=dt.UTC)
        return AuthToken(value=f"token-{fetched}", expires_at=end)

    async with PresenceClient(emulator.config(auth=token)) as client:
        for _ in range(4):
            await client.where_now()
            await asyncio.sleep(300)

    assert fetched == 2


async def test_a_provider_that_fails_is_a_refusal_with_its_cause(
    emulator: PresenceEmulator,
) -> None:
    async with PresenceClient(emulator.config(auth=fail)) as client:
        with pytest.raises(AccessDeniedError, match="ValueError: vault sealed"):
            await client.where_now()

    assert emulator.requests.total == 0


class RecordingGate:
    """A gate with room for all that writes down who comes and goes."""

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    def try_enter(self) -> bool:
        self.seen.append("enter")
        return True

    async def enter(self) -> None:
        raise AssertionError("there is always room")

    def leave(self) -> None:
        self.seen.append("leave")


async def test_a_token_is_fetched_outside_the_gate_also_after_a_refusal(
    emulator: PresenceEmulator,
) -> None:
    seen: list[str] = []

    async def token(_: str) -> str:
        seen.append("fetch")
        await asyncio.sleep(1)
        return f"token-{len(seen)}"

    emulator.inject(Fault(status=403, times=1))
    async with PresenceClient(emulator.config(auth=token)) as client:
        pipeline = client._core.pipeline
        operation = WhereNowOperation(
            subscribe_key=pipeline.subscribe_key, user_id="tester"
        )
        await pipeline.send(
            pipeline.call(
                operation, budget=pipeline.budget(30), gate=RecordingGate(seen)
            )
        )

    assert seen == ["fetch", "enter", "leave"] * 2


async def test_a_token_replaced_while_a_call_waits_for_its_turn_is_sent(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(delay_s=5, times=1))
    config = emulator.config(auth="old", max_connections=1)
    async with PresenceClient(config) as client:
        calls = [asyncio.create_task(client.where_now()) for _ in range(2)]
        await asyncio.sleep(1)
        client.set_auth("new")
        await asyncio.gather(*calls)

    assert [e.params["auth"] for e in emulator.requests] == ["old", "new"]


async def hang(_: str) -> str:
    await asyncio.Event().wait()
    return ""


async def fail(_: str) -> str:
    raise ValueError("vault sealed")


async def return_rubbish(_: str) -> Any:
    return 5


@pytest.mark.parametrize("provider", [hang, fail, return_rubbish])
@pytest.mark.parametrize("is_first", [True, False], ids=["at first", "after a 403"])
async def test_a_token_that_cannot_be_fetched_says_nothing_about_the_service(
    emulator: PresenceEmulator, provider: TokenProvider, is_first: bool
) -> None:
    fetched = 0

    async def token(user_id: str) -> str | AuthToken:
        nonlocal fetched
        fetched += 1
        return await provider(user_id) if is_first or fetched > 1 else "stale"

    emulator.inject(Fault(status=403))
    began_s = now_s()
    async with PresenceClient(emulator.config(auth=token)) as client:
        with pytest.raises(RequestError) as caught:
            await client.where_now(timeout_s=20)

    assert not caught.value.is_about_service
    assert fetched == (1 if is_first else 2)
    assert emulator.requests.total == (0 if is_first else 1)
    assert now_s() - began_s == (20 if provider is hang else 0)


@pytest.mark.parametrize("is_first", [True, False], ids=["at first", "after a 403"])
async def test_the_place_of_a_request_without_a_token_goes_to_the_next_at_once(
    emulator: PresenceEmulator, is_first: bool
) -> None:
    fetched: set[str] = set()

    async def token(user_id: str) -> str:
        if user_id == "ill" and (is_first or "ill" in fetched):
            await asyncio.Event().wait()
        fetched.add(user_id)
        return "token"

    config = emulator.config(auth=token, max_beats_in_flight=1)
    async with PresenceClient(config) as client:
        if not is_first:
            emulator.inject(Fault(status=403, times=1, delay_s=1))
        stuck = asyncio.create_task(client.heartbeat("lobby", user_id="ill"))
        await asyncio.sleep(0 if is_first else 0.5)
        began_s = now_s()
        await client.heartbeat("lobby", user_id="well")
        waited_s = now_s() - began_s
        stuck.cancel()
        await asyncio.wait({stuck})

    assert waited_s == pytest.approx(0 if is_first else 0.5)


async def test_a_refusal_of_the_service_is_about_the_service(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(status=403))
    async with PresenceClient(emulator.config(auth="token")) as client:
        with pytest.raises(AccessDeniedError) as caught:
            await client.where_now()

    assert caught.value.is_about_service


async def test_a_provider_that_fails_between_two_attempts_is_asked_once(
    emulator: PresenceEmulator,
) -> None:
    fetched = 0

    async def token(user_id: str) -> AuthToken:
        nonlocal fetched
        fetched += 1
        if fetched > 1:
            await fail(user_id)
        wall_s = asyncio.get_running_loop().wall_time()  # type: ignore[attr-defined]
        end = dt.datetime.fromtimestamp(wall_s + 33, tz=dt.UTC)
        return AuthToken(value="token", expires_at=end)

    emulator.inject(Fault(status=503, retry_after_s=5))
    async with PresenceClient(emulator.config(auth=token)) as client:
        with pytest.raises(AccessDeniedError, match="vault sealed"):
            await client.where_now()

    assert fetched == 2


async def test_tokens_are_set_for_one_user_or_all(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    client.set_auth("common")
    client.set_auth("eves", user_id="eve")

    await client.heartbeat("lobby")
    await client.heartbeat("lobby", user_id="eve")
    client.refresh_auth("eve")
    await client.heartbeat("lobby", user_id="eve")

    assert [e.params["auth"] for e in emulator.requests] == ["common", "eves", "common"]
    with pytest.raises(InvalidArgumentError):
        client.set_auth(None, user_id="eve")


# Lifecycle.


async def test_a_call_under_way_at_close_says_so(emulator: PresenceEmulator) -> None:
    client = await PresenceClient(emulator.config()).start()
    emulator.inject(Fault(delay_s=math.inf))
    call = asyncio.create_task(client.where_now())
    await asyncio.sleep(0.1)

    await client.close()

    with pytest.raises(ClientClosedError):
        await call


@pytest.mark.parametrize("stage", ["new", "closed"])
async def test_calls_out_of_turn_are_refused(
    emulator: PresenceEmulator, stage: str
) -> None:
    client = PresenceClient(emulator.config())
    if stage == "closed":
        await client.start()
        await client.close()

    with pytest.raises(ClientClosedError, match=r"start\(\)|closed"):
        await client.where_now()
    if stage == "closed":
        with pytest.raises(ClientClosedError):
            await client.start()


async def test_another_event_loop_is_told_apart(client: PresenceClient) -> None:
    def elsewhere() -> str:
        async def ask() -> Any:
            return await client.where_now()

        try:
            asyncio.run(ask())
        except ClientClosedError as error:
            return str(error)
        return ""

    assert "another event loop" in await asyncio.to_thread(elsewhere)


async def test_the_pipeline_refuses_another_event_loop_at_once(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    pipeline = client._core.pipeline
    operation = WhereNowOperation(subscribe_key="demo", user_id="bob")
    # No room, so that a call waits for one of this loop.
    full = Gate(0)

    async def ask() -> None:
        budget = pipeline.budget(math.inf)
        await pipeline.send(pipeline.call(operation, budget=budget, gate=full))

    with pytest.raises(ClientClosedError, match="another event loop"):
        await asyncio.to_thread(asyncio.run, ask())

    assert emulator.requests.total == 0


async def test_a_pipeline_that_was_not_opened_says_so(
    emulator: PresenceEmulator,
) -> None:
    pipeline = PresenceClient(emulator.config())._core.pipeline
    operation = WhereNowOperation(subscribe_key="demo", user_id="bob")

    with pytest.raises(ClientClosedError, match="not been started"):
        pipeline.budget(1)
    with pytest.raises(ClientClosedError, match="not been started"):
        await pipeline.send(pipeline.call(operation, budget=Budget(0, 1)))


async def test_nothing_is_asked_after_close(emulator: PresenceEmulator) -> None:
    fetched: list[str] = []

    async def token(user_id: str) -> str:
        fetched.append(user_id)
        return "token"

    async with PresenceClient(emulator.config(auth=token)) as client:
        pipeline = client._core.pipeline
    operation = WhereNowOperation(subscribe_key="demo", user_id="bob")

    with pytest.raises(ClientClosedError, match="where now"):
        pipeline.call(operation, budget=pipeline.budget(30))

    assert fetched == []


async def test_a_client_never_closed_warns(emulator: PresenceEmulator) -> None:
    client = PresenceClient(emulator.config())
    client._core.life.open()

    with pytest.warns(ResourceWarning, match="never closed"):
        client.__del__()
    client._core.life.end_closing()


# The parts.


async def test_a_gate_hands_its_place_on_when_a_waiter_is_cancelled() -> None:
    gate = Gate(1)
    assert gate.try_enter()
    waiters = [asyncio.ensure_future(gate.enter()) for _ in range(3)]
    await asyncio.sleep(0)

    gate.leave()
    waiters[0].cancel()
    await asyncio.wait(waiters[:2])

    assert waiters[0].cancelled()
    assert waiters[1].done()
    gate.leave()
    await waiters[2]
    gate.leave()
    assert gate.try_enter()


async def test_a_time_limit_ends_its_block_and_nothing_else() -> None:
    deadlines = Deadlines()
    began_s = now_s()

    with pytest.raises(TimeoutError), TimeLimit(deadlines, began_s + 5) as first:
        await asyncio.sleep(60)
    with TimeLimit(deadlines, now_s() + 5) as second:
        await asyncio.sleep(1)

    assert (first.is_up, second.is_up) == (True, False)
    assert now_s() - began_s == pytest.approx(6)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
    deadlines.end_all()


async def test_a_cancel_from_outside_is_never_taken_for_the_limit() -> None:
    deadlines = Deadlines()

    async def work() -> None:
        with TimeLimit(deadlines, now_s() + 5):
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    deadlines.end_all()
    await asyncio.wait({task})

    assert task.cancelled()
