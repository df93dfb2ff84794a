"""PresenceClient: lifecycle, and one short method for each operation."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

from ..checks import (
    checked_buffer_size,
    checked_hand_over_s,
    checked_linger_s,
    whole_number,
)
from ..errors import InvalidArgumentError
from ..presence.claims import Claim
from ..protocol import names
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.identity import checked_query_params
from ..protocol.json_codec import Json, plain_state
from ..protocol.user_state import SetStateOperation
from . import ending, on_demand
from .auth import Auth
from .channel_group_calls import ChannelGroupCalls
from .config import PresenceConfig
from .core import ClientCore, QueryParams, checked_limit_s
from .pipeline import Budget
from .query_calls import QueryCalls
from .safe_log import SafeLogger
from .transport import Session

__all__ = ["PresenceClient"]

logger: SafeLogger = SafeLogger("presence_async.client")

ReplyT = TypeVar("ReplyT")
Names = str | Iterable[str] | None


class PresenceClient(QueryCalls, ChannelGroupCalls):
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
        register: What the clients of several processes share, so that a user held by
            any of them stays present; see ``presence_async.register``. It holds user
            IDs, names and states, never a token or key.
        observers: Who is told what the client does: objects with any of the methods of
            ``Observer``. Without any, nothing is recorded.

    Raises:
        InvalidArgumentError: An observer has none of these methods.
    """

    def __init__(
        self,
        config: PresenceConfig,
        *,
        session: Session | None = None,
        register: on_demand.Register | None = None,
        observers: Sequence[object] = (),
    ) -> None:
        self._core = ClientCore(config, session, register, observers)

    def __repr__(self) -> str:
        life = self._core.life
        state = "closed" if self.is_closed else "open" if life.is_open else "new"
        return f"<PresenceClient of {self._core.config.user_id!r}, {state}>"

    @property
    def config(self) -> PresenceConfig:
        """What it was made with."""
        return self._core.config

    @property
    def heartbeats(self) -> on_demand.HeartbeatManager:
        """The manager that keeps leases alive: ``.leases`` and ``.stats()``."""
        return self._core.manager

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` has begun."""
        return self._core.life.is_closed

    @property
    def close_report(self) -> on_demand.CloseReport | None:
        """What ``close`` returned; ``None`` before."""
        return self._core.close_report

    def add_observer(self, observer: object) -> None:
        """Tell an object with any of the methods of ``Observer`` from now on.

        It is told at once how every lease and stream stands, with ``previous=None``.

        Raises:
            InvalidArgumentError: It has none of these methods.
        """
        self._core.add_observer(observer)

    def is_ready(self, max_lost: int = 0) -> bool:
        """Return True if it is started and keeps its users present.

        For readiness probes, which take an instance out of the load balancer for a
        while. A liveness probe must not ask this: no restart ends an outage of the
        service, and each one makes all users leave.

        Args:
            max_lost: How many leases may be ``LOST``, which means that others see the
                user as offline.

        Raises:
            InvalidArgumentError: ``max_lost`` is not a whole number from 0 on.
        """
        whole_number(max_lost, "max_lost", least=0)
        core = self._core
        return core.life.is_open and core.heartbeats.lost <= max_lost

    # Lifecycle.

    async def start(self) -> Self:
        """Open the session and start the heartbeat task; a second call does nothing.

        Raises:
            ClientClosedError: It was closed before.
            InvalidArgumentError: The session allows too few connections.
        """
        await self._core.start()
        return self

    async def close(
        self, timeout_s: float | None = None, *, hand_over_s: float | None = None
    ) -> on_demand.CloseReport:
        """Leave everything and end; never fails because of the service.

        Sends a leave for each presence held, waits for the leaves still owed, then
        ends whatever is under way and closes the session. A second call, also from
        another task, waits for the first and returns the same report.

        With ``hand_over_s`` users do not leave: each is sent one last heartbeat
        whose presence timeout is that time, or 20 s if it is shorter. Observers see
        nothing of users whom another process joins again within it, and a timeout of
        the others. The process has to join them after the last heartbeat: joined
        before, they run out with it, until their next regular heartbeat. Leaves that
        wait for ``linger_s`` are replaced as well; any other leave still goes out.

        With a register, users whom other clients hold stay. The others may come back
        to any client within ``hand_over_s``, by default that of the register if other
        clients are open, and one of those leaves whoever does not. The last client to
        close leaves everybody, also those who still had time, unless ``hand_over_s``
        is given. If the register is away nobody is left, and the report has them as
        ``failed``.

        Args:
            timeout_s: Seconds it may take; ``None``: the config's
                ``close_timeout_s``.
            hand_over_s: Seconds that the other process may take, finite, rounded up;
                the service may clamp more than 320. Above 0 it wins over
                ``leave_on_close=False``. 0: users leave. ``None``: likewise, but with
                a register as above.

        Raises:
            InvalidArgumentError: ``timeout_s`` is not above 0, or ``hand_over_s`` is
                no finite number from 0 on; the client stays open.

        Cancellation: cuts every connection at once; nothing remains.

        Source: the documentation of PubNub's SDKs (read 2026-11) has 20 s as the
        shortest presence timeout. That a heartbeat without state keeps the state and
        that a shorter timeout replaces a longer one are unverified: no recording
        shows either.
        """
        limit_s = checked_limit_s(timeout_s)
        if hand_over_s is not None:
            hand_over_s = checked_hand_over_s(hand_over_s)
        return await self._core.shut_down(limit_s, hand_over_s)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close(hand_over_s=ending.hand_over_s())

    def __del__(self) -> None:
        core = getattr(self, "_core", None)
        if core is not None and core.life.needs_closing:
            warnings.warn(
                f"{self!r} was never closed", ResourceWarning, stacklevel=2, source=self
            )

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

    # Events.

    def events(
        self,
        channels: Names = None,
        *,
        channel_groups: Names = None,
        buffer_size: int = 1000,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> on_demand.EventStream:
        """Watch who joins, leaves, times out and changes state.

        ``async with client.events("lobby") as stream``, then ``async for event in
        stream``. Watching makes nobody present. All streams of a client with the same
        query parameters share one poll.

        Args:
            channels: Channels to watch, and wildcards such as ``a.*``.
            channel_groups: Groups, whose members are watched.
            buffer_size: Events kept for the reader; beyond, the oldest are dropped
                and a ``GapEvent`` tells how many.
            timeout_s: See the class; for the handshake on entering, which ``math.inf``
                repeats until subscribed, refused or cancelled. A poll may take the
                config's ``poll_timeout_s``.

        Source: https://www.pubnub.com/docs/general/presence/presence-events (read
        2026-11); recordings show that naming ``X-pnpres`` alone observes ``X``.
        """
        named, groups = names.present_places(channels, channel_groups)
        return on_demand.EventStream(
            self._core.feed,
            self._beginning(timeout_s),
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
    ) -> on_demand.Roster:
        """Keep a live list of who is on a channel.

        ``async with client.roster("lobby") as roster``, then ``roster.occupants``,
        ``roster.user_ids``, ``await roster.wait_for(...)`` and ``async for event in
        roster``. It shares the poll of the client's streams and asks here now beside:
        every ten seconds at first and in trouble, every five minutes in lasting calm.

        Args:
            channel: Which channel; no wildcard.
            timeout_s: See the class; for entering, which subscribes and asks here
                now. ``math.inf`` repeats both until answered, refused or cancelled.
        """
        one = _present_channel(channel, "a roster")
        return on_demand.Roster(
            self._core.feed,
            self._core.snapshots,
            self._beginning(timeout_s),
            channel=one,
            params=checked_query_params(query_params),
        )

    def live_count(
        self,
        channel: str,
        *,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> on_demand.LiveCount:
        """Keep a live count of how many are on a channel, without their names.

        ``async with client.live_count("lobby") as live``, then ``live.count`` and
        ``async for count in live``. It shares the poll of the client's streams, and
        asks here now as rarely as a roster does, but for the number alone: a room of
        any size costs the same.

        Args:
            channel: Which channel; no wildcard.
            timeout_s: As for ``roster``.
        """
        one = _present_channel(channel, "a live count")
        return on_demand.LiveCount(
            self._core.feed,
            self._core.snapshots,
            self._beginning(timeout_s),
            channel=one,
            params=checked_query_params(query_params),
        )

    def _beginning(self, timeout_s: float | None) -> Callable[[], Budget]:
        """Return what starts the clock of a call that begins later."""
        limit_s = checked_limit_s(timeout_s)
        return lambda: self._core.begin(limit_s)

    # Why.

    def explain(
        self, user_id: str | None = None, *, at: dt.datetime | float | None = None
    ) -> on_demand.Explanation:
        """Tell why a user was shown online or offline, as far as this client knows.

        ``print(client.explain("alice"))`` prints the story. It rests on what the client
        did: joins, failed heartbeats, outages, a blocked event loop, sleep, leaves,
        what a register said; and on events about its users, if a stream or roster
        received them. The config's ``explain_decisions`` and ``explain_bytes`` bound
        what is remembered. It takes no await, and works on a closed client too.

        Args:
            user_id: Who; ``None``: the client's own user.
            at: The time that is asked about, as an aware datetime or Unix time;
                ``None``: now, or what was wrong last.

        Raises:
            InvalidArgumentError: ``at`` is no such time, the user ID is invalid, or
                nothing is kept, as ``explain_decisions=0`` asks.
        """
        return self._core.explain(self._core.user(user_id), at)

    # Tokens.

    def set_auth(self, token: Auth, *, user_id: str | None = None) -> None:
        """Use another token from now on; refused leases and streams try it at once.

        It also replaces the answer of a token function that is being asked. A token
        set for one user outlives the user's leases, but a client keeps only the
        1,000 newest of those whose users have no lease.

        Args:
            token: A token, or, for all users, an ``async`` function or ``None``.
            user_id: For this user only; ``None``: for all.

        Raises:
            InvalidArgumentError: The token or the user id is invalid.
            ClientClosedError: Called from another event loop than the client's, or
                from another thread.
        """
        user = None if user_id is None else names.user_id(user_id)
        self._check_own_loop()
        self._core.tokens.set(token, user)
        self._core.note_token(user, is_refresh=False)
        self._try_refused(user)

    def refresh_auth(self, user_id: str | None = None) -> None:
        """Drop the tokens at hand, so that the next request asks the token function.

        Refused leases and streams try again at once. The answer of a token function
        that is being asked already does not count.

        Args:
            user_id: For this user only; ``None``: for all.
        """
        user = None if user_id is None else names.user_id(user_id)
        self._check_own_loop()
        self._core.tokens.refresh(user)
        self._core.note_token(user, is_refresh=True)
        self._try_refused(user)

    def _check_own_loop(self) -> None:
        if self._core.life.is_open:
            self._core.life.check_loop()

    def _try_refused(self, user_id: str | None) -> None:
        if self._core.life.is_open:
            self._core.try_refused(user_id)


def _present_channel(channel: str, what: str) -> str:
    """Return the name of a channel on which users may be, if it is one."""
    one, _ = names.present_places(names.one_channel(channel), None)
    if names.is_wildcard(channel):
        raise InvalidArgumentError(
            "channel", f"{what} is of one channel; events() takes wildcards"
        )
    return one[0]
