"""Lease: a user's presence that the client keeps until it is released."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs

from ..errors import InvalidArgumentError
from ..protocol.json_codec import Json, plain_state

if TYPE_CHECKING:
    from .presence.presence_desk import PresenceDesk

__all__ = ["Lease", "LeaseChange", "LeaseChanges", "LeaseHealth"]


class LeaseHealth(enum.StrEnum):
    """How a lease stands, as far as the client can know."""

    FRESH = "fresh"
    """The last heartbeat was acknowledged."""
    AT_RISK = "at_risk"
    """A heartbeat failed, the presence timeout has not passed."""
    LOST = "lost"
    """The presence timeout has passed; still trying, will be present again."""
    REFUSED = "refused"
    """The service refuses the heartbeat; it will not change by itself."""
    RELEASED = "released"
    """Left, or the client is closed; for good."""


@attrs.frozen(kw_only=True)
class LeaseChange:
    """One change of a lease's health.

    Attributes:
        lease: Whose.
        previous: The health before; ``None`` in the first item of ``changes()``.
        health: The health now.
        reason: Why, in a few words.
        at: Loop time of the change.
        remaining_s: Seconds of presence left then.
    """

    lease: Lease
    previous: LeaseHealth | None
    health: LeaseHealth
    reason: str
    at: float
    remaining_s: float


class Lease:
    """Presence on some channels and groups, kept by heartbeats; made by ``join``.

    Several leases of one user are views of one presence: a channel is left when the
    last lease on it ends.
    """

    __slots__ = (
        "__weakref__",
        "_change",
        "_desk",
        "_state",
        "_waiting",
        "channel_groups",
        "channels",
        "expires_at_s",
        "is_announced",
        "linger_s",
        "params",
        "presence_timeout_s",
        "state_version",
        "user_id",
    )

    def __init__(
        self,
        desk: PresenceDesk,
        *,
        user_id: str,
        channels: tuple[str, ...],
        channel_groups: tuple[str, ...],
        state: Mapping[str, Json] | None,
        presence_timeout_s: int,
        linger_s: float,
        params: tuple[tuple[str, str], ...],
    ) -> None:
        self._desk = desk
        self.user_id: str = user_id
        self.channels: tuple[str, ...] = channels
        self.channel_groups: tuple[str, ...] = channel_groups
        self.presence_timeout_s: int = presence_timeout_s
        self.linger_s: float = linger_s
        self.params: tuple[tuple[str, str], ...] = params
        self.expires_at_s: float = 0.0
        self.is_announced: bool = False
        self.state_version: int = 0
        self._state = state
        self._change: LeaseChange | None = None
        self._waiting: asyncio.Event | None = None

    def __repr__(self) -> str:
        return (
            f"<Lease of {self.user_id!r} on {list(self.channels)!r}"
            f" groups {list(self.channel_groups)!r}: {self.health}>"
        )

    @property
    def state(self) -> Mapping[str, Json] | None:
        """The state every heartbeat carries; ``None``: none."""
        return self._state

    @property
    def health(self) -> LeaseHealth:
        """How the lease stands."""
        return LeaseHealth.LOST if self._change is None else self._change.health

    @property
    def is_joined(self) -> bool:
        """Whether its first heartbeat has been acknowledged."""
        return self._change is not None

    @property
    def remaining_s(self) -> float:
        """Seconds until the service times the user out; 0.0 once passed.

        Counted from when the last acknowledged heartbeat was sent.
        """
        if self.health is LeaseHealth.RELEASED:
            return 0.0
        return max(0.0, self.expires_at_s - asyncio.get_running_loop().time())

    async def leave(self) -> None:
        """Leave; the lease is released whatever comes of it.

        Raises:
            RequestError: The service did not acknowledge it; the leave is tried
                until the presence would have timed out anyway.

        Cancellation: ends the waiting, not the leave.
        """
        await self._desk.leave(self)

    async def add(self, channels: str | Iterable[str]) -> None:
        """Be present on more channels; returns after the heartbeat that says so.

        Raises:
            InvalidArgumentError: A name is not a channel's.
            RequestError: As ``join``; the channels are then not part of the lease.

        Cancellation: as ``join``.
        """
        await self._desk.add_channels(self, channels)

    async def remove(self, channels: str | Iterable[str]) -> None:
        """Leave some of the channels and keep the rest.

        Raises:
            RequestError: As ``leave``.

        Cancellation: ends the waiting, not the leave.
        """
        await self._desk.remove_channels(self, channels)

    async def set_state(self, state: Mapping[str, Json]) -> None:
        """Replace the state, tell the service now and in every later heartbeat.

        Raises:
            InvalidArgumentError: Not exactly a JSON object.
            RequestError: Not acknowledged; the lease keeps the new state and its
                next heartbeat carries it, but observers saw no change.

        Cancellation: as a failure.
        """
        await self._desk.states.set_for(self, plain_state(state))

    async def patch_state(
        self,
        changes: Mapping[str, Json] | None = None,
        /,
        *,
        remove: Iterable[str] = (),
        **fields: Json,
    ) -> None:
        """Change some keys of the state; bursts within 50 ms become one request.

        Args:
            changes: Keys to set.
            remove: Keys to take out; unknown ones are ignored.
            fields: More keys to set.

        Raises:
            InvalidArgumentError: A value is not JSON.
            RequestError: As ``set_state``.

        Cancellation: the change is kept and still sent.
        """
        gone = {remove} if isinstance(remove, str) else set(remove)
        patch = {
            **plain_state({} if changes is None else changes, "changes"),
            **plain_state(fields, "fields"),
        }
        kept = {k: v for k, v in (self._state or {}).items() if k not in gone}
        await self._desk.states.patch_for(self, {**kept, **patch})

    def changes(self) -> LeaseChanges:
        """Follow the health: the first item is now, the last is ``RELEASED``.

        Each caller has an iterator of its own; a slow one sees the latest.
        """
        return LeaseChanges(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._desk.end_block(self)

    # What the manager does to a lease.

    def keep_state(self, state: Mapping[str, Json], version: int) -> None:
        """Make this the state of every later heartbeat."""
        self._state = state
        self.state_version = version

    def twin(self, channels: tuple[str, ...]) -> Lease:
        """Make a lease like this one on other channels."""
        twin = Lease(
            self._desk,
            user_id=self.user_id,
            channels=channels,
            channel_groups=(),
            state=self._state,
            presence_timeout_s=self.presence_timeout_s,
            linger_s=0,
            params=self.params,
        )
        twin.state_version = self.state_version
        return twin

    def turn(self, health: LeaseHealth, reason: str) -> LeaseChange | None:
        """Change the health; returns the change if there was one.

        After ``RELEASED`` there is none, though a heartbeat may still be on its way.
        """
        previous = self._change
        if previous is not None and previous.health in {health, LeaseHealth.RELEASED}:
            return None
        now_s = asyncio.get_running_loop().time()
        self._change = LeaseChange(
            lease=self,
            previous=previous.health if previous is not None else None,
            health=health,
            reason=reason,
            at=now_s,
            remaining_s=max(0.0, self.expires_at_s - now_s),
        )
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None
        return self._change

    @property
    def last_change(self) -> LeaseChange:
        """The latest change."""
        if self._change is None:
            raise InvalidArgumentError("lease", "has not joined")
        return self._change

    async def wait_for_change(self) -> None:
        """Wait until the health changes."""
        if self._waiting is None:
            self._waiting = asyncio.Event()
        await self._waiting.wait()


class LeaseChanges:
    """An iterator over the health of one lease."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._seen: LeaseChange | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LeaseChange:
        """Return the next change, waiting for it.

        Cancellation: loses nothing.
        """
        lease, seen = self._lease, self._seen
        if seen is not None and seen.health is LeaseHealth.RELEASED:
            raise StopAsyncIteration
        while lease.last_change is seen:
            await lease.wait_for_change()
        self._seen = lease.last_change
        if seen is not None:
            return self._seen
        now_s = asyncio.get_running_loop().time()
        remaining_s = lease.remaining_s
        return attrs.evolve(
            self._seen, previous=None, at=now_s, remaining_s=remaining_s
        )
