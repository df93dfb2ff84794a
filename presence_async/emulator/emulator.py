"""PresenceEmulator: a presence service for tests and demos, and its true state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, Unpack

import attrs

from ..checks import name_tuple, whole_number
from ..client.config import PresenceConfig
from ..protocol.json_codec import Json
from .event_faults import EventFault
from .faults import Fault
from .grant import Grant
from .journal import Journal
from .occupancy import OccupancyChange
from .options import Options
from .profile import EmulatorProfile, ProfileOptions
from .server import Server
from .service import RESTART_SHIFT_S

__all__ = ["PresenceEmulator"]

_DEFAULT_KEY = "demo"
_EVERY_KEY = "*"


class PresenceEmulator:
    """A presence service for tests and demos: ``async with PresenceEmulator() as e``.

    It behaves as recorded traffic of PubNub's service shows. Subscribe keys share
    nothing; methods that take ``subscribe_key`` use the emulator's own by default. Time
    is the event loop's, so hours pass in milliseconds on a virtual-time loop; on any
    other ``advance`` jumps. ``http://ORIGIN/`` is a page that shows and steers it.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        subscribe_key: The emulator's own key, for ``config`` and the methods; ``None``:
            the first of ``subscribe_keys``, or ``"demo"``.
        publish_key: Part of signatures.
        secret_key: Verify signatures made with it; ``None``: accept every request.
        subscribe_keys: The only valid keys; ``None``: every key is valid.
        access: The grants of each token, such as ``{"t": Grant(channels="lobby")}``;
            ``None``: nobody needs a token until ``grant`` is called.
        idle_poll_s: Seconds for which a poll without messages is held; clients allow
            310 s, the real service's own time is unverified.
        max_requests_per_s: Answer 429 to requests above this rate, all keys together;
            ``None``: no limit.
        journal_size: The number of requests that ``requests`` keeps.
        control_token: Answer the control path to everyone who sends this token as
            ``Authorization: Bearer TOKEN``, and to nobody else; ``None``: to programs
            on this machine.
        clock: Returns Unix time in seconds, for ``/time/0`` and the age of signatures;
            ``None``: the event loop's ``wall_time`` if it has one, else the system's.
        profile: The keyset to imitate; ``None``: ``EmulatorProfile()``.
        **options: Fields of ``EmulatorProfile``, such as ``announce_max=5``, which win
            over those of ``profile``.

    Raises:
        InvalidArgumentError: An option is out of its range.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        subscribe_key: str | None = None,
        publish_key: str = _DEFAULT_KEY,
        secret_key: str | None = None,
        subscribe_keys: Iterable[str] | None = None,
        access: Mapping[str, Grant | Iterable[Grant]] | None = None,
        idle_poll_s: float = 280,
        max_requests_per_s: float | None = None,
        journal_size: int = 100_000,
        control_token: str | None = None,
        clock: Callable[[], float] | None = None,
        profile: EmulatorProfile | None = None,
        **options: Unpack[ProfileOptions],
    ) -> None:
        whole_number(port, "port", least=0, most=65_535)
        valid = (
            None
            if subscribe_keys is None
            else name_tuple(subscribe_keys, "subscribe_keys")
        )
        self._options: Options = Options(
            profile=attrs.evolve(profile or EmulatorProfile(), **options),
            publish_key=publish_key,
            secret_key=secret_key,
            subscribe_keys=valid,
            access=access,
            idle_poll_s=idle_poll_s,
            max_requests_per_s=max_requests_per_s,
            journal_size=journal_size,
            control_token=control_token,
        )
        self._subscribe_key: str = subscribe_key or next(
            iter(valid or ()), _DEFAULT_KEY
        )
        self._server = Server(
            self._options,
            host=host,
            port=port,
            subscribe_key=self._subscribe_key,
            clock=clock,
        )

    async def start(self) -> Self:
        """Listen; a second call does nothing.

        Raises:
            OSError: The address is taken, or is not one of this machine.
        """
        await self._server.start()
        return self

    async def close(self) -> None:
        """Stop listening and cut every connection; stalled requests end too."""
        await self._server.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # For clients.

    @property
    def origin(self) -> str:
        """Host and port, such as ``"127.0.0.1:40123"``; plain HTTP.

        Raises:
            RuntimeError: The emulator is not listening.
        """
        if self._server.address is None:
            raise RuntimeError("the emulator is not listening; await start() first")
        host, port = self._server.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def url(self) -> str:
        """The same for programs, such as ``"http://127.0.0.1:40123"``.

        ``PUBNUB_ORIGIN`` takes it as it is.
        """
        return f"http://{self.origin}"

    def config(self, **overrides: Any) -> PresenceConfig:  # noqa: ANN401  # as the class
        """Return a config that points here; overrides are ``PresenceConfig``'s."""
        settings: dict[str, Any] = {
            "subscribe_key": self._subscribe_key,
            "publish_key": self._options.publish_key,
            "secret_key": self._options.secret_key,
            "user_id": "tester",
            "origin": self.origin,
            "secure": False,
        }
        return PresenceConfig(**{**settings, **overrides})

    # Its true state.

    @property
    def profile(self) -> EmulatorProfile:
        """The keyset that it is, access control as ``grant`` has left it."""
        return self._server.service.profile

    @property
    def requests(self) -> Journal:
        """The requests, oldest first; ``.total`` counts all, ``.of(name)`` selects.

        Requests that were refused, hit by a fault or sent to an unknown path are there
        too.
        Each has the ``status`` it was answered with: ``None`` while it is pending,
        ``"cut"`` if its connection ended without an answer.
        """
        return self._server.service.journal

    def occupants(
        self, channel: str, subscribe_key: str | None = None
    ) -> Mapping[str, Mapping[str, Json]]:
        """Return the state of each user present on a channel, ``{}`` for none."""
        key = subscribe_key or self._subscribe_key
        now_s = self._server.now_s()
        return self._server.service.occupants(key, channel, now_s=now_s)

    def events(
        self, channel: str, subscribe_key: str | None = None
    ) -> tuple[OccupancyChange, ...]:
        """Return what happened on a channel, oldest first; the newest 10,000 in all."""
        key = subscribe_key or self._subscribe_key
        now_s = self._server.now_s()
        return self._server.service.events(key, channel, now_s=now_s)

    @property
    def open_polls(self) -> int:
        """The number of long polls that are held right now."""
        return self._server.open_polls

    # Control.

    def inject(
        self, fault: Fault | EventFault, subscribe_key: str | None = None
    ) -> None:
        """Put a fault in force; the one injected last is asked first.

        It hits requests or events of one key, or of every key for ``"*"``, and in
        either case requests that have no key, such as ``/time/0``.
        """
        service = self._server.service
        key, now_s = self._one_or_every(subscribe_key), self._server.now_s()
        if isinstance(fault, EventFault):
            service.event_faults.inject(fault, now_s=now_s, subscribe_key=key)
        else:
            service.faults.inject(fault, now_s=now_s, subscribe_key=key)

    def lose_messages(self, subscribe_key: str | None = None) -> None:
        """Lose every event that no poll has fetched yet."""
        self._server.service.lose_messages(subscribe_key or self._subscribe_key)

    def restart_timetokens(self, shift_s: float = RESTART_SHIFT_S) -> None:
        """Restart the events of every key, as a restarted service does.

        Presence stays. Every open poll is cut, events not fetched yet are lost, and
        timetokens are ``shift_s`` off the clock from now on. A cursor ahead of them
        counts as now.
        """
        self._server.service.restart_timetokens(shift_s)

    def kick(
        self,
        user_id: str,
        channel: str | None = None,
        subscribe_key: str | None = None,
    ) -> tuple[str, ...]:
        """Time a user out now, on a channel or on all; return on which.

        Others see a ``timeout``. A client that knows nothing of it joins the user again
        with its next heartbeat.

        Raises:
            InvalidArgumentError: The channel is empty; ``None`` means all of them.
        """
        key, now_s = subscribe_key or self._subscribe_key, self._server.now_s()
        channels = self._server.service.kick(key, user_id, channel, now_s=now_s)
        self._server.arm()
        return channels

    def advance(self, seconds: float) -> None:
        """Jump ahead: what would be due within that time is due now.

        Users time out in their order, interval events are sent, tokens and faults with
        ``for_s`` end. What waits on a connection goes on in the loop's time: polls and
        the delays of faults. Unix time does not jump: timetokens, ``/time/0`` and
        signatures.

        Raises:
            InvalidArgumentError: Not a number above 0, or more than a year.
        """
        self._server.advance(seconds)

    def grant(self, token: str, *grants: Grant) -> None:
        """Replace the rights of a token.

        The first one turns access control on, for every key.
        """
        now_s = self._server.now_s()
        self._server.service.grant(token, grants, now_s=now_s)

    def revoke(self, token: str) -> None:
        """Refuse a token from now on, until it is granted again."""
        self._server.service.revoke(token)

    def reset(self, subscribe_key: str | None = None) -> None:
        """Start again, as if the emulator had just been started.

        Forgets presence, state, groups and events of one key, or of every key for
        ``"*"``; and in either case the faults, the journal, cached replies and tokens
        granted or revoked since.
        """
        self._server.service.reset(self._one_or_every(subscribe_key))

    def _one_or_every(self, subscribe_key: str | None) -> str | None:
        key = subscribe_key or self._subscribe_key
        return None if key == _EVERY_KEY else key
