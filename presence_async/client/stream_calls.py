"""The part of the client that follows others: events, rosters and live counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..checks import checked_buffer_size
from ..errors import InvalidArgumentError
from ..protocol import names
from ..protocol.identity import checked_query_params
from . import on_demand
from .call import Budget
from .core import ClientCore, QueryParams, checked_limit_s

__all__ = ["StreamCalls"]

Names = str | Iterable[str] | None


class StreamCalls:
    """What follows others; ``PresenceClient`` says what every method takes."""

    _core: ClientCore

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


def _present_channel(channel: str, what: str) -> str:
    """Return the name of a channel on which users may be, if it is one."""
    one, _ = names.present_places(names.one_channel(channel), None)
    if names.is_wildcard(channel):
        raise InvalidArgumentError(
            "channel", f"{what} is of one channel; events() takes wildcards"
        )
    return one[0]
