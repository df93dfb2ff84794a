"""``presence-async join``: keep a user present."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

import presence_async

from . import options
from .output import print_json, say, shown
from .running import run
from .set_state import parsed_state

__all__ = ["join"]


def join(
    channels: options.Channels = None,
    group: options.Groups = None,
    state: Annotated[
        str | None, typer.Option(help="A JSON object that every heartbeat carries.")
    ] = None,
    presence_timeout: Annotated[
        int | None,
        typer.Option(help="Seconds until a timeout [env: PUBNUB_PRESENCE_TIMEOUT_S]."),
    ] = None,
    subscribe_key: options.SubscribeKey = None,
    user_id: options.UserId = None,
    origin: options.Origin = None,
    proxy: options.Proxy = None,
    timeout_s: options.TimeoutS = 30,
    as_json: options.AsJson = False,
) -> None:
    """Be present on CHANNELS until Ctrl-C, then leave.

    Example: presence-async join lobby --user-id alice --state '{"mood": "ok"}'
    """

    async def stay() -> None:
        config = options.config_of(
            subscribe_key, user_id, origin, proxy, presence_timeout_s=presence_timeout
        )
        first = parsed_state(state) if state is not None else None
        async with presence_async.PresenceClient(config) as client:
            lease = await client.join(
                channels, channel_groups=group, state=first, timeout_s=timeout_s
            )
            printing = asyncio.create_task(_print_health(lease, as_json=as_json))
            try:
                await asyncio.wait({printing})
            finally:
                try:
                    await lease.leave()
                finally:
                    await asyncio.gather(printing, return_exceptions=True)
            printing.result()

    run(stay, until_stopped=True)


async def _print_health(lease: presence_async.Lease, *, as_json: bool) -> None:
    """Print each change of the lease's health."""
    where = ", ".join([*lease.channels, *lease.channel_groups])
    async for change in lease.changes():
        if as_json:
            print_json({
                "user_id": lease.user_id,
                "health": change.health,
                "reason": change.reason,
                "remaining_s": round(change.remaining_s, 1),
            })
        elif change.health is presence_async.LeaseHealth.RELEASED:
            say(f"leaving {shown(where)}")
        else:
            say(f"{shown(lease.user_id)} on {shown(where)}: {change.health}")
