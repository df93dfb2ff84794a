"""``presence-async set-state``: replace a user's state."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

import presence_async

from . import options
from .output import print_json, say, shown
from .running import run

__all__ = ["parsed_state", "set_state", "state_and_channels"]


_EXAMPLE = 'such as: set-state lobby mood=ok, or: set-state \'{"mood": "ok"}\' lobby'


def set_state(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="CHANNELS KEY=VALUE...",
            help="Channels, and the state as KEY=VALUE or as one JSON object.",
            show_default=False,
        ),
    ],
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
    """Replace a user's whole state on CHANNELS.

    Example: presence-async set-state lobby mood=ok score=3 away=false

    The same as JSON: presence-async set-state lobby '{"mood": "ok", "score": 3,
    "away": false}'

    A VALUE is JSON if it can be, a text if not: 3 is a number, and '"3"' a text. The
    state '{}' clears. If the name of a channel has '=' in it, write the state as JSON
    before the channels.
    """

    async def ask() -> None:
        state, channels = state_and_channels(words)
        config = options.config_of(subscribe_key, user_id, origin, proxy)
        async with presence_async.PresenceClient(config) as client:
            stored = await client.set_state(
                channels,
                state=state,
                channel_groups=group,
                user_id=of,
                timeout_s=timeout_s,
            )
        if as_json:
            print_json(stored)
        else:
            say(f"stored {shown(stored)}")

    run(ask)


def state_and_channels(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Tell the state from the channels.

    Raises:
        InvalidArgumentError: There is no state, or more than one.
    """
    if words[0].lstrip().startswith("{"):
        return parsed_state(words[0]), list(words[1:])
    objects = [word for word in words if word.lstrip().startswith("{")]
    pairs = [word for word in words if "=" in word and word not in objects]
    channels = [word for word in words if word not in {*objects, *pairs}]
    if len(objects) > 1 or (objects and pairs):
        raise _invalid("is given twice; write one JSON object or pairs,")
    if objects:
        return parsed_state(objects[0]), channels
    if pairs:
        return _state_of_pairs(pairs), channels
    if words[0].startswith("["):
        return parsed_state(words[0]), channels[1:]
    raise _invalid("is missing; write it as pairs or as one JSON object,")


def _state_of_pairs(pairs: Iterable[str]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for pair in pairs:
        key, _, text = pair.partition("=")
        if not key or key in state:
            what = f"has {key!r} twice" if key else f"has no key before {pair!r}"
            raise _invalid(f"{what}; write each KEY=VALUE once,")
        state[key] = _value(text)
    return state


def _value(text: str) -> object:
    """Return JSON as what it is, and anything else as a text."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> None:
    """Take NaN and the infinities, which JSON lacks, for texts."""
    raise ValueError(constant)


def parsed_state(text: str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        InvalidArgumentError: The text is not a JSON object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error)
    else:
        if isinstance(value, dict):
            return value
        reason = f"it is a {type(value).__name__}"
    raise presence_async.InvalidArgumentError(
        "state", f'must be a JSON object such as \'{{"mood": "ok"}}\': {reason}'
    )


def _invalid(rule: str) -> presence_async.InvalidArgumentError:
    return presence_async.InvalidArgumentError("state", f"{rule} {_EXAMPLE}")
