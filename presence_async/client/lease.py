"""Lease: the handle of a presence that the client keeps until it is released.

It states wishes and waits until they have come true; the claim behind it belongs to the
engine.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

import attrs

from ..errors import LeaseReleasedError, PresenceError
from ..presence.changes import HealthChanged
from ..presence.claims import Claim, LeaseHealth
from ..protocol import names
from ..protocol.json_codec import Json, plain_state
from . import ending
from .presence_calls import PresenceCalls
from .presence_log import log_failed_leave

__all__ = ["Lease", "LeaseChange", "LeaseChanges", "LeaseHealth"]

_GATHER_S = 0.05


class Lease:
    """Presence on some channels and groups, kept by heartbeats; made by ``join``.

    Several leases of one user are views of one presence: a channel is left when the
    last lease on it ends. Every method raises ``ClientClosedError`` in another event
    loop than the client's.
    """

    __slots__ = ("__weakref__", "_claim", "_moment")

    def __init__(self, calls: PresenceCalls, claim: Claim) -> None:
        self._claim = claim
        self._moment = calls.moment
        claim.owner = self

    def __repr__(self) -> str:
        return (
            f"<Lease of {self.user_id!r} on {list(self.channels)!r}"
            f" groups {list(self.channel_groups)!r}: {self.health}>"
        )

    @property
    def _calls(self) -> PresenceCalls:
        calls: PresenceCalls = self._moment.calls
        return calls

    @property
    def user_id(self) -> str:
        """The user who is kept present."""
        return self._claim.user_id

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels it holds."""
        return self._claim.channels

    @property
    def channel_groups(self) -> tuple[str, ...]:
        """The channel groups it holds."""
        return self._claim.channel_groups

    @property
    def presence_timeout_s(self) -> int:
        """Seconds without a heartbeat until the service reports a timeout."""
        return self._claim.presence_timeout_s

    @property
    def state(self) -> Mapping[str, Json] | None:
        """A copy of the state that every heartbeat carries; ``None``: none."""
        return copy.deepcopy(self._claim.state)

    @property
    def health(self) -> LeaseHealth:
        """The health now."""
        return self._claim.health or LeaseHealth.LOST

    @property
    def expires_at_s(self) -> float:
        """Loop time when the service times the user out; 0.0 once released.

        Counted from when the last acknowledged heartbeat was sent, less what the
        machine has slept since.
        """
        if self.health is LeaseHealth.RELEASED:
            return 0.0
        return self._calls.loop.engine.expires_s(self._claim)

    @property
    def remaining_s(self) -> float:
        """Seconds until the service times the user out; 0.0 once passed."""
        return max(0.0, self.expires_at_s - self._calls.loop.now_s())

    async def leave(self) -> None:
        """Leave; the lease is released whatever comes of it.

        Raises:
            RequestError: The service did not acknowledge it; the leave is tried
                until the presence would have timed out anyway.

        Cancellation: ends the waiting, not the leave.
        """
        await self._calls.release(self._claim)

    async def add(self, channels: str | Iterable[str]) -> None:
        """Be present on more channels; returns after the heartbeat that says so.

        Raises:
            InvalidArgumentError: A name is not a channel's.
            LeaseReleasedError: The lease was released.
            RequestError: As ``join``; the channels are then not part of the lease.

        Cancellation: as ``join``.
        """
        self._check_held()
        added, _ = names.present_places(channels, None)
        more = tuple(c for c in added if c not in self.channels)
        if not more:
            return
        claim = Claim(
            user_id=self.user_id,
            channels=more,
            presence_timeout_s=self.presence_timeout_s,
            params=self._claim.params,
            extends=self._claim,
        )
        self._calls.check_fits(
            self.user_id, more, state=self._claim.state, params=claim.params
        )
        await self._calls.join(claim)

    async def remove(self, channels: str | Iterable[str]) -> None:
        """Leave some of the channels and keep the rest.

        Raises:
            LeaseReleasedError: The lease was released.
            RequestError: As ``leave``.

        Cancellation: ends the waiting, not the leave.
        """
        self._check_held()
        removed = set(names.channel_names(channels))
        gone = tuple(c for c in self.channels if c in removed)
        if len(gone) == len(self.channels) and not self.channel_groups:
            await self.leave()
        elif gone:
            await self._calls.narrow(self._claim, gone)

    async def set_state(self, state: Mapping[str, Json]) -> None:
        """Replace the state, tell the service now and in every later heartbeat.

        Raises:
            InvalidArgumentError: Not exactly a JSON object.
            LeaseReleasedError: The lease was released.
            RequestError: Not acknowledged; the lease keeps the new state and its
                next heartbeat carries it, but observers saw no change.

        Cancellation: as a failure.
        """
        plain = plain_state(state)
        self._check_held()
        await self._calls.set_claim_state(self._claim, plain)

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
            LeaseReleasedError: The lease was released.
            RequestError: As ``set_state``.

        Cancellation: the change is kept and still sent.
        """
        gone = {remove} if isinstance(remove, str) else set(remove)
        patch = {
            **plain_state({} if changes is None else changes, "changes"),
            **plain_state(fields, "fields"),
        }
        kept = {k: v for k, v in (self.state or {}).items() if k not in gone}
        self._check_held()
        await self._calls.set_claim_state(
            self._claim, {**kept, **patch}, gather_s=_GATHER_S
        )

    def changes(self) -> LeaseChanges:
        """Follow the health: the first item is now, the last is ``RELEASED``.

        Each caller has an iterator of its own; a slow one sees the latest.
        """
        return LeaseChanges(self, self._claim, self._calls)

    async def __aenter__(self) -> Self:
        self._calls.loop.check_loop()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Before the try: a use in another loop is the caller's fault, no failed leave.
        self._calls.loop.check_loop()
        if ending.hand_over_s() is not None:
            # The end of the client hands the user over.
            return
        try:
            await self._calls.release(self._claim, is_end_of_block=True)
        except PresenceError as failure:
            # The block itself went well; the leave is still tried.
            is_shared = self._calls.loop.engine.is_down
            log_failed_leave(self.user_id, failure, is_shared=is_shared)

    def _check_held(self) -> None:
        self._calls.loop.check_loop()
        if not self._calls.loop.engine.holds(self._claim):
            raise LeaseReleasedError


@attrs.frozen(kw_only=True)
class LeaseChange:
    """One change of a lease's health.

    Attributes:
        lease: The lease.
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


class LeaseChanges:
    """An iterator over the health of one lease."""

    __slots__ = ("_claim", "_has_begun", "_lease", "_loop", "_seen")

    def __init__(self, lease: Lease, claim: Claim, calls: PresenceCalls) -> None:
        self._lease = lease
        self._claim = claim
        self._loop = calls.loop
        self._has_begun = False
        self._seen: HealthChanged | None = None
        claim.is_followed = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LeaseChange:
        """Return the next change, waiting for it.

        Raises:
            ClientClosedError: Called from another event loop than the client's.

        Cancellation: loses nothing.
        """
        self._loop.check_loop()
        claim, seen = self._claim, self._seen
        if seen is not None and seen.health is LeaseHealth.RELEASED:
            raise StopAsyncIteration
        is_first = not self._has_begun
        while claim.health is None or (not is_first and claim.latest is seen):
            await self._loop.news.changed(claim)
        self._has_begun = True
        change = self._seen = claim.latest
        if change is None or is_first:
            return LeaseChange(
                lease=self._lease,
                previous=None,
                health=claim.health,
                reason=change.reason if change else "heartbeat acknowledged",
                at=self._loop.now_s(),
                remaining_s=self._lease.remaining_s,
            )
        return LeaseChange(
            lease=self._lease,
            previous=change.previous,
            health=change.health,
            reason=change.reason,
            at=change.at_s,
            remaining_s=change.remaining_s,
        )
