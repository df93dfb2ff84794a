"""Poll: the loop that keeps one long poll going, whatever happens.

The cursor moves only once the events of a reply are with their listeners, so that a
poll that is cut or fails is repeated and none is skipped.
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
    InvalidArgumentError,
    RejectedRequestError,
    RequestError,
    ServiceError,
)
from ...protocol.events import GapReason
from ..aio import Deadlines, TimeLimit
from .audience import Audience, WireName
from .listener import StreamHealth, gap
from .poll_pace import PollPace
from .subscriber import Cursor, Params, Reply, Subscriber

__all__ = ["TIMETOKENS_PER_S", "Poll", "PollOwner"]

logger: logging.Logger = logging.getLogger("presence_async.client")

TIMETOKENS_PER_S: Final = 10_000_000

QUEUE_MESSAGES: Final = 100
"""How many messages the service keeps for a poller, as documented."""

QUEUE_S: Final = 20 * 60
"""For how long it keeps them, as documented."""

LONGEST_CHECK_S: Final = 8.0
"""With the longest pause, 5 s: the end of an outage is noticed within 15 s."""

_RESTART_PAUSE_S: Final = 1.0
_SETTLE_S: Final = 0.02
_CLOCK_SKEW: Final = 5 * TIMETOKENS_PER_S
_OTHER_TIME: Final = 60 * TIMETOKENS_PER_S
_HTTP_TOO_LONG: Final = 414
_LOG_LEVELS: Final = {StreamHealth.LIVE: logging.INFO}


class PollOwner(Protocol):
    """What a poll asks for that concerns other polls."""

    def part(
        self, poll: Poll, names: Sequence[WireName], refusal: RequestError | None
    ) -> None:
        """Give names to a poll of their own, as refused if they are."""
        ...

    def recovered(self, poll: Poll) -> None:
        """Unite it with another, if that is possible."""
        ...

    def turned(self, poll: Poll) -> None:
        """Tell those concerned that its health has changed."""
        ...


class Poll:
    """One long poll for the names of an audience.

    A check, which is a handshake, comes before the first poll after a failure: it is
    answered at once, while a poll says nothing for minutes, and it tells the time of
    the service.

    Args:
        subscriber: Sends.
        params: Query parameters of every request.
        cursor: Where to begin.
        owner: Knows the other polls.

    Attributes:
        audience: Whose names are polled.
        cursor: Where the next poll goes on.
        health: How it stands.
        error: What it ran into, or ``None``.
    """

    def __init__(
        self, subscriber: Subscriber, params: Params, cursor: Cursor, owner: PollOwner
    ) -> None:
        self._subscriber = subscriber
        self._owner = owner
        self.params = params
        self.audience: Audience = Audience()
        self.cursor: Cursor = cursor
        self.health: StreamHealth = StreamHealth.LIVE
        self.error: RequestError | None = None
        # Loop time up to which nothing can have been lost.
        self._complete_until_s = _now_s()
        self._cuts = Deadlines()
        self._pace = PollPace()
        self._is_checked = True
        self._has_told_gap = False
        self._cursor_refusals = 0
        # Service time less loop time, at the least, in timetokens.
        self._service_ahead = cursor.timetoken - _timetokens(_now_s())

    # What the feed asks for.

    async def run(self) -> None:
        """Poll as long as there are names."""
        while self.audience:
            try:
                await self._go_on()
            except ClientClosedError:
                return
            except Exception:
                logger.critical("an event poll crashed; it goes on", exc_info=True)
                self._is_checked = False
                await asyncio.sleep(_RESTART_PAUSE_S)

    def cut(self) -> None:
        """End what is under way, a wait too; it goes on at once with its names."""
        self._cuts.end_all()

    def rewind(self, cursor: Cursor) -> bool:
        """Go back to an earlier cursor; tells whether it is one."""
        is_earlier = cursor.timetoken < self.cursor.timetoken
        if is_earlier:
            self.cursor = cursor
        return is_earlier

    def branch(self, refusal: RequestError | None) -> Poll:
        """Make another that begins where this one is, refused if it was."""
        other = Poll(self._subscriber, self.params, self.cursor, self._owner)
        other._complete_until_s = self._complete_until_s  # of its kind
        other._service_ahead = self._service_ahead  # of its kind
        if refusal is not None:
            other._refused(refusal)  # of its kind
        return other

    def resume(self, slept_s: float) -> None:
        """Begin anew after time went by unseen, since connections die in it."""
        self._complete_until_s -= slept_s
        self._is_checked = False
        self.cut()

    # The loop.

    async def _go_on(self) -> None:
        is_check = not self._is_checked
        reply = await self._ask(is_check=is_check)
        if reply is None:
            return
        if is_check:
            self._checked(reply)
        else:
            self._received(reply)

    async def _ask(self, *, is_check: bool) -> Reply | None:
        """Send one request; ``None`` if it failed or was cut."""
        limit = TimeLimit(self._cuts, math.inf)
        sent_at_s = _now_s()
        try:
            with limit:
                if pause_s := self._pace.take_pause_s():
                    await asyncio.sleep(pause_s)
                sent_at_s = _now_s()
                listed = self.audience.listed()
                if is_check:
                    return await self._subscriber.handshake(
                        listed, self.params, longest_attempt_s=LONGEST_CHECK_S
                    )
                return await self._subscriber.poll(listed, self.params, self.cursor)
        except InvalidArgumentError as error:
            self._too_long(error)
        except RequestError as error:
            # It refuses no name or token by this, so it may be the cursor.
            is_rejected = isinstance(error, RejectedRequestError)
            is_strange = is_rejected and not error.is_transient
            self._cursor_refusals += is_strange and not is_check
            self._failed(error, _now_s() - sent_at_s)
        except TimeoutError:
            if not limit.is_up:
                raise
            if self.audience:
                # Names that change together make one poll.
                await asyncio.sleep(_SETTLE_S)
        return None

    def _checked(self, reply: Reply) -> None:
        """Go on after a check: from where it was, or, if that is gone, from now."""
        timetoken = reply.cursor.timetoken
        ahead = timetoken - _timetokens(reply.sent_at_s)
        is_other_time = ahead < self._service_ahead - _CLOCK_SKEW
        self._service_ahead = timetoken - _timetokens(_now_s())
        if is_other_time:
            self.audience.start_over()
        self.rewind(reply.cursor)
        is_over = reply.sent_at_s - self._complete_until_s > QUEUE_S
        is_refused = self._cursor_refusals > 1
        if is_refused or (is_over and self._has_told_gap):
            # Whatever is left from where it was, it does not come through.
            self.cursor = reply.cursor
        if is_other_time or is_over or is_refused:
            self._tell_gap("reconnect")
            self._complete_until_s = reply.sent_at_s
        self._is_checked = True
        self._turn(StreamHealth.LIVE, None)
        self._owner.recovered(self)

    def _received(self, reply: Reply) -> None:
        before, messages = self.cursor, reply.messages
        timetoken = reply.cursor.timetoken
        if timetoken < before.timetoken - _OTHER_TIME:
            self.audience.start_over()
            self._tell_gap("reconnect")
        elif len(messages) >= QUEUE_MESSAGES:
            # What is lost is older than this, even if some that is told came late.
            median = sorted(x.published.t for x in messages)[len(messages) // 2]
            self._tell_gap("service_queue", median)
        has_news = self.audience.deliver(messages)
        self.cursor = reply.cursor
        self._has_told_gap = False
        self._cursor_refusals = 0
        took_s = _now_s() - reply.sent_at_s
        self._pace.answered(took_s, len(messages), has_news=has_news)
        # An idle poll may end with the cursor it began with, however old that is.
        is_idle_end = not messages and timetoken == before.timetoken
        self._is_checked = not is_idle_end
        self._complete_until_s = _now_s()
        self._turn(StreamHealth.LIVE, None)

    def _tell_gap(self, reason: GapReason, before: int | None = None) -> None:
        """Tell of a loss; once, until a poll is answered again."""
        if not self._has_told_gap:
            self.audience.tell(gap(reason, self.cursor.timetoken), before=before)
            self._has_told_gap = True

    # Failures.

    def _failed(self, error: RequestError, lasted_s: float) -> None:
        if _is_too_long(error) and len(self.audience) > 1:
            self._halve()
        elif error.is_transient:
            self._is_checked = False
            self._pace.failed(error, lasted_s)
            self._turn(StreamHealth.RECONNECTING, error)
        elif not self._part_refused(error):
            self._refused(error)

    def _refused(self, error: RequestError | None) -> None:
        self._is_checked = False
        self._pace.refused()
        self._turn(StreamHealth.REFUSED, error)

    def _part_refused(self, error: RequestError) -> bool:
        """Go on without the names refused; tells whether that leaves any."""
        if not isinstance(error, AccessDeniedError):
            return False
        refused = self.audience.among(error.channels, error.channel_groups)
        if not refused or len(refused) == len(self.audience):
            return False
        self._owner.part(self, refused, error)
        return True

    def _too_long(self, error: InvalidArgumentError) -> None:
        """Halve what became too long, as by a longer token."""
        if len(self.audience) > 1:
            self._halve()
        else:
            logger.error("an event poll cannot be sent: %s", error)
            self._refused(None)

    def _halve(self) -> None:
        names = list(self.audience)
        self._owner.part(self, names[len(names) // 2 :], None)

    def _turn(self, health: StreamHealth, error: RequestError | None) -> None:
        self.error = error
        if health is self.health:
            return
        self.health = health
        level = _LOG_LEVELS.get(health, logging.WARNING)
        logger.log(level, "an event poll is %s: %s", health, error or "acknowledged")
        self._owner.turned(self)


def _is_too_long(error: RequestError) -> bool:
    return isinstance(error, ServiceError) and error.status == _HTTP_TOO_LONG


def _timetokens(seconds: float) -> int:
    return int(seconds * TIMETOKENS_PER_S)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
