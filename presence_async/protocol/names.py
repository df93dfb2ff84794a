"""Check names before they are sent: users, channels, channel groups and keys.

The rules are those of the PubNub documentation, and those that keep a name from
reaching another path. Every name returned here is safe to escape and send.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from ..errors import InvalidArgumentError

__all__ = [
    "MAX_DOCUMENTED_LENGTH",
    "MAX_LENGTH",
    "PRESENCE_SUFFIX",
    "channel_names",
    "group_names",
    "is_presence_name",
    "is_wildcard",
    "key",
    "one_channel",
    "one_group",
    "places",
    "present_places",
    "require_any",
    "some_channels",
    "user_id",
    "without_presence",
]

MAX_LENGTH = 2048
"""The most characters of a name; longer names are rejected before any request."""

MAX_DOCUMENTED_LENGTH = 92
"""The most UTF-8 characters of user IDs and channels, as documented."""

PRESENCE_SUFFIX = "-pnpres"
"""The reserved ending of names that carry presence events."""

Names = str | Iterable[str] | None


def channel_names(names: Names) -> tuple[str, ...]:
    """Check channel names; one ``str`` is one name, ``None`` names nothing.

    Args:
        names: One name or an iterable of names, read once.

    Returns:
        The names in the order given, without duplicates.

    Raises:
        InvalidArgumentError: A name is empty, blank or over 2,048 characters, or
            contains a lone surrogate, a comma or a ``.``/``..`` segment.
    """
    return _names(names, "channels")


def group_names(names: Names) -> tuple[str, ...]:
    """Check channel-group names, by the rules of ``channel_names``."""
    return _names(names, "channel_groups")


def without_presence(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names without ``-pnpres`` ones, which heartbeats and leaves ignore."""
    return tuple([name for name in names if not is_presence_name(name)])


def one_channel(name: str) -> str:
    """Check one channel name, by the rules of ``channel_names``."""
    return _checked_in_list(_text(name, "channel"), "channel")


def one_group(name: str) -> str:
    """Check one channel-group name, by the rules of ``channel_names``."""
    return _checked_in_list(_text(name, "group"), "group")


def some_channels(names: Names) -> tuple[str, ...]:
    """Check channel names; there must be at least one."""
    checked = channel_names(names)
    if not checked:
        raise InvalidArgumentError("channels", "names nothing; name at least one")
    return checked


def require_any(channels: tuple[str, ...], channel_groups: tuple[str, ...]) -> None:
    """Raise if neither a channel nor a group is named."""
    if not channels and not channel_groups:
        raise InvalidArgumentError(
            "channels", "nothing is named; name a channel or a channel group"
        )


def places(
    channels: Names, channel_groups: Names
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Check the channels and the groups of a query; there may be none."""
    return _names(channels, "channels"), _names(channel_groups, "channel_groups")


def present_places(
    channels: Names, channel_groups: Names
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Check the channels and groups of a heartbeat, state or leave.

    Raises:
        InvalidArgumentError: Nothing is named, or a ``-pnpres`` name is.
    """
    named, groups = places(channels, channel_groups)
    require_any(named, groups)
    for name in named + groups:
        if name.endswith(PRESENCE_SUFFIX):
            raise InvalidArgumentError(
                "channels" if name in named else "channel_groups",
                f"{_shown(name)} names a stream of events where nobody can be present;"
                f" write {_shown(name.removesuffix(PRESENCE_SUFFIX))}",
            )
    return named, groups


def is_presence_name(name: str) -> bool:
    """Return True if a name carries the presence events of another."""
    return name.endswith(PRESENCE_SUFFIX)


def is_wildcard(name: str) -> bool:
    """Return True for a name such as ``a.*``, which matches all channels below it."""
    return name.removesuffix(PRESENCE_SUFFIX).endswith(".*")


def user_id(name: object, argument: str = "user_id") -> str:
    """Check a user ID; unlike a channel it may contain a comma."""
    return _checked(_text(name, argument), argument)


def key(name: object, argument: str) -> str:
    """Check a publish, subscribe or secret key; the error never shows it."""
    text = _text(name, argument)
    if not text.isprintable() or any(character in " ,/" for character in text):
        raise InvalidArgumentError(
            argument,
            "a key has no spaces, commas, slashes or control characters; copy it again",
        )
    if not text or len(text) > MAX_LENGTH or text in {".", ".."}:
        raise InvalidArgumentError(
            argument,
            f"a key must not be empty, over {MAX_LENGTH:,} characters or only dots;"
            " copy it again",
        )
    return text


def _names(names: object, argument: str) -> tuple[str, ...]:
    if names is None:
        return ()
    if isinstance(names, str):
        return _one_checked(_text(names, argument), argument)
    if isinstance(names, (bytes, bytearray)) or not isinstance(names, Iterable):
        raise InvalidArgumentError(
            argument,
            f"must be a str or an iterable of str, not {type(names).__name__}",
        )
    checked = [_checked_in_list(_text(name, argument), argument) for name in names]
    return tuple(dict.fromkeys(checked))


def _text(name: object, argument: str) -> str:
    if type(name) is str:
        return name
    if isinstance(name, str):
        # A member of an enum, for example, must not get into the caches below.
        return str.__str__(name)
    raise InvalidArgumentError(
        argument, f"must be a str, not {type(name).__name__}; write str(value)"
    )


@functools.lru_cache(maxsize=8192)
def _one_checked(name: str, argument: str) -> tuple[str, ...]:
    return (_checked_in_list(name, argument),)


@functools.lru_cache(maxsize=8192)
def _checked_in_list(name: str, argument: str) -> str:
    if "," in name:
        raise InvalidArgumentError(
            argument,
            f"{_shown(name)} has a comma, which separates names on the wire;"
            " write a list of names",
        )
    return _checked(name, argument)


def _checked(name: str, argument: str) -> str:
    fault = _fault_of(name)
    if fault is not None:
        raise InvalidArgumentError(argument, fault)
    return name


@functools.lru_cache(maxsize=8192)
def _fault_of(name: str) -> str | None:
    """Return what is wrong with a name.

    A cache of one argument that is a string has the string itself as its key.
    """
    if not name or name.isspace():
        return "a name must not be empty or blank"
    if len(name) > MAX_LENGTH:
        return f"{_shown(name)} has {len(name)} characters; write at most {MAX_LENGTH}"
    if any("\ud800" <= character <= "\udfff" for character in name):
        return f"{_shown(name)} contains a lone surrogate; write valid Unicode"
    if not any(segment in {".", ".."} for segment in name.split("/")):
        return None
    return (
        f"{_shown(name)} is or contains a '.' or '..' path segment, which servers may"
        " resolve to another path; write another name"
    )


def _shown(name: str) -> str:
    return ascii(name if len(name) <= MAX_DOCUMENTED_LENGTH else f"{name[:40]}…")
