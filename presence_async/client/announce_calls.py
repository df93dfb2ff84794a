"""The part of the client that makes users present, sets their state and leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..checks import checked_linger_s
from ..presence.claims import Claim
from ..protocol import names
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.identity import checked_query_params
from ..protocol.json_codec import Json, plain_state
from ..protocol.user_state import SetStateOperation
from . import on_demand
from .core import ClientCore, QueryParams, checked_limit_s

__all__ = ["AnnounceCalls"]

Names = str | Iterable[str] | None


class AnnounceCalls:
    """What changes presence; ``PresenceClient`` says what every method takes."""

    _core: ClientCore

    async def set_state(
        self,
        channels: Names = None,
        *,
        state: Mapping[str, Json],
        channel_groups: Names = None,
        user_id: str | None = None,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> Mapping[str, Json]:
        """Replace a user's state on channels; observers see a state change.

        Leases that hold the channels keep the new state. The user need not be
        present.

        The client does not know a group's members. So a state set for a group does not
        reach leases on member channels: where such a lease has a state of its own, its
        next heartbeat brings that back. Name the channels to change those.

        Args:
            channels: Channels to set it on.
            state: A JSON object; ``{}`` clears.
            channel_groups: Groups, on whose members it is set.
            user_id: Whose; ``None``: the client's own user.

        Returns:
            The state the service stored.
        """
        named, groups = names.present_places(channels, channel_groups)
        operation = SetStateOperation(
            subscribe_key=self._core.config.subscribe_key,
            user_id=self._core.user(user_id),
            channels=named,
            channel_groups=groups,
            state=plain_state(state),
        )
        params = checked_query_params(query_params)
        self._core.presence.check_fits(
            operation.user_id, (*named, *groups), state=operation.state, params=params
        )
        limit_s = checked_limit_s(timeout_s)
        self._core.life.check()
        stored: Mapping[str, Json] = await self._core.presence.say(
            operation, params, limit_s
        )
        return stored

    def join(
        self,
        channels: Names = None,
        *,
        channel_groups: Names = None,
        state: Mapping[str, Json] | None = None,
        user_id: str | None = None,
        presence_timeout_s: int | None = None,
        linger_s: float = 0,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> on_demand.Joining:
        """Make a user present and keep it so.

        ``async with client.join("lobby") as lease`` leaves at the end of the block;
        ``lease = await client.join("lobby")`` until ``await lease.leave()`` or
        ``close``. Either returns after the first acknowledged heartbeat, or raises
        and leaves nothing behind.

        Args:
            channels: Channels to be present on.
            channel_groups: Groups, to be present on their members.
            state: Carried by every heartbeat; ``None``: none, ``{}`` clears.
            user_id: Who; ``None``: the client's own user.
            presence_timeout_s: Seconds without heartbeat until the service reports
                a timeout, an int from 3; ``None``: the config's.
            linger_s: Seconds that the leave waits at the end, in case the user is
                back by then, as after a page reload.
            timeout_s: See the class; ``math.inf`` keeps trying until joined, refused
                or cancelled.

        Cancellation: a heartbeat that may have reached the service is taken back by
        a leave, which the client sends within ``close_timeout_s``.
        """
        named, groups = names.present_places(channels, channel_groups)
        claim = Claim(
            user_id=self._core.user(user_id),
            channels=named,
            channel_groups=groups,
            state=None if state is None else plain_state(state),
            presence_timeout_s=self._core.presence_timeout_s(presence_timeout_s),
            linger_s=checked_linger_s(linger_s),
            params=checked_query_params(query_params),
        )
        self._core.presence.check_fits(
            claim.user_id, (*named, *groups), state=claim.state, params=claim.params
        )
        return on_demand.Joining(self._join(claim, checked_limit_s(timeout_s)))

    async def _join(self, claim: Claim, timeout_s: float | None) -> on_demand.Lease:
        self._core.life.check()
        lease = on_demand.Lease(self._core.presence, claim)
        await self._core.presence.join(claim, timeout_s)
        return lease

    async def heartbeat(
        self,
        channels: Names = None,
        *,
        channel_groups: Names = None,
        state: Mapping[str, Json] | None = None,
        user_id: str | None = None,
        presence_timeout_s: int | None = None,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> None:
        """Announce a user once, without keeping it; ``join`` keeps it.

        Args:
            channels: Channels to announce on.
            channel_groups: Groups, to announce on their members.
            state: Set on each of them; ``None``: none.
            user_id: Who; ``None``: the client's own user.
            presence_timeout_s: Seconds until the service reports a timeout;
                ``None``: the config's.
        """
        named, groups = names.present_places(channels, channel_groups)
        plain = None if state is None else plain_state(state)
        operation = HeartbeatOperation(
            subscribe_key=self._core.config.subscribe_key,
            user_id=self._core.user(user_id),
            channels=named,
            channel_groups=groups,
            presence_timeout_s=self._core.presence_timeout_s(presence_timeout_s),
            state=None if plain is None else dict.fromkeys((*named, *groups), plain),
        )
        params = checked_query_params(query_params)
        limit_s = checked_limit_s(timeout_s)
        self._core.life.check()
        await self._core.presence.say(operation, params, limit_s)

    async def leave(
        self,
        channels: Names = None,
        *,
        channel_groups: Names = None,
        user_id: str | None = None,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> None:
        """Leave channels, whoever announced them; local leases let go of them first.

        Args:
            channels: Channels to leave.
            channel_groups: Groups, to leave their members.
            user_id: Who; ``None``: the client's own user.

        Cancellation: ends the waiting, not the leave.
        """
        named, groups = names.present_places(channels, channel_groups)
        user = self._core.user(user_id)
        params = checked_query_params(query_params)
        limit_s = checked_limit_s(timeout_s)
        self._core.presence.check_fits(
            user, (*named, *groups), state=None, params=params
        )
        self._core.life.check()
        await self._core.presence.leave(
            user, named, groups, timeout_s=limit_s, params=params
        )
