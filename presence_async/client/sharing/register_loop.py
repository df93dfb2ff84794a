"""RegisterLoop: the task that speaks to a register, from its opening to its close."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import platform
import secrets
from collections.abc import Callable

from ...checks import checked_hand_over_s, number
from ...errors import InvalidArgumentError, RegisterError
from ...presence.engine import PresenceEngine
from ...presence.listings import Listings
from ...presence.membership import Membership
from ...register.register import Register
from ...register.values import Worker
from ..aio import TaskOwner, loop_s
from ..config import PresenceConfig
from ..heartbeat_manager import RegisterStats
from ..safe_log import SafeLogger
from .exchange import RegisterExchange
from .pace import RegisterPace
from .register_call import asked

__all__ = ["RegisterLoop"]

logger: SafeLogger = SafeLogger("presence_async.client")

_CLOSED_WITHIN_S = 3.0
_RESTART_PAUSE_S = 1.0


class RegisterLoop:
    """The asyncio side of a register.

    Args:
        register: Is asked.
        config: Whose users they are, and how long an attempt may take.
        engine: Asks, and takes the answers in.
        pump: Sends what the answers allow.

    Attributes:
        register: As given.
        hand_over_s: Seconds in which users of a client that closes may come back.
        listings: What the engine has to do with a register.
    """

    def __init__(
        self,
        register: Register,
        config: PresenceConfig,
        engine: PresenceEngine,
        pump: Callable[[], None],
    ) -> None:
        worker = Worker(config.subscribe_key, "")
        self.register: Register = register
        self.hand_over_s: float = checked_hand_over_s(register.hand_over_s)
        grace_s = number(
            register.crash_grace_s, "crash_grace_s", least=0, may_be_infinite=True
        )
        self._member = Membership(worker, grace_s, config.attempt_timeout_s)
        self.listings: Listings = Listings(self._member, engine.shared, engine.dispatch)
        engine.shared.sharing = self.listings
        self._pump = pump
        self._pace = RegisterPace(self._member, engine.shared.rng)
        self._exchange = RegisterExchange(register, self.listings, self._pace, pump)
        self._tasks = TaskOwner()
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._sleeps_until_s = 0.0
        self._is_open = False
        self._is_aborted = False
        self._close_timeout_s = 2 * config.close_timeout_s

    def stats(self) -> RegisterStats:
        """Return the figures of this moment."""
        return RegisterStats(
            engine=self.register.engine,
            is_up=self._member.is_up,
            leading=self.listings.leading,
            following=self.listings.following,
            lingering=self._member.lingering,
            unasked=self._member.unasked,
        )

    # Opening, and the task.

    async def open(self) -> None:
        """Get ready, up to the first sign of life; if it is away, later.

        Raises:
            ImportError: A package for it is not installed.
            InvalidArgumentError: It cannot work here.

        Cancellation: closes the register.
        """
        # Not before: the process may have been forked since the client was made.
        label = f"{platform.node()}:{os.getpid()}"
        self._member.worker = self._member.worker._replace(
            worker_id=secrets.token_urlsafe(6), label=label
        )
        try:
            await asked(self.register.engine, self.register.open)
            self._is_open = True
            await self._exchange.attend()
        except RegisterError as error:
            self._is_open = True
            self.listings.lose(error, loop_s())
        except (ImportError, InvalidArgumentError):
            await self._close()
            raise
        except BaseException:
            self._is_open = True
            await self._close()
            raise

    def start(self) -> None:
        """Start the task that speaks to the register."""
        self._task = self._tasks.create(self._run(), name="presence register")

    async def _run(self) -> None:
        try:
            await self._keep()
        except asyncio.CancelledError:
            # The last cancel of asyncio.run: the task that sends heartbeats closes the
            # client then, and the leaves that it sends have to be allowed.
            if not self._is_aborted:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._close_timeout_s):
                        await self._keep()
            raise

    async def _keep(self) -> None:
        while True:
            try:
                while True:
                    await self._speak()
                    await self._sleep()
            except Exception as error:
                logger.critical("the register loop crashed; restarting", exc_info=True)
                self.listings.lose(error, loop_s())
            await asyncio.sleep(_RESTART_PAUSE_S)

    async def _speak(self) -> None:
        try:
            await self._exchange.speak()
        except RegisterError as error:
            self._pace.failed(loop_s())
            self.listings.lose(error, loop_s())
        self._pump()

    async def _sleep(self) -> None:
        until_s = self._pace.begin_sleep(loop_s())
        if until_s <= loop_s():
            await asyncio.sleep(0)
            return
        self._wake.clear()
        self._sleeps_until_s = until_s
        timer = asyncio.get_running_loop().call_at(until_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
            self._sleeps_until_s = -math.inf

    def hasten(self) -> None:
        """Wake the loop if there is something to say sooner than it sleeps."""
        if self._pace.due_s(loop_s()) < self._sleeps_until_s:
            self._wake.set()

    # The end.

    async def begin_closing(self) -> bool:
        """Say that this client takes no users any more; return if others do.

        Cancellation: as a register that is away.
        """
        self._member.is_closing = True
        await self._attend_now()
        return self._member.is_up and self._member.workers > 0

    async def see_off(self) -> bool:
        """As the last client: take the departures that would come later.

        Returns:
            True if there were any, so that there may be more.
        """
        self._member.is_last = True
        await self._attend_now()
        return self._member.is_up and self._member.departures > 0

    async def _attend_now(self) -> None:
        if self._task is None:
            return
        if self._task.done() or self._task.cancelling():
            # By the end of ``asyncio.run``, which nobody closed the client before.
            self.start()
        self._exchange.attended.clear()
        self._pace.attend_now()
        self._wake.set()
        await self._exchange.attended.wait()

    async def flush(self) -> None:
        """Have noted what is still to be noted."""
        if self._member.is_up and self._is_open:
            self._pace.note_now()
            try:
                await self._exchange.note()
            except RegisterError as error:
                self.listings.lose(error, loop_s())

    def abort(self) -> None:
        """Cancel the task, without waiting."""
        self._is_aborted = True
        self._tasks.abort()

    async def finish(self) -> None:
        """Wait for the end of the task and close the register."""
        await self._tasks.finish()
        await self._close()

    async def _close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        register = self.register
        try:
            await asked(register.engine, register.close, _CLOSED_WITHIN_S)
        except Exception as error:  # noqa: BLE001  # the client is closed all the same
            logger.warning("closing the register failed: %s", error)
