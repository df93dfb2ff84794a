"""PresenceClient: lifecycle, and one short method for each operation."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Literal, Self, TypeVar, overload

from ..errors import InvalidArgumentError
from ..presence.claims import Claim, Order, OrderKind, Params
from ..protocol import names
from ..protocol.channel_groups import (
    AddChannelsOperation,
    DeleteGroupOperation,
    ListChannelsOperation,
    ListGroupsOperation,
    RemoveChannelsOperation,
)
from ..protocol.exchange import Operation
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.here_now import (
    ChannelOccupancy,
    HereNow,
    HereNowCounts,
    HereNowOperation,
)
from ..protocol.identity import Identity, checked_query_params
from ..protocol.json_codec import Json, plain_state
from ..protocol.splitting import Mergeable, split
from ..protocol.user_state import GetStateOperation, SetStateOperation, UserState
from ..protocol.where_now import WhereNow, WhereNowOperation
from .auth import Auth, Tokens
from .checks import (
    checked_buffer_size,
    checked_linger_s,
    checked_offset,
    checked_page_size,
    checked_presence_timeout_s,
    checked_timeout_s,
)
from .config import LARGEST_UNCLAMPED_TIMEOUT_S, PresenceConfig
from .event_stream import EventStream
from .feed.feed import PresenceFeed
from .heartbeat_loop import HeartbeatLoop
from .heartbeat_manager import HeartbeatManager
from .lease import Joining, Lease
from .lifecycle import Lifecycle
from .occupants import OccupantPages
from .pipeline import Budget, RequestPipeline
from .reports import CloseReport
from .roster.desk import RosterDesk
from .roster.roster import Roster
from .transport import Session, Transport

__all__ = ["PresenceClient"]

logger: logging.Logger = logging.getLogger("presence_async.client")

ReplyT = TypeVar("ReplyT")
Names = str | Iterable[str] | None
QueryParams = Mapping[str, str] | None


class PresenceClient:
    """Asks PubNub who is where, and keeps users present.

    ``async with PresenceClient(config) as client``, or ``await start()`` and ``await
    close()``. Making one touches no event loop, socket or file, so it may be a module
    global; it then belongs to the loop that starts it.

    Every method that makes a request takes:

    - ``query_params``: sent beside the config's; must not name a parameter of ours.
    - ``timeout_s``: seconds for the whole call, connecting, attempts, waits and body
      included; ``None``: the config's ``call_timeout_s``; ``math.inf``: no limit.

    and raises ``InvalidArgumentError`` before any request, ``RequestError`` when it
    failed, ``ClientClosedError`` when the client is not open.

    Cancellation: every call ends at once. Only leaves that the client owes outlive a
    cancelled call; ``close`` waits for them.

    Args:
        config: Keys, user and limits.
        session: An aiohttp session to use for everything; it is never closed by us.
            Its connector has to allow four connections to a host, or any number.
    """

    def __init__(
        self, config: PresenceConfig, *, session: Session | None = None
    ) -> None:
        self._config = config
        self._tokens = Tokens(config.auth)
        self._transport = Transport(config, session)
        identity = Identity(
            subscribe_key=config.subscribe_key,
            user_id=config.user_id,
            publish_key=config.publish_key,
            secret_key=config.secret_key,
            query_params=tuple(config.query_params.items()),
        )
        self._pipeline = RequestPipeline(
            config, identity, self._transport, self._tokens
        )
        self._life = Lifecycle()
        self._feed = PresenceFeed(config, self._pipeline)
        self._rosters = RosterDesk(
            self._pipeline, self._feed, snapshot_timeout_s=config.attempt_timeout_s
        )
        self._presence = HeartbeatLoop(
            config,
            self._pipeline,
            on_orphaned=self._shut_down,
            on_unseen=self._feed.resume,
        )
        self._heartbeats = HeartbeatManager(self._presence)
        self._close_report: CloseReport | None = None

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open" if self._life.is_open else "new"
        return f"<PresenceClient of {self._config.user_id!r}, {state}>"

    @property
    def config(self) -> PresenceConfig:
        """What it was made with."""
        return self._config

    @property
    def heartbeats(self) -> HeartbeatManager:
        """The manager that keeps leases alive: ``.leases`` and ``.stats()``."""
        return self._heartbeats

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` has begun."""
        return self._life.is_closed

    @property
    def close_report(self) -> CloseReport | None:
        """What ``close`` returned; ``None`` before."""
        return self._close_report

    # Lifecycle.

    async def start(self) -> Self:
        """Open the session and start the heartbeat task; a second call does nothing.

        Raises:
            ClientClosedError: It was closed before.
            InvalidArgumentError: The session allows too few connections.
        """
        if self._life.is_open:
            self._life.check()
            return self
        self._transport.check_session()
        self._life.open()
        await self._transport.open()
        self._pipeline.open()
        self._presence.start()
        if self._config.presence_timeout_s > LARGEST_UNCLAMPED_TIMEOUT_S:
            logger.warning(
                "presence_timeout_s is %d s; some services clamp it to %d s",
                self._config.presence_timeout_s,
                LARGEST_UNCLAMPED_TIMEOUT_S,
            )
        return self

    async def close(self, timeout_s: float | None = None) -> CloseReport:
        """Leave everything and end; never fails because of the service.

        Sends a leave for each presence held, waits for the leaves still owed, then
        ends whatever is under way and closes the session. A second call, also from
        another task, waits for the first and returns the same report.

        Args:
            timeout_s: Seconds it may take; ``None``: the config's
                ``close_timeout_s``.

        Cancellation: cuts every connection at once; nothing remains.
        """
        limit_s = self._config.close_timeout_s
        if timeout_s is not None:
            limit_s = checked_timeout_s(timeout_s)
        return await self._shut_down(limit_s)

    async def _shut_down(self, timeout_s: float | None = None) -> CloseReport:
        if not self._life.begin_closing():
            await self._life.wait_closed()
            return self._close_report or CloseReport()
        self._pipeline.open()
        self._feed.close()
        try:
            await self._leave_all(timeout_s or self._config.close_timeout_s)
        finally:
            self._feed.abort()
            self._presence.abort()
            self._pipeline.close()
            self._close_report = self._presence.report()
            try:
                await self._feed.finish()
                await self._rosters.finish()
                await self._presence.finish()
            finally:
                try:
                    await self._transport.close()
                finally:
                    self._life.end_closing()
        return self._close_report

    async def _leave_all(self, timeout_s: float) -> None:
        limit = self._pipeline.limit(self._pipeline.budget(timeout_s))
        try:
            with limit:
                await self._presence.close(timeout_s)
        except TimeoutError:
            if not limit.is_up:
                raise
            logger.warning("closing took more than %g s; the rest is cut", timeout_s)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        life = getattr(self, "_life", None)
        if life is not None and life.needs_closing:
            warnings.warn(
                f"{self!r} was never closed", ResourceWarning, stacklevel=2, source=self
            )

    # Who is where.

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
    ) -> HereNow: ...

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
    ) -> HereNowCounts: ...

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
    ) -> HereNow | HereNowCounts:
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
            query_params: See the class.
            timeout_s: See the class.

        Source: https://www.pubnub.com/docs/sdks/rest-api/get-presence-here-now (read
        2026-11).
        """
        named, groups = names.places(channels, channel_groups)
        operation = HereNowOperation(
            subscribe_key=self._config.subscribe_key,
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
            self._begin(timeout_s)
            return operation.merged([])
        return await self._ask_in_parts(operation, query_params, timeout_s)

    def occupants(
        self,
        channel: str,
        *,
        include_state: bool = False,
        page_size: int = 1000,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> OccupantPages:
        """Iterate over everybody on one channel, page by page.

        ``async for occupant in client.occupants("lobby")``; each page is a call with
        a budget of its own. The iterator has ``is_complete`` and ``close()``.
        """
        one = names.one_channel(channel)
        size = checked_page_size(page_size, "page_size")
        checked_query_params(query_params)
        self._timeout_s(timeout_s)

        async def fetch(offset: int) -> ChannelOccupancy:
            operation = HereNowOperation(
                subscribe_key=self._config.subscribe_key,
                channels=(one,),
                channel_groups=(),
                include_user_ids=True,
                include_state=include_state,
                limit=size,
                offset=offset,
            )
            here = await self._ask(operation, query_params, timeout_s)
            return here.channels[one]

        return OccupantPages(fetch, size)

    async def where_now(
        self,
        user_id: str | None = None,
        *,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> WhereNow:
        """Ask which channels a user is present on.

        Args:
            user_id: Whom to look for; ``None``: the client's own user.
            query_params: See the class.
            timeout_s: See the class.
        """
        operation = WhereNowOperation(
            subscribe_key=self._config.subscribe_key,
            user_id=self._user(user_id),
        )
        return await self._ask(operation, query_params, timeout_s)

    # State.

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

        Args:
            channels: Channels to set it on.
            state: A JSON object; ``{}`` clears.
            channel_groups: Groups, on whose members it is set.
            user_id: Whose; ``None``: the client's own user.
            query_params: See the class.
            timeout_s: See the class.

        Returns:
            The state the service stored.
        """
        named, groups = names.present_places(channels, channel_groups)
        operation = SetStateOperation(
            subscribe_key=self._config.subscribe_key,
            user_id=self._user(user_id),
            channels=named,
            channel_groups=groups,
            state=plain_state(state),
        )
        params = checked_query_params(query_params)
        self._presence.check_fits(
            operation.user_id, (*named, *groups), state=operation.state, params=params
        )
        stored: Mapping[str, Json] = await self._presence.say(
            self._order(OrderKind.STATE, operation, params, timeout_s)
        )
        return stored

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
            query_params: See the class.
            timeout_s: See the class.
        """
        named, groups = names.places(channels, channel_groups)
        names.require_any(named, groups)
        operation = GetStateOperation(
            subscribe_key=self._config.subscribe_key,
            user_id=self._user(user_id),
            channels=named,
            channel_groups=groups,
        )
        return await self._ask_in_parts(operation, query_params, timeout_s)

    # Presence.

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
    ) -> Joining:
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
            query_params: See the class.
            timeout_s: See the class; ``math.inf`` keeps trying until joined, refused
                or cancelled.

        Cancellation: a heartbeat that may have reached the service is taken back by
        a leave, which the client sends within ``close_timeout_s``.
        """
        timeout = presence_timeout_s
        named, groups = names.present_places(channels, channel_groups)
        claim = Claim(
            user_id=self._user(user_id),
            channels=named,
            channel_groups=groups,
            state=None if state is None else plain_state(state),
            presence_timeout_s=(
                self._config.presence_timeout_s
                if timeout is None
                else checked_presence_timeout_s(timeout)
            ),
            linger_s=checked_linger_s(linger_s),
            params=checked_query_params(query_params),
        )
        self._presence.check_fits(
            claim.user_id, (*named, *groups), state=claim.state, params=claim.params
        )
        return Joining(self._join(claim, self._timeout_s(timeout_s)))

    async def _join(self, claim: Claim, timeout_s: float) -> Lease:
        self._life.check()
        lease = Lease(self._presence, claim)
        await self._presence.join(claim, timeout_s)
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
            query_params: See the class.
            timeout_s: See the class.
        """
        timeout = presence_timeout_s
        named, groups = names.present_places(channels, channel_groups)
        plain = None if state is None else plain_state(state)
        operation = HeartbeatOperation(
            subscribe_key=self._config.subscribe_key,
            user_id=self._user(user_id),
            channels=named,
            channel_groups=groups,
            presence_timeout_s=(
                self._config.presence_timeout_s
                if timeout is None
                else checked_presence_timeout_s(timeout)
            ),
            state=None if plain is None else dict.fromkeys((*named, *groups), plain),
        )
        params = checked_query_params(query_params)
        await self._presence.say(
            self._order(OrderKind.HEARTBEAT, operation, params, timeout_s)
        )

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
            query_params: See the class.
            timeout_s: See the class.

        Cancellation: ends the waiting, not the leave.
        """
        named, groups = names.present_places(channels, channel_groups)
        user = self._user(user_id)
        params = checked_query_params(query_params)
        limit_s = self._timeout_s(timeout_s)
        self._presence.check_fits(user, (*named, *groups), state=None, params=params)
        self._life.check()
        await self._presence.leave(
            user, named, groups, timeout_s=limit_s, params=params
        )

    # Events.

    def events(
        self,
        channels: Names = None,
        *,
        channel_groups: Names = None,
        buffer_size: int = 1000,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> EventStream:
        """Watch who joins, leaves, times out and changes state.

        ``async with client.events("lobby") as stream``, then ``async for event in
        stream``. Watching makes nobody present. All streams of a client with the same
        query parameters share one poll.

        Args:
            channels: Channels to watch, and wildcards such as ``a.*``.
            channel_groups: Groups, whose members are watched.
            buffer_size: Events kept for the reader; beyond, the oldest are dropped
                and a ``GapEvent`` tells how many.
            query_params: See the class.
            timeout_s: See the class; for the handshake on entering. A poll may take
                the config's ``poll_timeout_s``.

        Source: https://www.pubnub.com/docs/general/presence/presence-events (read
        2026-11); recordings show that naming ``X-pnpres`` alone observes ``X``.
        """
        named, groups = names.present_places(channels, channel_groups)
        limit_s = None if timeout_s is None else checked_timeout_s(timeout_s)
        return EventStream(
            self._feed,
            lambda: self._begin(limit_s),
            channels=named,
            channel_groups=groups,
            buffer_size=checked_buffer_size(buffer_size),
            params=checked_query_params(query_params),
        )

    def roster(
        self,
        channel: str,
        *,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> Roster:
        """Keep a live list of who is on a channel.

        ``async with client.roster("lobby") as roster``, then ``roster.occupants``,
        ``roster.user_ids``, ``await roster.wait_for(...)`` and ``async for event in
        roster``. It shares the poll of the client's streams and asks here now beside:
        every ten seconds at first and in trouble, every five minutes in lasting calm.

        Args:
            channel: Which channel; no wildcard.
            query_params: See the class.
            timeout_s: See the class; for entering, which subscribes and asks here
                now.
        """
        one, _ = names.present_places(names.one_channel(channel), None)
        if names.is_wildcard(channel):
            raise InvalidArgumentError(
                "channel", "a roster is of one channel; events() takes wildcards"
            )
        limit_s = None if timeout_s is None else checked_timeout_s(timeout_s)
        return Roster(
            self._rosters,
            lambda: self._begin(limit_s),
            channel=one[0],
            params=checked_query_params(query_params),
        )

    # Channel groups.

    async def add_channels(
        self,
        group: str,
        channels: Names,
        *,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> None:
        """Add channels to a group, which need not exist before."""
        operation = AddChannelsOperation(
            subscribe_key=self._config.subscribe_key,
            group=names.one_group(group),
            channels=names.some_channels(channels),
        )
        await self._ask(operation, query_params, timeout_s)

    async def remove_channels(
        self,
        group: str,
        channels: Names,
        *,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> None:
        """Take channels out of a group; unknown ones are no error."""
        operation = RemoveChannelsOperation(
            subscribe_key=self._config.subscribe_key,
            group=names.one_group(group),
            channels=names.some_channels(channels),
        )
        await self._ask(operation, query_params, timeout_s)

    async def delete_group(
        self,
        group: str,
        *,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> None:
        """Delete a group; an unknown one is no error."""
        operation = DeleteGroupOperation(
            subscribe_key=self._config.subscribe_key, group=names.one_group(group)
        )
        await self._ask(operation, query_params, timeout_s)

    async def list_channels(
        self,
        group: str,
        *,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> tuple[str, ...]:
        """Return the channels of a group; none for an unknown one."""
        operation = ListChannelsOperation(
            subscribe_key=self._config.subscribe_key, group=names.one_group(group)
        )
        return await self._ask(operation, query_params, timeout_s)

    async def list_groups(
        self, *, query_params: QueryParams = None, timeout_s: float | None = None
    ) -> tuple[str, ...]:
        """Return the names of all groups of the key set."""
        operation = ListGroupsOperation(subscribe_key=self._config.subscribe_key)
        return await self._ask(operation, query_params, timeout_s)

    # Tokens.

    def set_auth(self, token: Auth, *, user_id: str | None = None) -> None:
        """Use another token from now on; refused leases and streams try it at once.

        Args:
            token: A token, or, for all users, an ``async`` function or ``None``.
            user_id: For this user only; ``None``: for all.

        Raises:
            InvalidArgumentError: One of them is none.
        """
        user = None if user_id is None else names.user_id(user_id)
        self._tokens.set(token, user)
        self._try_refused(user)

    def refresh_auth(self, user_id: str | None = None) -> None:
        """Ask the token function anew at the next request; what is refused, at once.

        Args:
            user_id: For this user only; ``None``: for all.
        """
        user = None if user_id is None else names.user_id(user_id)
        self._tokens.forget(user)
        self._try_refused(user)

    def _try_refused(self, user_id: str | None) -> None:
        if self._life.is_open:
            self._presence.retry_refused(user_id)
            self._feed.wake(user_id)

    # How every call goes.

    def _user(self, user_id: str | None) -> str:
        return self._config.user_id if user_id is None else names.user_id(user_id)

    def _timeout_s(self, timeout_s: float | None) -> float:
        if timeout_s is None:
            return self._config.call_timeout_s
        return checked_timeout_s(timeout_s)

    def _begin(self, timeout_s: float | None) -> Budget:
        """Check that calls are taken, and start the clock of one."""
        if timeout_s is not None:
            checked_timeout_s(timeout_s)
        self._life.check()
        return self._pipeline.budget(timeout_s or self._config.call_timeout_s)

    def _order(
        self,
        kind: OrderKind,
        operation: HeartbeatOperation | SetStateOperation,
        params: Params,
        timeout_s: float | None,
    ) -> Order:
        """Return something to say once, with the patience of a call that begins now."""
        limit_s = self._timeout_s(timeout_s)
        self._life.check()
        return Order(
            kind=kind,
            user_id=operation.user_id,
            patience=self._presence.patience(limit_s),
            operation=operation,
            params=params,
        )

    async def _ask(
        self,
        operation: Operation[ReplyT],
        query_params: QueryParams,
        timeout_s: float | None,
    ) -> ReplyT:
        params = checked_query_params(query_params)
        budget = self._begin(timeout_s)
        answer = await self._pipeline.send(operation, budget=budget, params=params)
        return answer.value

    async def _ask_in_parts(
        self,
        operation: Mergeable[ReplyT],
        query_params: QueryParams,
        timeout_s: float | None,
    ) -> ReplyT:
        is_one = len(operation.channels) + len(operation.channel_groups) <= 1
        parts = [operation] if is_one else split(operation)
        if len(parts) == 1:
            return await self._ask(operation, query_params, timeout_s)
        params = checked_query_params(query_params)
        budget = self._begin(timeout_s)
        answers = [
            await self._pipeline.send(part, budget=budget, params=params)
            for part in parts
        ]
        return operation.merged([answer.value for answer in answers])
