"""Tokens: what was set last wins, one fetch per user, nothing kept of those gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from presence_async import (
    AccessDeniedError,
    AuthToken,
    DeadlineError,
    PresenceClient,
)
from presence_async.client.tokens import Tokens
from presence_async.emulator import Fault, PresenceEmulator


class Provider:
    """A token function that takes its time and counts what it is asked."""

    def __init__(self, delay_s: float = 5.0) -> None:
        self.delay_s = delay_s
        self.asked: list[str] = []
        self.cancelled = 0

    async def __call__(self, user_id: str) -> str:
        self.asked.append(user_id)
        number = len(self.asked)
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return f"token-{number}"


def sent(emulator: PresenceEmulator) -> list[str | None]:
    return [entry.params.get("auth") for entry in emulator.requests]


def value(tokens: Tokens, user_id: str) -> str | None:
    token = tokens.at_hand(user_id)
    return None if token is None else token.value


# What was set last wins.


@pytest.mark.parametrize("user_id", [None, "tester"], ids=["for all", "for one"])
async def test_a_token_set_during_a_fetch_replaces_the_answer(
    emulator: PresenceEmulator, user_id: str | None
) -> None:
    provider = Provider()
    async with PresenceClient(emulator.config(auth=provider)) as client:
        asking = asyncio.create_task(client.where_now())
        await asyncio.sleep(1)

        client.set_auth("new", user_id=user_id)
        began_s = asyncio.get_running_loop().time()
        await asking
        waited_s = asyncio.get_running_loop().time() - began_s
        await asyncio.sleep(10)
        await client.where_now()

    assert sent(emulator) == ["new", "new"]
    assert waited_s < 1
    assert (provider.asked, provider.cancelled) == (["tester"], 1)


async def test_a_provider_set_during_a_fetch_is_asked_instead(
    emulator: PresenceEmulator,
) -> None:
    async def better(_: str) -> str:
        return "better"

    async with PresenceClient(emulator.config(auth=Provider())) as client:
        asking = asyncio.create_task(client.where_now())
        await asyncio.sleep(1)
        client.set_auth(better)
        await asking

    assert sent(emulator) == ["better"]


@pytest.mark.parametrize("user_id", [None, "tester"], ids=["of all", "of one"])
async def test_a_refresh_during_a_fetch_asks_again(
    emulator: PresenceEmulator, user_id: str | None
) -> None:
    provider = Provider()
    async with PresenceClient(emulator.config(auth=provider)) as client:
        asking = asyncio.create_task(client.where_now())
        await asyncio.sleep(1)
        client.refresh_auth(user_id)
        await asking
        await client.where_now()

    assert sent(emulator) == ["token-2", "token-2"]
    assert (len(provider.asked), provider.cancelled) == (2, 1)


async def test_a_provider_that_ignores_its_cancel_does_not_overwrite_a_newer_token(
    emulator: PresenceEmulator,
) -> None:
    async def stubborn(_: str) -> str:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            await asyncio.sleep(5)
        return "old"

    async with PresenceClient(emulator.config(auth=stubborn)) as client:
        asking = asyncio.create_task(client.where_now())
        await asyncio.sleep(1)
        client.set_auth("new", user_id="tester")
        await asking
        await asyncio.sleep(20)
        await client.where_now()

    assert sent(emulator) == ["new", "new"]


async def test_a_provider_may_set_the_token_itself(emulator: PresenceEmulator) -> None:
    saved: list[str] = []

    async def provider(user_id: str) -> str:
        client.set_auth("own", user_id=user_id)
        await asyncio.sleep(1)
        saved.append(user_id)
        return "returned"

    async with PresenceClient(emulator.config(auth=provider)) as client:
        await client.where_now()
        await asyncio.sleep(2)

    assert sent(emulator) == ["own"]
    assert saved == ["tester"]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("old", "new", "new"),
        ("old", None, None),
        (None, "new", "new"),
        (None, Provider, "token-1"),
        ("old", Provider, "token-1"),
    ],
    ids=["another", "none", "a first one", "a first provider", "a provider"],
)
async def test_what_is_set_while_an_older_token_is_refused_is_tried(
    emulator: PresenceEmulator, first: Any, last: Any, expected: str | None
) -> None:
    emulator.inject(Fault(status=403, delay_s=2, times=1))
    async with PresenceClient(emulator.config(auth=first)) as client:
        asking = asyncio.create_task(client.where_now())
        await asyncio.sleep(1)
        client.set_auth(Provider() if last is Provider else last)
        await asking

    assert sent(emulator) == [first, expected]


async def test_a_refused_token_is_replaced_by_one_of_the_provider(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(status=403, times=2))
    async with PresenceClient(emulator.config(auth=Provider())) as client:
        client.set_auth("mine", user_id="tester")
        with pytest.raises(AccessDeniedError):
            await client.where_now()
        await client.where_now()

    assert sent(emulator) == ["mine", "token-1", "token-1"]


async def test_a_refusal_is_final_if_nothing_else_was_set(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(status=403))
    for auth in ("old", None):
        async with PresenceClient(emulator.config(auth=auth)) as client:
            with pytest.raises(AccessDeniedError):
                await client.where_now()

    assert sent(emulator) == ["old", None]


@pytest.mark.parametrize("fails", [False, True], ids=["succeeded", "failed"])
async def test_a_token_set_just_after_a_fetch_has_ended_wins(fails: bool) -> None:
    async def provider(user_id: str) -> str:
        task = asyncio.current_task()
        assert task is not None
        # Runs when the fetch has ended, before those who wait for it go on.
        task.add_done_callback(lambda _: tokens.set("new", user_id))
        if fails:
            raise ValueError("vault sealed")
        return "old"

    tokens = Tokens(provider)

    assert await tokens.fetch("eve") == AuthToken(value="new")


# One fetch per user at a time.


async def give_up(client: PresenceClient) -> None:
    asking = asyncio.create_task(client.where_now())
    await asyncio.sleep(1)
    asking.cancel()
    await asyncio.wait({asking})


async def run_out_of_time(client: PresenceClient) -> None:
    with pytest.raises(DeadlineError):
        await client.where_now(timeout_s=1)


@pytest.mark.parametrize("ends", [give_up, run_out_of_time])
async def test_a_caller_who_gives_up_starts_no_second_fetch(
    emulator: PresenceEmulator, ends: Callable[[PresenceClient], Any]
) -> None:
    provider = Provider()
    async with PresenceClient(emulator.config(auth=provider)) as client:
        others = [asyncio.create_task(client.where_now()) for _ in range(3)]
        await ends(client)
        await ends(client)
        await client.where_now()
        await asyncio.gather(*others)

    assert provider.asked == ["tester"]


async def give_up_joining(client: PresenceClient) -> None:
    joining = asyncio.create_task(client.join("lobby", user_id="eve"))
    await asyncio.sleep(1)
    joining.cancel()
    await asyncio.wait({joining})


async def run_out_of_time_once(client: PresenceClient) -> None:
    with pytest.raises(DeadlineError):
        await client.heartbeat("lobby", user_id="eve", timeout_s=1)


@pytest.mark.parametrize("ends", [give_up_joining, run_out_of_time_once])
async def test_a_fetch_goes_on_for_a_user_who_comes_back(
    emulator: PresenceEmulator, ends: Callable[[PresenceClient], Any]
) -> None:
    provider = Provider()
    async with PresenceClient(emulator.config(auth=provider)) as client:
        await ends(client)
        await asyncio.sleep(1)
        lease = await client.join("lobby", user_id="eve")
        await asyncio.sleep(1000)
        await lease.leave()

    assert (provider.asked, provider.cancelled) == (["eve"], 0)


async def test_a_fetch_waits_for_the_end_of_the_one_it_replaces() -> None:
    running: list[int] = []
    most = 0

    async def provider(_: str) -> str:
        nonlocal most
        running.append(1)
        most = max(most, len(running))
        try:
            await asyncio.sleep(5)
        finally:
            # As a session does that closes its connection.
            await asyncio.sleep(0.5)
            running.pop()
        return "token"

    tokens = Tokens(provider)
    asking = asyncio.create_task(tokens.fetch("eve"))
    for _ in range(3):
        await asyncio.sleep(1)
        tokens.refresh("eve")
    tokens.refresh("eve")
    await asking

    assert most == 1


async def test_a_fetch_does_not_wait_for_one_that_ignores_its_cancel() -> None:
    asked = 0

    async def stubborn(_: str) -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                await asyncio.sleep(1000)
        return f"token-{asked}"

    tokens = Tokens(stubborn)
    asking = asyncio.create_task(tokens.fetch("eve"))
    await asyncio.sleep(1)
    tokens.refresh("eve")
    began_s = asyncio.get_running_loop().time()

    assert await asking == AuthToken(value="token-2")
    assert asyncio.get_running_loop().time() - began_s < 2
    await asyncio.sleep(1000)
    assert value(tokens, "eve") == "token-2"


async def test_a_failed_fetch_is_shared_and_each_caller_has_its_own_error(
    emulator: PresenceEmulator,
) -> None:
    asked = 0

    async def provider(_: str) -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(1)
        raise ValueError("vault sealed")

    async with PresenceClient(emulator.config(auth=provider)) as client:
        errors = await asyncio.gather(
            client.where_now(),
            client.here_now("lobby"),
            client.heartbeat("lobby"),
            return_exceptions=True,
        )

    assert asked == 1
    assert [type(error) for error in errors] == [AccessDeniedError] * 3
    assert len({str(error).split(" failed")[0] for error in errors}) == 3
    assert all("vault sealed" in str(error) for error in errors)


async def test_a_provider_that_returns_a_token_with_its_line_end_is_told_so(
    emulator: PresenceEmulator,
) -> None:
    async def provider(_: str) -> str:
        return "token-of-a-file\n"

    async with PresenceClient(emulator.config(auth=provider)) as client:
        with pytest.raises(AccessDeniedError, match=r"token\.strip\(\)") as caught:
            await client.where_now()

    assert "token-of-a-file" not in str(caught.value)


async def test_a_provider_that_hangs_is_asked_again_after_a_minute(
    emulator: PresenceEmulator,
) -> None:
    provider = Provider(delay_s=10**6)
    async with PresenceClient(emulator.config(auth=provider)) as client:
        with pytest.raises(AccessDeniedError, match="no answer within 60 s"):
            await client.where_now(timeout_s=100)
        provider.delay_s = 1
        await client.where_now()

    assert sent(emulator) == ["token-2"]


async def test_a_provider_whose_own_work_is_cancelled_has_failed(
    emulator: PresenceEmulator,
) -> None:
    async def provider(_: str) -> str:
        raise asyncio.CancelledError

    async with PresenceClient(emulator.config(auth=provider)) as client:
        with pytest.raises(AccessDeniedError, match="interrupted"):
            await client.where_now()


async def test_close_cancels_a_fetch_that_nobody_waits_for(
    emulator: PresenceEmulator,
) -> None:
    provider = Provider(delay_s=10**6)

    async with PresenceClient(emulator.config(auth=provider)) as client:
        await give_up(client)

    assert provider.cancelled == 1


async def test_close_does_not_wait_for_a_provider_that_ignores_its_cancel(
    emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    async def stubborn(_: str) -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(100)
        return "late"

    client = await PresenceClient(emulator.config(auth=stubborn)).start()
    await give_up(client)
    began_s = asyncio.get_running_loop().time()
    await client.close()
    waited_s = asyncio.get_running_loop().time() - began_s
    await asyncio.sleep(200)

    assert waited_s < 2
    assert "goes on though it was cancelled" in caplog.text


# Nothing is kept of users who are gone.


async def test_nothing_is_kept_of_users_who_left(emulator: PresenceEmulator) -> None:
    provider = Provider(delay_s=0)
    async with PresenceClient(emulator.config(auth=provider)) as client:
        for n in range(20):
            async with client.join("lobby", user_id=f"user-{n}"):
                pass
            await client.heartbeat("lobby", user_id=f"once-{n}")
            await client.leave("lobby", user_id=f"once-{n}")
        await client.where_now()
        kept = len(client._core.tokens)

    assert kept == 1  # the client's own user


async def test_nothing_is_kept_of_a_user_whose_join_was_cancelled_during_a_fetch(
    emulator: PresenceEmulator,
) -> None:
    provider = Provider(delay_s=10**6)
    async with PresenceClient(emulator.config(auth=provider)) as client:
        joining = asyncio.create_task(client.join("lobby", user_id="eve"))
        await asyncio.sleep(1)
        joining.cancel()
        await asyncio.sleep(1000)

        assert len(client._core.tokens) == 0


@pytest.mark.parametrize("waits", [False, True], ids=["nobody waits", "one waits"])
async def test_a_token_fetched_for_a_user_who_is_gone_is_kept_only_if_somebody_waits(
    waits: bool,
) -> None:
    tokens = Tokens(Provider())
    asking = asyncio.create_task(tokens.fetch("eve"))
    await asyncio.sleep(1)
    if not waits:
        asking.cancel()
        await asyncio.wait({asking})

    tokens.forget("eve")
    await asyncio.sleep(10)

    assert value(tokens, "eve") == ("token-1" if waits else None)
    assert len(tokens) == int(waits)


async def test_a_token_set_for_a_user_outlives_the_lease(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    client.set_auth("eves", user_id="eve")
    for _ in range(2):
        async with client.join("lobby", user_id="eve"):
            pass

    assert sent(emulator) == ["eves"] * 4


async def test_tokens_set_for_users_without_a_lease_are_bounded() -> None:
    tokens = Tokens(None)
    for n in range(1500):
        tokens.set(f"token-{n}", f"user-{n}")
    assert len(tokens) == 1500

    for n in range(1500):
        tokens.forget(f"user-{n}")

    assert len(tokens) == 1000
    assert value(tokens, "user-0") is None
    assert value(tokens, "user-1499") == "token-1499"


async def test_a_token_in_use_again_is_not_dropped_for_others() -> None:
    tokens = Tokens(None)
    tokens.set("mine", "eve")
    tokens.forget("eve")
    assert value(tokens, "eve") == "mine"

    for n in range(1500):
        tokens.set(f"token-{n}", f"user-{n}")
        tokens.forget(f"user-{n}")

    assert value(tokens, "eve") == "mine"


@pytest.mark.parametrize("user_id", [None, "eve"], ids=["of all", "of one"])
async def test_a_refresh_drops_the_token_of_a_user_without_a_lease(
    user_id: str | None,
) -> None:
    tokens = Tokens(None)
    tokens.set("mine", "eve")
    tokens.forget("eve")

    tokens.refresh(user_id)

    assert value(tokens, "eve") is None
    assert len(tokens) == 0


async def test_a_leave_outlives_a_provider_that_fails_for_a_while(
    emulator: PresenceEmulator,
) -> None:
    is_down = False

    async def token(user_id: str) -> str:
        if is_down:
            raise OSError("the token service is down")
        return f"for-{user_id}"

    async with PresenceClient(emulator.config(user_id="bob", auth=token)) as client:
        lease = await client.join("lobby")
        is_down = True
        client.refresh_auth()
        with pytest.raises(AccessDeniedError, match="token"):
            await lease.leave()
        await asyncio.sleep(30)
        is_down = False

        await asyncio.sleep(6)

        assert len(emulator.requests.of("leave")) == 1
        assert not emulator.occupants("lobby")
