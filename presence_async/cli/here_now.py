"""``presence-async here-now``: print who is on channels."""

from __future__ import annotations

from typing import Annotated

import typer

import presence_async

from . import options
from .output import print_json, print_table, shown
from .running import run

__all__ = ["here_now"]


def here_now(
    channels: options.Channels = None,
    group: options.Groups = None,
    state: Annotated[
        bool, typer.Option("--state", help="Show the states, too.")
    ] = False,
    counts: Annotated[
        bool, typer.Option("--counts", help="Show only the numbers of users.")
    ] = False,
    limit: Annotated[int, typer.Option(help="Occupants per channel, at most.")] = 1000,
    offset: Annotated[int, typer.Option(help="Occupants to skip.")] = 0,
    subscribe_key: options.SubscribeKey = None,
    user_id: options.UserId = None,
    origin: options.Origin = None,
    proxy: options.Proxy = None,
    timeout_s: options.TimeoutS = 30,
    as_json: options.AsJson = False,
) -> None:
    """Show who is on CHANNELS; without CHANNELS, on every channel.

    Example: presence-async here-now lobby news --state
    """

    async def ask() -> None:
        config = options.config_of(subscribe_key, user_id, origin, proxy)
        async with presence_async.PresenceClient(config) as client:
            here: presence_async.HereNow | presence_async.HereNowCounts
            if counts:
                here = await client.here_now(
                    channels or None,
                    channel_groups=group or None,
                    include_user_ids=False,
                    limit=limit,
                    offset=offset,
                    timeout_s=timeout_s,
                )
            else:
                here = await client.here_now(
                    channels or None,
                    channel_groups=group or None,
                    include_state=state,
                    limit=limit,
                    offset=offset,
                    timeout_s=timeout_s,
                )
        if as_json:
            print_json(here.to_dict())
        else:
            print_here(here, with_state=state)

    run(ask)


def print_here(
    here: presence_async.HereNow | presence_async.HereNowCounts, *, with_state: bool
) -> None:
    """Print a table of channels and who is on them."""
    rows = []
    for name, channel in sorted(here.channels.items()):
        users = [
            shown(f"{o.user_id} {shown(o.state or o.state_error or '')}".strip())
            if with_state
            else shown(o.user_id)
            for o in channel.occupants or ()
        ]
        rows.append([shown(name), str(channel.occupancy), "\n".join(sorted(users))])
    title = f"{here.total_occupancy} present on {here.total_channels} channels"
    print_table(title, ["channel", "occupancy", "users"], rows)
