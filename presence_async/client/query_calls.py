"""The part of the client that asks who is where, and in which state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, overload

from ..checks import checked_offset, checked_page_size
from ..protocol import names
from ..protocol.identity import checked_query_params
from ..protocol.user_state import GetStateOperation, UserState
from . import on_demand
from .call import Answer
from .core import ClientCore, QueryParams, checked_limit_s

__all__ = ["QueryCalls"]

Names = str | Iterable[str] | None


class QueryCalls:
    """Questions, which change nothing; ``PresenceClient`` says what every one takes."""

    _core: ClientCore

    @overload
    async def here_now(
        self,
        channels: Names = None,
        *,
        channel_groups: Names = None,
        include_user_ids: Literal[True] = True,
        include_state: bool = False,
        limit: int = 1000,
        offset: int = 0,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> on_demand.HereNow: ...

    @overload
    async def here_now(
        self,
        channels: Names = None,
        *,
        channel_groups: Names = None,
        include_user_ids: Literal[False],
        include_state: bool = False,
        limit: int = 1000,
        offset: int = 0,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> on_demand.HereNowCounts: ...

    async def here_now(
        self,
        channels: Names = None,
        *,
        channel_groups: Names = None,
        include_user_ids: bool = True,
        include_state: bool = False,
        limit: int = 1000,
        offset: int = 0,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> on_demand.HereNow | on_demand.HereNowCounts:
        """Ask who is present.

        The service caches answers for about 3 s. One page holds at most 1,000
        occupants of each channel; ``occupants`` reads all of them.

        Args:
            channels: One channel or several; with no groups either, the whole key
                set is asked. A list that turns out empty asks for nothing.
            channel_groups: Groups, whose member channels are answered.
            include_user_ids: ``False`` asks for the counts alone.
            include_state: Also ask for each occupant's state.
            limit: Occupants of each channel at most, 1 to 1,000.
            offset: Skip so many occupants of each channel.

        One warning is logged for a channel on which nobody is, although this client
        keeps a user present there: the key set may not track it.

        Source: https://www.pubnub.com/docs/sdks/rest-api/get-presence-here-now (read
        2026-11).
        """
        named, groups = names.places(channels, channel_groups)
        operation = on_demand.HereNowOperation(
            subscribe_key=self._core.config.subscribe_key,
            channels=named,
            channel_groups=groups,
            include_user_ids=include_user_ids,
            include_state=include_state,
            limit=checked_page_size(limit, "limit"),
            offset=checked_offset(offset),
        )
        is_global = channels is None and channel_groups is None
        if not is_global and not named and not groups:
            checked_query_params(query_params)
            self._core.begin(timeout_s)
            return operation.merged([])
        answer = await self._core.ask_in_parts(operation, query_params, timeout_s)
        if self._core.presence.keeps_users:
            self._compare(named, answer)
        return answer.value

    def _compare(
        self,
        channels: tuple[str, ...],
        answer: Answer[on_demand.HereNow | on_demand.HereNowCounts],
    ) -> None:
        """Compare who is here with the users who are kept present."""
        for channel in channels:
            found = answer.value.channels[channel]
            if found.is_complete is not False:
                self._core.presence.note_occupancy(
                    channel, found.occupancy, shown_s=answer.sent_at_s - answer.age_s
                )

    def occupants(
        self,
        channel: str,
        *,
        include_state: bool = False,
        page_size: int = 1000,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> on_demand.OccupantPages:
        """Iterate over everybody on one channel, page by page.

        ``async for occupant in client.occupants("lobby")``; each page is a call with
        a budget of its own. The iterator has ``is_complete`` and ``close()``.
        """
        one = names.one_channel(channel)
        size = checked_page_size(page_size, "page_size")
        checked_query_params(query_params)
        checked_limit_s(timeout_s)

        async def fetch(offset: int) -> on_demand.ChannelOccupancy:
            operation = on_demand.HereNowOperation(
                subscribe_key=self._core.config.subscribe_key,
                channels=(one,),
                channel_groups=(),
                include_user_ids=True,
                include_state=include_state,
                limit=size,
                offset=offset,
            )
            here = await self._core.ask(operation, query_params, timeout_s)
            return here.channels[one]

        return on_demand.OccupantPages(fetch, size)

    async def where_now(
        self,
        user_id: str | None = None,
        *,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> on_demand.WhereNow:
        """Ask which channels a user is present on.

        Args:
            user_id: Whom to look for; ``None``: the client's own user.
        """
        operation = on_demand.WhereNowOperation(
            subscribe_key=self._core.config.subscribe_key,
            user_id=self._core.user(user_id),
        )
        return await self._core.ask(operation, query_params, timeout_s)

    async def get_state(
        self,
        channels: Names = None,
        *,
        channel_groups: Names = None,
        user_id: str | None = None,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> UserState:
        """Ask for a user's state on channels.

        Args:
            channels: Channels to ask about.
            channel_groups: Groups, about whose members to ask.
            user_id: Whose; ``None``: the client's own user.
        """
        named, groups = names.places(channels, channel_groups)
        names.require_any(named, groups)
        operation = GetStateOperation(
            subscribe_key=self._core.config.subscribe_key,
            user_id=self._core.user(user_id),
            channels=named,
            channel_groups=groups,
        )
        answer = await self._core.ask_in_parts(operation, query_params, timeout_s)
        return answer.value
