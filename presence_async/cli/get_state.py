"""``presence-async get-state``: print a user's state."""

from __future__ import annotations

from typing import Annotated

import typer

import presence_async

from . import options
from .output import print_json, print_table, shown
from .running import run

__all__ = ["get_state"]


def get_state(
    channels: options.Channels = None,
    group: options.Groups = None,
    of: Annotated[
        str | None, typer.Option("--of", help="The user; yourself by default.")
    ] = None,
    subscribe_key: options.SubscribeKey = None,
    user_id: options.UserId = None,
    origin: options.Origin = None,
    proxy: options.Proxy = None,
    timeout_s: options.TimeoutS = 30,
    as_json: options.AsJson = False,
) -> None:
    """Show a user's state on CHANNELS.

    Example: presence-async get-state lobby --of alice
    """

    async def ask() -> None:
        config = options.config_of(subscribe_key, user_id, origin, proxy)
        async with presence_async.PresenceClient(config) as client:
            found = await client.get_state(
                channels, channel_groups=group, user_id=of, timeout_s=timeout_s
            )
        if as_json:
            print_json(found.to_dict())
        else:
            rows = [[shown(name), shown(s)] for name, s in sorted(found.states.items())]
            print_table(f"state of {shown(found.user_id)}", ["channel", "state"], rows)

    run(ask)
