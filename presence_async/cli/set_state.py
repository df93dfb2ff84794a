"""``presence-async set-state``: replace a user's state."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

import presence_async

from . import options
from .output import print_json, say, shown
from .running import run

__all__ = ["parsed_state", "set_state"]


def set_state(
    state: Annotated[str, typer.Argument(help="A JSON object; '{}' clears.")],
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
    """Replace a user's state on CHANNELS.

    Example: presence-async set-state '{"mood": "ok"}' lobby
    """

    async def ask() -> None:
        config = options.config_of(subscribe_key, user_id, origin, proxy)
        async with presence_async.PresenceClient(config) as client:
            stored = await client.set_state(
                channels,
                state=parsed_state(state),
                channel_groups=group,
                user_id=of,
                timeout_s=timeout_s,
            )
        if as_json:
            print_json(stored)
        else:
            say(f"stored {shown(stored)}")

    run(ask)


def parsed_state(text: str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        InvalidArgumentError: The text is not a JSON object.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        reason = str(error)
    else:
        if isinstance(value, dict):
            return value
        reason = f"it is a {type(value).__name__}"
    raise presence_async.InvalidArgumentError(
        "state", f'must be a JSON object such as \'{{"mood": "ok"}}\': {reason}'
    )
