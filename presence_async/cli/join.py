"""``presence-async join``: keep a user present."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

import presence_async
import presence_async.register

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
    hand_over: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help=(
                "At the end stay present for SECONDS, but 20 at least, instead of"
                " leaving, so that another process can take over unseen."
            ),
        ),
    ] = 0,
    register: options.Register = None,
    subscribe_key: options.SubscribeKey = None,
    user_id: options.UserId = None,
    origin: options.Origin = None,
    proxy: options.Proxy = None,
    timeout_s: options.TimeoutS = 30,
    as_json: options.AsJson = False,
) -> None:
    """Be present on CHANNELS until Ctrl-C, then leave.

    Example: presence-async join lobby --user-id alice --state '{"mood": "ok"}'

    Across a restart: presence-async join lobby --user-id alice --hand-over 20

    With --register the user stays present while another process that shares it holds
    the user, too.
    """

    async def stay() -> None:
        config = options.config_of(
            subscribe_key, user_id, origin, proxy, presence_timeout_s=presence_timeout
        )
        first = parsed_state(state) if state is not None else None
        shared = presence_async.register.register_at(register) if register else None
        async with presence_async.PresenceClient(config, register=shared) as client:
            lease = await client.join(
                channels, channel_groups=group, state=first, timeout_s=timeout_s
            )
            printing = asyncio.create_task(
                _print_health(lease, hands_over=hand_over > 0, as_json=as_json)
            )
            try:
                await asyncio.wait({printing})
            finally:
                try:
                    await _end(client, lease, hand_over)
                finally:
                    await asyncio.gather(printing, return_exceptions=True)
            printing.result()

    run(stay, until_stopped=True, hand_over_s=hand_over)


async def _end(
    client: presence_async.PresenceClient,
    lease: presence_async.Lease,
    hand_over_s: float,
) -> None:
    """Leave, or hand the user over.

    Raises:
        PresenceError: The service did not acknowledge it.
    """
    if not hand_over_s:
        await lease.leave()
    # A register that is away may have put the leave off until now.
    report = await client.close(hand_over_s=hand_over_s)
    for presence in report.failed:
        if presence.error is not None:
            raise presence.error


async def _print_health(
    lease: presence_async.Lease, *, hands_over: bool, as_json: bool
) -> None:
    """Print each change of the lease's health, and what happens at the end."""
    farewell = "handing over" if hands_over else "leaving"
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
            say(f"{farewell} {shown(where)}")
        else:
            say(f"{shown(lease.user_id)} on {shown(where)}: {change.health}")
