"""The values of here now: who is present."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Self

import attrs

from .json_codec import Json, JsonError, decode_object, decode_objects, encode_state

__all__ = ["ChannelOccupancy", "HereNow", "HereNowCounts", "Occupant"]

_SHOWN_IDS = 10


@attrs.frozen(kw_only=True)
class Occupant:
    """One user on one channel.

    Attributes:
        user_id: The user.
        state: The user's state there, ``{}`` for none; ``None`` if it was not asked
            for or could not be decoded.
        state_error: Why it could not be decoded, or ``None``.
    """

    user_id: str
    state: Mapping[str, Json] | None = None
    state_error: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return {
            "user_id": self.user_id,
            "state": None if self.state is None else dict(self.state),
            "state_error": self.state_error,
        }


def _shown(user_ids: tuple[str, ...] | None) -> str:
    if user_ids is None or len(user_ids) <= _SHOWN_IDS:
        return repr(user_ids)
    return f"<{len(user_ids)}: {', '.join(map(repr, user_ids[:_SHOWN_IDS]))}, …>"


def _decoded(states: tuple[bytes, ...] | None) -> tuple[object, ...] | None:
    """Return the states decoded, for comparisons."""
    return None if states is None else tuple(map(_state_of, states))


@attrs.frozen(kw_only=True)
class ChannelOccupancy:
    """Who is on one channel.

    Attributes:
        channel: The channel.
        occupancy: The number of users present, by the service's count.
        user_ids: The IDs of those on this page; ``None`` if not asked for.
        is_complete: Whether these are all of them; ``None`` without IDs.
        encoded_states: The users' states as JSON, one for each user ID, empty where
            there is none; ``None`` if not asked for. ``occupants`` decodes them.
    """

    channel: str
    occupancy: int
    user_ids: tuple[str, ...] | None = attrs.field(default=None, repr=_shown)
    is_complete: bool | None = None
    # Public, since msgspec encodes nothing else: what it encodes has to decode again.
    encoded_states: tuple[bytes, ...] | None = attrs.field(
        default=None, repr=False, eq=_decoded
    )

    @property
    def occupants(self) -> tuple[Occupant, ...] | None:
        """The users with their states; ``None`` if IDs were not asked for."""
        return self._occupants

    @functools.cached_property
    def _occupants(self) -> tuple[Occupant, ...] | None:
        if self.user_ids is None:
            return None
        if self.encoded_states is None:
            return tuple([Occupant(user_id=user_id) for user_id in self.user_ids])
        try:
            # Decoding all at once takes a tenth of the time of one by one.
            states = [state or b"{}" for state in self.encoded_states]
            together = b"[" + b",".join(states) + b"]"
            decoded = decode_objects(together)
        except JsonError:
            return tuple(map(_occupant, self.user_ids, self.encoded_states))
        return tuple([
            Occupant(user_id=user_id, state=state)
            for user_id, state in zip(self.user_ids, decoded, strict=True)
        ])

    @classmethod
    def of(
        cls,
        channel: str,
        occupants: Mapping[str, Mapping[str, Json]] | Iterable[str],
        *,
        occupancy: int | None = None,
        is_complete: bool | None = None,
    ) -> Self:
        """Make one from user IDs, or from the state of each user ID.

        Args:
            channel: The channel.
            occupants: The IDs, or a mapping of ID to state.
            occupancy: The number of users; ``None``: of these occupants.
            is_complete: ``None``: if there are as many occupants as the occupancy.
        """
        user_ids = tuple(occupants)
        count = len(user_ids) if occupancy is None else occupancy
        states = None
        if isinstance(occupants, Mapping):
            states = tuple(encode_state(s).encode() for s in occupants.values())
        return cls(
            channel=channel,
            occupancy=count,
            user_ids=user_ids,
            is_complete=count == len(user_ids) if is_complete is None else is_complete,
            encoded_states=states,
        )

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        occupants = self.occupants if self.encoded_states is not None else None
        return {
            "channel": self.channel,
            "occupancy": self.occupancy,
            "user_ids": None if self.user_ids is None else list(self.user_ids),
            "occupants": None
            if occupants is None
            else [o.to_dict() for o in occupants],
            "is_complete": self.is_complete,
        }


@attrs.frozen(kw_only=True)
class HereNow:
    """Who is present on several channels.

    Attributes:
        channels: By channel; contains every channel asked for by name.
        total_channels: The number of occupied channels, by the service's count.
        total_occupancy: The sum of occupancies; a user on two channels counts twice.
    """

    channels: Mapping[str, ChannelOccupancy]
    total_channels: int
    total_occupancy: int

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return {
            "channels": {name: c.to_dict() for name, c in self.channels.items()},
            "total_channels": self.total_channels,
            "total_occupancy": self.total_occupancy,
        }


@attrs.frozen(kw_only=True)
class HereNowCounts:
    """The number of users present on several channels, without their IDs.

    Attributes:
        channels: By channel; ``user_ids`` and ``occupants`` are ``None``.
        total_channels: As in ``HereNow``.
        total_occupancy: As in ``HereNow``.
    """

    channels: Mapping[str, ChannelOccupancy]
    total_channels: int
    total_occupancy: int

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return {
            "channels": {n: c.occupancy for n, c in self.channels.items()},
            "total_channels": self.total_channels,
            "total_occupancy": self.total_occupancy,
        }


def _occupant(user_id: str, state: bytes) -> Occupant:
    if not state:
        return Occupant(user_id=user_id, state={})
    try:
        return Occupant(user_id=user_id, state=decode_object(state))
    except JsonError as error:
        return Occupant(user_id=user_id, state_error=str(error))


def _state_of(state: bytes) -> object:
    try:
        return decode_object(state) if state else {}
    except JsonError:
        return state
