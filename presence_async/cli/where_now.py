"""``presence-async where-now``: print where a user is."""

from __future__ import annotations

from typing import Annotated

import typer

import presence_async

from . import options
from .output import print_json, say, shown
from .running import run

__all__ = ["where_now"]


def where_now(
    user: Annotated[
        str | None,
        typer.Argument(help="The user; yourself by default."),
    ] = None,
    subscribe_key: options.SubscribeKey = None,
    user_id: options.UserId = None,
    origin: options.Origin = None,
    proxy: options.Proxy = None,
    timeout_s: options.TimeoutS = 30,
    as_json: options.AsJson = False,
) -> None:
    """Show the channels that a user is present on.

    One on each line.

    Example: presence-async where-now alice
    """

    async def ask() -> None:
        config = options.config_of(subscribe_key, user_id, origin, proxy)
        async with presence_async.PresenceClient(config) as client:
            where = await client.where_now(user, timeout_s=timeout_s)
        if as_json:
            print_json(where.to_dict())
        else:
            for channel in sorted(where.channels):
                say(shown(channel))

    run(ask)
