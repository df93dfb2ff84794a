"""``presence-async demo``: shows presence in a few seconds, without a network."""

from __future__ import annotations

import asyncio
import math

import presence_async

from .. import emulator as presence_emulator
from .here_now import print_here
from .output import say, shown
from .running import run

__all__ = ["demo"]

_CHANNELS = ["kitchen", "lobby"]
_TIMEOUT_S = 3


def demo() -> None:
    """Show users who join, leave, crash and time out.

    Everything happens on this machine: a local presence service is started, and the
    clients talk HTTP to it. Example: presence-async demo
    """
    run(lambda: _show_all(presence_emulator.PresenceEmulator()))


async def _show_all(service: presence_emulator.PresenceEmulator) -> None:
    async with service as emulator:
        say(f"1. A presence service listens on http://{emulator.origin}")
        async with (
            presence_async.PresenceClient(
                emulator.config(user_id="observer")
            ) as observer,
            observer.events("lobby") as stream,
        ):
            await _run_users(emulator)
            await _print_events(stream)


async def _run_users(emulator: presence_emulator.PresenceEmulator) -> None:
    config = emulator.config(user_id="demo", presence_timeout_s=_TIMEOUT_S)
    fragile = emulator.config(
        user_id="bob", presence_timeout_s=_TIMEOUT_S, leave_on_close=False
    )
    async with presence_async.PresenceClient(config) as client:
        bobs_program = await presence_async.PresenceClient(fragile).start()
        try:
            await _share_a_house(client, bobs_program)
        finally:
            await bobs_program.close()
        await _outlive_a_crash(client)


async def _share_a_house(
    client: presence_async.PresenceClient, bobs: presence_async.PresenceClient
) -> None:
    await client.join(_CHANNELS, user_id="alice", state={"mood": "happy"})
    await bobs.join(_CHANNELS, state={"mood": "hungry"})
    carol = await client.join("lobby", user_id="carol", state={"mood": "new here"})
    say("\n2. Alice, Bob and Carol join with a state; heartbeats keep them present.")
    await _show(client)

    await client.set_state(_CHANNELS, state={"mood": "cooking"}, user_id="alice")
    found = await client.get_state("kitchen", user_id="alice")
    say(f"\n3. Alice changes her state to {shown(found.states['kitchen'])}.")

    await carol.leave()
    say("\n4. Carol leaves; everybody knows at once.")
    await _show(client)


async def _outlive_a_crash(client: presence_async.PresenceClient) -> None:
    say(f"\n5. Bob's program crashes without leaving. Timeout: {_TIMEOUT_S} s.")
    from .tables import waiting_bar  # noqa: PLC0415  # as app says

    began_s = _now_s()
    limit_s = _TIMEOUT_S + 2
    with waiting_bar() as progress:
        bar = progress.add_task("waiting", total=_TIMEOUT_S)
        while _now_s() - began_s < limit_s:
            here = await client.here_now("lobby")
            progress.update(bar, completed=min(_now_s() - began_s, _TIMEOUT_S))
            if "bob" not in (here.channels["lobby"].user_ids or ()):
                break
            await asyncio.sleep(0.1)

    waited_s = math.floor((_now_s() - began_s) * 10) / 10
    where = await client.where_now("alice")
    rooms = _list(where.channels)
    say(f"\n6. After {waited_s} s Bob is gone. Alice is still in {rooms}.")
    await _show(client)


async def _print_events(stream: presence_async.EventStream) -> None:
    """Print every event until the last user has left."""
    say("\n7. Alice's program ends and leaves. What an observer of the lobby saw:")
    async for event in stream:
        if isinstance(event, presence_async.UserEvent):
            say(f"   {event.user_id} {event.action}, {event.occupancy} there")
        if event.occupancy == 0:
            return


async def _show(client: presence_async.PresenceClient) -> None:
    print_here(await client.here_now(_CHANNELS, include_state=True), with_state=True)


def _list(names: tuple[str, ...]) -> str:
    return " and ".join(sorted(names))


def _now_s() -> float:
    return asyncio.get_running_loop().time()
