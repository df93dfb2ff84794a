"""PresenceClient: lifecycle, observers and tokens; its calls are in ``*_calls.py``."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ..checks import checked_hand_over_s, whole_number
from ..errors import InvalidArgumentError
from ..protocol import names
from . import ending, on_demand
from .announce_calls import AnnounceCalls
from .auth import Auth
from .channel_group_calls import ChannelGroupCalls
from .config import PresenceConfig
from .core import ClientCore, checked_limit_s
from .query_calls import QueryCalls
from .stream_calls import StreamCalls
from .transport import Session

__all__ = ["PresenceClient"]


class PresenceClient(QueryCalls, AnnounceCalls, StreamCalls, ChannelGroupCalls):
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
        InvalidArgumentError: An observer has none of these methods, or the register is
            a text.
    """

    def __init__(
        self,
        config: PresenceConfig,
        *,
        session: Session | None = None,
        register: on_demand.Register | None = None,
        observers: Sequence[object] = (),
    ) -> None:
        given: object = register
        if isinstance(given, str):
            rule = (
                "must be a Register, such as register_at('presence.db'), not its name"
            )
            raise InvalidArgumentError("register", rule)
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
                ``None``: now, or what was wrong last. Decisions more than an hour
                before it, or a quarter of an hour after, are left out.

        Raises:
            InvalidArgumentError: ``at`` is no such time or in the future, the user ID
                is invalid, or nothing is kept, as ``explain_decisions=0`` asks.
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
