"""``presence-async holders``: print which processes keep a user present."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import presence_async.register

from ..errors import InvalidArgumentError, RegisterError
from . import options
from .output import print_json, print_table, say, shown
from .running import run

if TYPE_CHECKING:
    from ..register.holders import HeldName, UserHolder, UserHolders

__all__ = ["holders"]

_SQLITE = b"SQLite format 3\x00"


def holders(
    user: Annotated[str, typer.Argument(help="The user.", show_default=False)],
    register: options.Register = None,
    subscribe_key: options.SubscribeKey = None,
    as_json: options.AsJson = False,
) -> None:
    """Show which processes hold USER in a register.

    And how USER stands in each.

    Example: presence-async holders alice --register presence.db
    """

    async def look() -> None:
        # For its checks: of the settings only the subscribe key is used.
        config = options.config_of(subscribe_key, user, None, None)
        found = await _holders(_checked(register), config.subscribe_key, user)
        if as_json:
            print_json(found.to_dict())
        else:
            print_holders(found)

    run(look)


def _checked(register: str | None) -> str:
    """Return the name of a register; a file must be one already, or nearly.

    A client would put a new one in its place, which nobody asks for by looking.

    Raises:
        InvalidArgumentError: None is named, or a file that is something else.
        RegisterError: There is no such file.
    """
    if not register:
        raise InvalidArgumentError(
            "register",
            "is missing; name the URL of a Valkey or Redis server or a file, here or"
            " in PRESENCE_REGISTER_URL",
        )
    if "://" not in register:
        try:
            with Path(register).open("rb") as file:
                beginning = file.read(len(_SQLITE))
        except OSError as error:
            problem = f"no register at {register!r}: {error.strerror}"
            raise RegisterError(problem) from None
        if beginning not in {b"", _SQLITE}:
            raise InvalidArgumentError("register", f"{register!r} is no register")
    return register


async def _holders(register: str, subscribe_key: str, user_id: str) -> UserHolders:
    shared = presence_async.register.register_at(register)
    try:
        await shared.open()
        return await shared.holders(subscribe_key, user_id)
    finally:
        await shared.close()


def print_holders(found: UserHolders) -> None:
    """Print a table of the processes that hold a user, and one of the user's names."""
    labels = {x.worker_id: x.label or x.worker_id for x in found.holders}
    user = shown(found.user_id)
    if found.holders:
        count = len(found.holders)
        print_table(
            f"{user} is held by {count} {'worker' if count == 1 else 'workers'}",
            ["worker", "process", "alive until", "holds, with timeout"],
            [_worker_row(holder) for holder in found.holders],
        )
    else:
        say(f"nobody holds {user}")
    if found.names:
        print_table(
            f"what is known of {user}",
            ["name", "present until", "last heartbeat", "also"],
            [_name_row(name, labels) for name in found.names],
        )


def _worker_row(holder: UserHolder) -> list[str]:
    held = [f"{_named(x)}, {s} s" for x, s in sorted(holder.timeouts_s.items())]
    return [
        shown(holder.worker_id),
        shown(holder.label or "unknown"),
        _from_now(holder.gone_in_s) if holder.is_alive else "dead",
        "\n".join(held),
    ]


def _name_row(name: HeldName, labels: Mapping[str, str]) -> list[str]:
    present, beat = "unknown", "none known"
    if name.expires_in_s is not None:
        present = _from_now(name.expires_in_s) if name.expires_in_s else "over"
    if name.beat_age_s is not None:
        by = labels.get(name.beaten_by, name.beaten_by)
        beat = f"{name.beat_age_s:.0f} s ago\nby {shown(by)}"
    also = []
    if name.claimed_by:
        by = labels.get(name.claimed_by, name.claimed_by)
        also.append(f"{shown(by)} sends a heartbeat now")
    if name.lingers_s is not None:
        also.append(f"left {_from_now(name.lingers_s)} unless held again")
    if name.leaving_s:
        also.append(f"a leave is on its way, {name.leaving_s:.0f} s at most")
    if name.has_state:
        also.append("has a state")
    return [_named(name.name), present, beat, "\n".join(also)]


def _named(name: str) -> str:
    """Return a channel, or a group without its comma."""
    return shown(f"group {name[1:]}" if name.startswith(",") else name)


def _from_now(seconds: float) -> str:
    return f"in {seconds:.0f} s"
