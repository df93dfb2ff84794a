"""Options that several commands share."""

from __future__ import annotations

import math
import re
from typing import Annotated

import typer

import presence_async

__all__ = [
    "AsJson",
    "Channels",
    "Duration",
    "Groups",
    "Origin",
    "Proxy",
    "Register",
    "SubscribeKey",
    "TimeoutS",
    "UserId",
    "config_of",
    "seconds_of",
]

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600}

Channels = Annotated[
    list[str] | None, typer.Argument(help="Channels.", show_default=False)
]
Groups = Annotated[
    list[str] | None,
    typer.Option("--group", "-g", help="A channel group; may be repeated."),
]
SubscribeKey = Annotated[
    str | None,
    typer.Option(
        help="Subscribe key of the key set [env: PUBNUB_SUBSCRIBE_KEY].",
        show_default=False,
    ),
]
UserId = Annotated[
    str | None,
    typer.Option(help="Your user ID [env: PUBNUB_USER_ID].", show_default=False),
]
Origin = Annotated[
    str | None,
    typer.Option(
        help="Host, host:port (https), or URL [env: PUBNUB_ORIGIN].",
        show_default=False,
    ),
]
Proxy = Annotated[
    str | None,
    typer.Option(
        help=(
            "URL of an HTTP proxy [env: PUBNUB_PROXY; use this for a URL with a"
            " password, which other users could read on the command line]."
        ),
        show_default=False,
    ),
]
Register = Annotated[
    str | None,
    typer.Option(
        metavar="URL|FILE",
        envvar="PRESENCE_REGISTER_URL",
        show_envvar=False,
        help=(
            "What the processes share that keep the same users present: the URL of a"
            " Valkey or Redis server, or a file [env: PRESENCE_REGISTER_URL; use this"
            " for a URL with a password, which other users could read on the command"
            " line]."
        ),
        show_default=False,
    ),
]
TimeoutS = Annotated[
    float, typer.Option("--timeout", help="Seconds that the whole call may take.")
]


def seconds_of(text: str) -> float:
    """Read a span of time.

    Raises:
        BadParameter: It is none, or endless.
    """
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*(s|m|h|)", text.strip().lower())
    seconds = float(found[1]) * _UNITS_S[found[2]] if found else 0.0
    if not 0 < seconds < math.inf:
        raise typer.BadParameter(
            f"{text!r} is no span of time; write seconds, minutes or hours, such as"
            " 90, 90s, 5m or 1.5h"
        )
    return seconds


Duration = Annotated[
    float | None,
    typer.Option(
        parser=seconds_of,
        metavar="TIME",
        help="End by itself after TIME, such as 90s, 5m or 1.5h.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]


def config_of(
    subscribe_key: str | None,
    user_id: str | None,
    origin: str | None,
    proxy: str | None,
    **more: object,
) -> presence_async.PresenceConfig:
    """Make a config from options, and from the environment for options not given.

    Raises:
        InvalidArgumentError: A setting is missing or invalid.
    """
    given = {
        "subscribe_key": subscribe_key,
        "user_id": user_id,
        "origin": origin,
        "proxy": proxy,
        **more,
    }
    return presence_async.PresenceConfig.from_env(**{
        name: value for name, value in given.items() if value is not None
    })
