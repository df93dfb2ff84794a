"""LongPoll: the loop that keeps one long poll going, whatever happens.

The cursor moves only when the events of a reply have been delivered, so a poll that is
cut or fails is repeated, and none is skipped.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from typing import Final, Protocol

from ...errors import (
    AccessDeniedError,
    ClientClosedError,
    ConnectionLostError,
    InvalidArgumentError,
    RejectedRequestError,
    RequestError,
    ServiceError,
)
from ...protocol.events import PresenceEvent
from ..aio import Deadlines, TimeLimit, loop_s
from ..call import Params
from ..safe_log import SafeLogger
from .listener import StreamHealth
from .pace import PollPace
from .progress import Loss, PollProgress
from .routing import EventWitness, RoutingTable
from .subscribe_requests import Reply, SubscribeRequests
from .subscription import WireName

__all__ = ["LongPoll", "PollOwner"]

logger: SafeLogger = SafeLogger("presence_async.client")

_RESTART_PAUSE_S: Final = 1.0
_COLLECT_S: Final = 0.02
_LOG_LEVELS: Final = {StreamHealth.LIVE: logging.INFO}

_HELD_S: Final = 5.0
"""A poll that lasted this long was held; one that fails on its way fails sooner."""

_HTTP_TOO_LONG: Final = 414
_HTTP_IDLE_ENDS: Final = {408, 504, 524}
"""Timeouts as Envoy, nginx, HAProxy, AWS and Cloudflare report them."""


class PollOwner(Protocol):
    """Knows the other polls of a client.

    Attributes:
        witness: Is told of the events that are new to any listener.
    """

    witness: EventWitness | None

    def split(
        self, poll: LongPoll, names: Sequence[WireName], refusal: RequestError | None
    ) -> None:
        """Move names to a poll of their own, refused if they were."""
        ...

    def merge(self, poll: LongPoll) -> None:
        """Merge a live poll with another, if that is possible."""
        ...

    def health_changed(self, poll: LongPoll) -> None:
        """Tell the listeners of a poll that its health has changed."""
        ...

    def ended(self, poll: LongPoll) -> None:
        """Close the streams of a poll that ended although it has names."""
        ...


class LongPoll:
    """One long poll for the names of a routing table.

    A check, which is a handshake, comes before the first poll after trouble. It is
    answered at once, while a poll is silent for minutes, and its reply shows the
    service's time.

    Args:
        requests: Sends handshakes and polls.
        params: Query parameters of every request.
        progress: Where to begin.
        owner: Knows the other polls.

    Attributes:
        table: The names to poll, and who listens to them.
        progress: Where the next poll goes on.
        params: Query parameters of every request.
        health: Whether events arrive.
        error: The failure behind ``health``, or ``None``.
    """

    def __init__(
        self,
        requests: SubscribeRequests,
        params: Params,
        progress: PollProgress,
        owner: PollOwner,
    ) -> None:
        self._requests = requests
        self._owner = owner
        self.params: Params = params
        self.progress: PollProgress = progress
        self.table: RoutingTable = RoutingTable()
        self.health: StreamHealth = StreamHealth.LIVE
        self.error: RequestError | None = None
        self._cuts = Deadlines()
        self._pace = PollPace()
        self._needs_check = False

    # What the feed calls.

    async def run(self) -> None:
        """Poll until there are no names."""
        try:
            await self._keep_polling()
        finally:
            self._owner.ended(self)

    def cut(self) -> None:
        """End the request or the pause under way; the loop goes on with its names."""
        self._cuts.end_all()

    def resume(self, slept_s: float) -> None:
        """Check and poll again after a sleep of the machine: connections die in it."""
        self.progress.slept(slept_s)
        self._needs_check = True
        self.cut()

    def refuse(self, error: RequestError | None) -> None:
        """Turn ``REFUSED``: try twice a minute, or when the feed cuts the pause."""
        self._needs_check = True
        self._pace.refused()
        self._set_health(StreamHealth.REFUSED, error)

    # The loop.

    async def _keep_polling(self) -> None:
        while self.table:
            try:
                await self._go_on()
            except ClientClosedError:
                return
            except Exception:
                logger.critical("an event poll crashed; it goes on", exc_info=True)
                self._needs_check = True
                self._set_health(StreamHealth.RECONNECTING, None)
                await asyncio.sleep(_RESTART_PAUSE_S)

    async def _go_on(self) -> None:
        is_check = self._needs_check
        reply = await self._ask(is_check=is_check)
        if reply is None:
            return
        if is_check:
            self._checked(reply)
        else:
            self._received(reply)

    async def _ask(self, *, is_check: bool) -> Reply | None:
        """Send one request; return ``None`` if it failed or was cut."""
        limit = TimeLimit(self._cuts, math.inf)
        sent_at_s = loop_s()
        try:
            with limit:
                if pause_s := self._pace.take_pause_s():
                    await asyncio.sleep(pause_s)
                sent_at_s = loop_s()
                listed = self.table.listed()
                if is_check:
                    return await self._requests.check(listed, self.params)
                return await self._requests.poll(
                    listed, self.params, self.progress.cursor
                )
        except InvalidArgumentError as error:
            self._too_long(error)
        except RequestError as error:
            self._failed(error, sent_at_s, is_check=is_check)
        except TimeoutError:
            if not limit.is_up:
                raise
            if self.table:
                # Names that change within this time are polled for together.
                await asyncio.sleep(_COLLECT_S)
        return None

    def _checked(self, reply: Reply) -> None:
        loss = self.progress.checked(
            reply.cursor, sent_at_s=reply.sent_at_s, now_s=loop_s()
        )
        self._report(loss)
        self._needs_check = False
        self._set_health(StreamHealth.LIVE, None)
        self._owner.merge(self)

    def _received(self, reply: Reply) -> None:
        now_s, messages = loop_s(), reply.messages
        self._report(self.progress.find_loss(reply.cursor, messages))
        has_news = self.table.deliver(messages, self._tell_witness)
        # An idle poll may end with the cursor it began with, however old that is.
        self._needs_check = not messages and (
            reply.cursor.timetoken == self.progress.cursor.timetoken
        )
        # Only now: a crash above repeats the poll, and nobody hears an event twice.
        self.progress.advance(reply.cursor, now_s=now_s)
        took_s = now_s - reply.sent_at_s
        self._pace.answered(took_s, len(messages), has_news=has_news)
        self._set_health(StreamHealth.LIVE, None)

    def _tell_witness(self, events: Sequence[PresenceEvent]) -> None:
        if self._owner.witness is not None:
            self._owner.witness(events, self.progress.loop_s)

    def _report(self, loss: Loss) -> None:
        if loss.is_restart:
            self.table.start_over()
        if loss.gap is not None:
            self.table.emit_gap(loss.gap, before=loss.before)

    # Failures.

    def _failed(self, error: RequestError, sent_at_s: float, *, is_check: bool) -> None:
        lasted_s = loop_s() - sent_at_s
        if not is_check and _is_idle_end(error, lasted_s):
            # A service that restarts ends its polls the same way: check.
            logger.debug("an idle event poll is repeated: %s", error)
            self.progress.was_held(sent_at_s=sent_at_s)
            self._needs_check = True
            return
        is_rejected = isinstance(error, RejectedRequestError)
        if is_rejected and not error.is_transient and not is_check:
            self.progress.refused()
        if _is_too_long(error) and len(self.table) > 1:
            self._halve()
        elif error.is_transient:
            self._needs_check = True
            self._pace.failed(error, lasted_s)
            self._set_health(StreamHealth.RECONNECTING, error)
        elif not self._split_refused(error):
            self.refuse(error)

    def _split_refused(self, error: RequestError) -> bool:
        """Go on without the refused names; return True if that leaves any."""
        if not isinstance(error, AccessDeniedError):
            return False
        refused = self.table.find(error.channels, error.channel_groups)
        if not refused or len(refused) == len(self.table):
            return False
        self._owner.split(self, refused, error)
        return True

    def _too_long(self, error: InvalidArgumentError) -> None:
        """Halve a poll whose requests have become too long, as by a longer token."""
        if len(self.table) > 1:
            self._halve()
        else:
            logger.error("an event poll cannot be sent: %s", error)
            self.refuse(None)

    def _halve(self) -> None:
        names = list(self.table)
        self._owner.split(self, names[len(names) // 2 :], None)

    def _set_health(self, health: StreamHealth, error: RequestError | None) -> None:
        self.error = error
        if health is self.health:
            return
        self.health = health
        level = _LOG_LEVELS.get(health, logging.WARNING)
        reason = error or ("acknowledged" if health is StreamHealth.LIVE else "crashed")
        extra = {"health": str(health)}
        logger.log(level, "an event poll is %s: %s", health, reason, extra=extra)
        self._owner.health_changed(self)


def _is_idle_end(error: RequestError, lasted_s: float) -> bool:
    """Return True if a balancer or a proxy ended a poll that the service held.

    They end idle requests by cutting the connection or with a timeout of their own.
    """
    if lasted_s < _HELD_S:
        return False
    if isinstance(error, ServiceError):
        return error.status in _HTTP_IDLE_ENDS and error.retry_after_s is None
    return isinstance(error, ConnectionLostError)


def _is_too_long(error: RequestError) -> bool:
    return isinstance(error, ServiceError) and error.status == _HTTP_TOO_LONG
