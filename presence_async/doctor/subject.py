"""Subject: a keyset under examination, and the throw-away names used on it."""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

import attrs

from ..client.config import PresenceConfig
from ..errors import InvalidArgumentError, PresenceError
from ..protocol import names
from ..protocol.channel_groups import DeleteGroupOperation
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.here_now import HereNowOperation
from ..protocol.leave import LeaveOperation
from ..protocol.subscribe import Delivery, SubscribeOperation
from .bounds import Bounds, UnclearError
from .limits import Limits
from .sight import Sight
from .wire import Heard, Wire

__all__ = ["Subject", "checked_channel"]

_CLEANUP_S = 15.0
_TRIES = 3
_NARROW_S = 0.4
_SLOW_S = 2.0


class Subject:
    """A keyset under examination: ``async with Subject(config, channel) as subject``.

    Leaving the block leaves every user and deletes every group that is still there,
    also when it is cancelled. Users and channels have names of their own, with a random
    part; no real user's presence is touched.

    Args:
        config: Keys, user, token and limits.
        channel: The channel that is asked about; ``None``: none in particular.
        limits: How long it may take.

    Raises:
        InvalidArgumentError: ``channel`` is no name of one channel.

    Attributes:
        wire: What sends requests.
        stray: The same without token and signature.
        place: The channel where users are measured, once one is found that is tracked.
        debounce_s: For how long a leave is held back; ``None`` until it is measured.
        largest_timeout_s: To what presence timeouts are lowered, once measured.
    """

    def __init__(
        self,
        config: PresenceConfig,
        channel: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.config: PresenceConfig = config
        self.channel: str | None = checked_channel(channel)
        self.limits: Limits = limits or Limits()
        self.wire: Wire = Wire(config)
        self.stray: Wire = Wire(attrs.evolve(config, auth=None, secret_key=None))
        self.place: str | None = None
        self.debounce_s: int | None = None
        self.largest_timeout_s: float = math.inf
        self._numbers = itertools.count(1)
        self._prefix = f"doctor-{secrets.token_hex(4)}"
        self._present: set[tuple[str, str]] = set()
        self._groups: set[str] = set()
        self._sight: Sight | None = None
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with self._stack:
            await self._stack.enter_async_context(self.wire)
            await self._stack.enter_async_context(self.stray)
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._clean_up()
        finally:
            await self._stack.aclose()

    # Names.

    def named(self, part: str) -> str:
        """Return a throw-away name; ``part`` tells it from the others of this run."""
        return f"{self._prefix}-{part}"

    def another(self, part: str) -> str:
        """Return a throw-away name that has not been used."""
        return self.named(f"{part}-{next(self._numbers)}")

    def is_own(self, user_id: str) -> bool:
        """Return True if it is one of the throw-away names."""
        return user_id.startswith(self._prefix)

    @property
    def room(self) -> str:
        """A throw-away channel."""
        return self.named("room")

    @property
    def siblings(self) -> str | None:
        """The pattern ``a.*`` if the channel asked about is ``a.b``, else ``None``."""
        stem, dot, _ = (self.channel or "").rpartition(".")
        return f"{stem}.*" if dot else None

    @property
    def sibling(self) -> str | None:
        """A throw-away channel that the pattern matches; ``None``: no pattern."""
        return None if self.siblings is None else f"{self.siblings[:-1]}{self.room}"

    @property
    def target(self) -> str:
        """The channel asked about, or a throw-away one."""
        return self.channel or self.room

    # What probes do.

    @property
    def here(self) -> str:
        """The channel where users are measured.

        Raises:
            LookupError: None was found.
        """
        if self.place is None:
            raise LookupError("no tracked channel was found")
        return self.place

    async def sight(self) -> Sight:
        """Return what is seen of the place, which is watched from now on.

        Raises:
            RequestError: The service could not be asked for events.
        """
        async with self._opening:
            if self._sight is None:
                sight = Sight(self.config, self.wire, self.here)
                self._sight = await self._stack.enter_async_context(sight)
        return self._sight

    async def announce(
        self, user_id: str, timeout_s: int, channel: str | None = None
    ) -> Bounds:
        """Announce a throw-away user, and return when that took effect.

        Raises:
            RequestError: The service did not acknowledge it.
        """
        where = channel or self.here
        self.owns_user(user_id, where)
        operation = HeartbeatOperation(
            subscribe_key=self.config.subscribe_key,
            user_id=user_id,
            channels=(where,),
            presence_timeout_s=timeout_s,
        )
        return (await self.wire.send(operation)).acted

    async def leave(self, user_id: str, channel: str | None = None) -> Bounds:
        """Leave with a throw-away user, and return when that took effect.

        Raises:
            RequestError: The service did not acknowledge it.
        """
        where = channel or self.here
        operation = LeaveOperation(
            subscribe_key=self.config.subscribe_key,
            user_id=user_id,
            channels=(where,),
        )
        answer = await self.wire.send(operation)
        self._present.discard((user_id, where))
        return answer.acted

    async def newcomer(self, part: str, timeout_s: int) -> tuple[str, Bounds]:
        """Announce a new throw-away user; return the name, and when it took effect.

        If that is not known well enough to measure by, another user takes their place.

        Raises:
            RequestError: The service did not acknowledge it.
            UnclearError: It is known of no user.
        """
        for _ in range(_TRIES):
            user_id = self.another(part)
            acted = await self.announce(user_id, timeout_s)
            if acted.width_s <= _NARROW_S:
                return user_id, acted
            await self.leave_quietly(user_id, self.here)
            if _SLOW_S < acted.width_s < math.inf:
                break
        raise UnclearError("heartbeats are slow, or have to be sent again")

    async def subscribe(
        self, user_id: str, timeout_s: int, wire: Wire, cursor: Delivery | None = None
    ) -> Heard[Delivery]:
        """Subscribe with a throw-away user, who is present by it.

        Args:
            user_id: The user.
            timeout_s: The presence timeout.
            wire: Over which connections.
            cursor: The answer before; ``None``: a handshake, answered at once.

        Raises:
            RequestError: The service did not answer.
        """
        self.owns_user(user_id, self.here)
        operation = SubscribeOperation(
            subscribe_key=self.config.subscribe_key,
            user_id=user_id,
            channels=(self.here,),
            timetoken=cursor.timetoken if cursor else 0,
            region=cursor.region if cursor else None,
            presence_timeout_s=timeout_s,
        )
        return await wire.send(operation)

    async def user_ids(self, channel: str) -> tuple[str, ...]:
        """Return who is on a channel now, never from a cache.

        Raises:
            RequestError: The service did not answer.
        """
        key = self.config.subscribe_key
        operation = HereNowOperation(subscribe_key=key, channels=(channel,))
        params = (("doctor", secrets.token_hex(4)),)
        here = await self.wire.ask(operation, params=params)
        return here.channels[channel].user_ids or ()

    async def lists(self, user_id: str, channel: str) -> bool:
        """Return True if a user is on a channel now; as ``user_ids``."""
        return user_id in await self.user_ids(channel)

    def owns_user(self, user_id: str, channel: str) -> None:
        """Leave with a user at the end."""
        self._present.add((user_id, channel))

    def owns_group(self, group: str) -> None:
        """Delete a group at the end."""
        self._groups.add(group)

    async def leave_quietly(self, user_id: str, channel: str) -> None:
        """Leave; if that fails, try again at the end."""
        with suppress(PresenceError):
            await self.leave(user_id, channel)

    async def leave_all(self) -> None:
        """Leave with every user who is still there, at the pace that is allowed."""
        async with asyncio.TaskGroup() as group:
            for user_id, channel in sorted(self._present):
                group.create_task(
                    self.leave_quietly(user_id, channel), name="doctor leaves"
                )
                await asyncio.sleep(1 / self.limits.per_s)

    async def _clean_up(self) -> None:
        """Undo what is left, within a time; what fails runs out by itself."""
        key = self.config.subscribe_key
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLEANUP_S):
                for _ in range(_TRIES):  # who has left is not asked again
                    await self.leave_all()
                for group in sorted(self._groups):
                    operation = DeleteGroupOperation(subscribe_key=key, group=group)
                    with suppress(PresenceError):
                        await self.wire.ask(operation)


def checked_channel(channel: str | None) -> str | None:
    """Return the channel to ask about.

    Raises:
        InvalidArgumentError: It is no name of one channel.
    """
    if channel is None:
        return None
    (one,), _ = names.present_places(names.one_channel(channel), None)
    if names.is_wildcard(one):
        raise InvalidArgumentError("channel", "must be one channel, not a wildcard")
    return one
