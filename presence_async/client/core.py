"""What a client is made of, how it opens and closes, and how every query goes."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from typing import TypeVar

from ..checks import checked_presence_timeout_s, checked_timeout_s
from ..errors import InvalidArgumentError
from ..protocol import names
from ..protocol.exchange import Operation
from ..protocol.identity import Identity, checked_query_params
from ..protocol.splitting import Mergeable, split
from . import ending, on_demand
from .call import Answer
from .config import LARGEST_UNCLAMPED_TIMEOUT_S, PresenceConfig
from .heartbeat_loop import HeartbeatLoop
from .lifecycle import Lifecycle
from .observers import Observers
from .origin import parts_of
from .pipeline import Budget, RequestPipeline
from .presence_calls import PresenceCalls
from .presence_log import log_handing_over
from .recorder import Recorder
from .safe_log import SafeLogger
from .tokens import Tokens
from .transport import Session, Transport

__all__ = ["ClientCore", "QueryParams", "checked_limit_s"]

logger: SafeLogger = SafeLogger("presence_async.client")

ReplyT = TypeVar("ReplyT")
QueryParams = Mapping[str, str] | None


def checked_limit_s(timeout_s: float | None) -> float | None:
    """Return a call's time limit if it is one; ``None`` stands for the config's."""
    return None if timeout_s is None else checked_timeout_s(timeout_s)


class ClientCore:
    """The parts of a client, put together; they open and close as one.

    Attributes:
        close_report: What the close came to; ``None`` before.
        register: Speaks to the register, if there is one.
    """

    def __init__(
        self,
        config: PresenceConfig,
        session: Session | None,
        register: on_demand.Register | None = None,
        observers: Sequence[object] = (),
    ) -> None:
        self.config = config
        self._observers = Observers()
        for observer in observers:
            self.teller.add(observer)
        self.tokens: Tokens = Tokens(config.auth)
        self.transport: Transport = Transport(config, session)
        identity = Identity(
            subscribe_key=config.subscribe_key,
            user_id=config.user_id,
            publish_key=config.publish_key,
            secret_key=config.secret_key,
            query_params=tuple(config.query_params.items()),
        )
        self.pipeline: RequestPipeline = RequestPipeline(
            config, identity, self.transport, self.tokens, self._observers
        )
        self.life: Lifecycle = Lifecycle()
        self._starting = asyncio.Lock()
        self.heartbeats: HeartbeatLoop = HeartbeatLoop(
            config,
            self.pipeline,
            self._observers,
            on_orphaned=self._end_orphaned,
            on_unseen=self._resume_feed,
        )
        if config.explain_to or (config.explain_decisions and config.explain_bytes):
            self.heartbeats.news.recorder = Recorder(
                config, lambda: on_demand.Witness(config, self.heartbeats.engine)
            )
        self.register: on_demand.RegisterLoop | None = None
        if register is not None:
            self.register = self.heartbeats.register = on_demand.RegisterLoop(
                register, config, self.heartbeats.engine, self.heartbeats.pump
            )
        self.presence: PresenceCalls = PresenceCalls(
            config, self.pipeline, self.heartbeats
        )
        self._feed: on_demand.PresenceFeed | None = None
        self.close_report: on_demand.CloseReport | None = None

    # The parts that are made, and their modules imported, when they are first used.

    @property
    def feed(self) -> on_demand.PresenceFeed:
        """The polls behind the client's streams and rosters."""
        if self._feed is None:
            hearing = on_demand.Hearing(self.heartbeats)
            self._feed = on_demand.PresenceFeed(
                self.config, self.pipeline, self._observers, witness=hearing.hear
            )
        return self._feed

    @functools.cached_property
    def snapshots(self) -> on_demand.SnapshotRequests:
        """What asks here now for rosters and live counts."""
        return on_demand.SnapshotRequests(self.config, self.pipeline, self.presence)

    @functools.cached_property
    def teller(self) -> on_demand.Teller:
        """What tells observers what the client does."""
        return on_demand.Teller(self._observers, parts_of(self.config.base_url))

    def add_observer(self, observer: object) -> None:
        """Tell an observer how everything stands, and from now on what changes."""
        self.heartbeats.news.tell()
        present = Observers()
        on_demand.Teller(present, parts_of(self.config.base_url)).add(observer)
        self.heartbeats.news.tell_present(present, self.heartbeats.now_s)
        if self._feed is not None:
            self._feed.tell_present(present)
        self.teller.add(observer)

    @functools.cached_property
    def manager(self) -> on_demand.HeartbeatManager:
        """What users of the library see of the heartbeats."""
        return on_demand.HeartbeatManager(self.heartbeats, self._register_stats)

    def _register_stats(self) -> on_demand.RegisterStats | None:
        return None if self.register is None else self.register.stats()

    # Opening and closing.

    async def start(self) -> None:
        """Open everything; a second call does nothing, or waits for the first."""
        async with self._starting:
            if self.life.is_open:
                self.life.check()
                return
            self.life.refuse_reopening()
            self.transport.check_session()
            if self.register is not None:
                await self.register.open()
            try:
                # Somebody may have closed the client meanwhile.
                self.life.open()
                await self.transport.open()
            except BaseException:
                if self.register is not None:
                    await self.register.finish()
                raise
            self.pipeline.open()
            self.heartbeats.start()
        if self.config.presence_timeout_s > LARGEST_UNCLAMPED_TIMEOUT_S:
            logger.warning(
                "presence_timeout_s is %d s; some services clamp it to %d s",
                self.config.presence_timeout_s,
                LARGEST_UNCLAMPED_TIMEOUT_S,
            )

    async def _end_orphaned(self) -> None:
        """End as the block of the client would have."""
        await self.shut_down(hand_over_s=ending.hand_over_s())

    async def shut_down(
        self, timeout_s: float | None = None, hand_over_s: float | None = None
    ) -> on_demand.CloseReport:
        """Leave or hand over everything, then end whatever is under way; once."""
        if not self.life.begin_closing():
            await self.life.wait_closed()
            return self.close_report or on_demand.CloseReport()
        self.pipeline.open()
        feed = self._feed
        if feed is not None:
            feed.close()
        try:
            await self._leave_all(timeout_s or self.config.close_timeout_s, hand_over_s)
        finally:
            if feed is not None:
                feed.abort()
            self.heartbeats.abort()
            self.pipeline.close()
            report = self._conclude()
            try:
                if feed is not None:
                    await feed.finish()
                await self.heartbeats.finish()
                await self.tokens.close()
            finally:
                try:
                    await self.transport.close()
                finally:
                    self.life.end_closing()
        return report

    def _conclude(self) -> on_demand.CloseReport:
        """Report, log and note what the close came to."""
        departures = self.heartbeats.engine.departures
        self.close_report = on_demand.report_of(departures)
        log_handing_over(departures)
        if self.heartbeats.news.recorder is not None:
            self.heartbeats.news.recorder.close(departures)
        return self.close_report

    async def _leave_all(self, timeout_s: float, hand_over_s: float | None) -> None:
        limit = self.pipeline.limit(self.pipeline.budget(timeout_s))
        try:
            with limit:
                await self.heartbeats.close(timeout_s, hand_over_s)
        except TimeoutError:
            if not limit.is_up:
                raise
            logger.warning("closing took more than %g s; the rest is cut", timeout_s)

    # What concerns presence and the feed alike.

    def try_refused(self, user_id: str | None) -> None:
        """Try at once what was refused, of one user or of all."""
        self.heartbeats.retry_refused(user_id)
        if self._feed is not None:
            self._feed.wake(user_id)

    def _resume_feed(self, slept_s: float) -> None:
        if self._feed is not None:
            self._feed.resume(slept_s)

    # Why.

    def note_token(self, user_id: str | None, *, is_refresh: bool) -> None:
        """Note that other tokens are used from now on, for one user or for all."""
        recorder = self.heartbeats.news.recorder
        if recorder is not None and self.life.is_open:
            recorder.new_token(user_id, is_refresh=is_refresh)

    def explain(
        self, user_id: str, at: dt.datetime | float | None
    ) -> on_demand.Explanation:
        """Tell the story of a user.

        Raises:
            InvalidArgumentError: Nothing is kept that could tell it, or ``at`` is no
                time.
        """
        recorder = self.heartbeats.news.recorder
        if recorder is None:
            raise InvalidArgumentError(
                "explain_decisions", "is 0, so there is nothing to tell; write 50"
            )
        told: on_demand.Explanation = recorder.witness.explain(user_id, at)
        return told

    # How every call goes.

    def user(self, user_id: str | None) -> str:
        """Return a user ID as it was given, or the client's own."""
        return self.config.user_id if user_id is None else names.user_id(user_id)

    def presence_timeout_s(self, timeout_s: int | None) -> int:
        """Return a presence timeout as it was given, or the config's."""
        if timeout_s is None:
            return self.config.presence_timeout_s
        return checked_presence_timeout_s(timeout_s)

    def begin(self, timeout_s: float | None) -> Budget:
        """Check that calls are taken, and start the clock of one."""
        checked_limit_s(timeout_s)
        self.life.check()
        return self.pipeline.budget(timeout_s or self.config.call_timeout_s)

    async def ask(
        self,
        operation: Operation[ReplyT],
        query_params: QueryParams,
        timeout_s: float | None,
    ) -> ReplyT:
        """Ask the service one thing."""
        params = checked_query_params(query_params)
        budget = self.begin(timeout_s)
        call = self.pipeline.call(operation, budget=budget, params=params)
        return (await self.pipeline.send(call)).value

    async def ask_in_parts(
        self,
        operation: Mergeable[ReplyT],
        query_params: QueryParams,
        timeout_s: float | None,
    ) -> Answer[ReplyT]:
        """Ask about names, in as many requests as they need, within one budget."""
        params = checked_query_params(query_params)
        budget = self.begin(timeout_s)
        is_one = len(operation.channels) + len(operation.channel_groups) <= 1
        answers = [
            await self.pipeline.send(
                self.pipeline.call(part, budget=budget, params=params)
            )
            for part in ([operation] if is_one else split(operation))
        ]
        if len(answers) == 1:
            return answers[0]
        return Answer(
            value=operation.merged([answer.value for answer in answers]),
            sent_at_s=min(answer.sent_at_s for answer in answers),
            age_s=max(answer.age_s for answer in answers),
        )
