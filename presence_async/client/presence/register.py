"""The register of leases: who holds what. Pure, no IO."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from ..lease import Lease, LeaseHealth
from .leaves import HeldNames
from .user_presence import UserPresence

__all__ = ["PresenceRegister"]

_NOTHING = HeldNames()


class PresenceRegister:
    """Every user with leases, those still joining included."""

    def __init__(self) -> None:
        self._presences: dict[str, UserPresence] = {}

    def __iter__(self) -> Iterator[UserPresence]:
        return iter(list(self._presences.values()))

    def get(self, user_id: str) -> UserPresence | None:
        """Return a user's presence, if any lease is held."""
        return self._presences.get(user_id)

    def enter(self, lease: Lease) -> UserPresence:
        """Add a lease."""
        presence = self._presences.get(lease.user_id)
        if presence is None:
            presence = self._presences[lease.user_id] = UserPresence(lease.user_id)
        presence.leases.append(lease)
        return presence

    def strike(self, lease: Lease) -> UserPresence | None:
        """Take a lease out; returns the presence if other leases remain."""
        presence = self._presences[lease.user_id]
        presence.leases.remove(lease)
        if presence.leases:
            presence.forget_states()
            return presence
        presence.due_s = math.inf
        del self._presences[lease.user_id]
        return None

    def holds(self, lease: Lease) -> bool:
        """Whether a lease is in the register."""
        presence = self._presences.get(lease.user_id)
        return presence is not None and lease in presence.leases

    def held(self, user_id: str) -> HeldNames:
        """Return what all leases of a user hold."""
        presence = self._presences.get(user_id)
        return _NOTHING if presence is None else presence.held()

    def narrow(
        self, user_id: str, channels: Iterable[str], channel_groups: Iterable[str]
    ) -> None:
        """Take names out of every lease of a user; empty leases are released."""
        presence = self._presences.get(user_id)
        if presence is None:
            return
        gone_channels, gone_groups = set(channels), set(channel_groups)
        for lease in list(presence.leases):
            lease.channels = tuple(c for c in lease.channels if c not in gone_channels)
            lease.channel_groups = tuple(
                g for g in lease.channel_groups if g not in gone_groups
            )
            if not lease.channels and not lease.channel_groups:
                lease.turn(LeaseHealth.RELEASED, "its names were left")
                self.strike(lease)

    def clear(self) -> list[UserPresence]:
        """Take every user out."""
        presences = list(self._presences.values())
        self._presences.clear()
        for presence in presences:
            presence.due_s = math.inf
        return presences
