"""Tokens: what was set last wins, one fetch per user, nothing kept of those gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from presence_async import AccessDeniedError, DeadlineError, PresenceClient
from presence_async.client.auth import Tokens
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


async def test_a_token_set_while_the_old_one_is_refused_is_tried(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(status=403, delay_s=2, times=1))
    async with PresenceClient(emulator.config(auth="old")) as client:
        asking = asyncio.create_task(client.where_now())
        await asyncio.sleep(1)
        client.set_auth("new")
        await asking

    assert sent(emulator) == ["old", "new"]


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


async def test_a_fetch_for_a_user_who_is_gone_ends_unless_somebody_waits() -> None:
    provider = Provider()
    tokens = Tokens(provider)
    asking = asyncio.create_task(tokens.fetch("eve"))
    await asyncio.sleep(1)
    tokens.forget("eve")
    assert await asking == tokens.at_hand("eve")

    tokens.refresh("eve")
    asking = asyncio.create_task(tokens.fetch("eve"))
    await asyncio.sleep(1)
    asking.cancel()
    await asyncio.wait({asking})
    tokens.forget("eve")
    await asyncio.sleep(0)

    assert (len(tokens), provider.cancelled) == (0, 1)


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
