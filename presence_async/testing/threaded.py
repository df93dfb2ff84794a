"""ThreadedEmulator: the emulator in a thread, for tests and programs without a loop."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar

from ..client.config import PresenceConfig
from ..emulator import EventFault, Fault, Grant, PresenceEmulator
from ..emulator.journal import Journal
from ..emulator.occupancy import OccupancyChange
from ..emulator.service import RESTART_SHIFT_S
from ..protocol.json_codec import Json

__all__ = ["ThreadedEmulator"]

P = ParamSpec("P")
R = TypeVar("R")

_LOOK_AGAIN_S = 0.005
_SHOWN_REQUESTS = 5


class ThreadedEmulator:
    """The emulator in a thread: ``with ThreadedEmulator() as emulator:``, no asyncio.

    For tests without a loop, for other processes and for browsers. It listens when the
    block begins; at its end it cuts every connection, and the thread is gone. Methods
    are those of ``PresenceEmulator``, may be called from any thread, and take about as
    long as its loop takes to turn. Time is real.

    It serves one block. After a fork, only ``url``, ``origin`` and ``config`` work in
    the child, which should use nothing else and keeps the port open while it lives.

    Args:
        options: The arguments of ``PresenceEmulator``.

    Raises:
        InvalidArgumentError: An option is out of its range.
        OSError: At the start of the block: the address is taken, or is not one of this
            machine.
        RuntimeError: It is used outside its block, for a second block, in a forked
            child, or by code that its own thread runs, such as ``clock``.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  # PresenceEmulator's
        self._emulator = PresenceEmulator(**options)
        # A daemon, so that a forgotten end of the block keeps no program from ending.
        self._thread = threading.Thread(
            target=self._run, name="presence-emulator", daemon=True
        )
        self._started: Future[_Serving] = Future()
        self._serving: _Serving | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if self._thread.ident is not None:
            raise RuntimeError("a ThreadedEmulator serves one block; make another one")
        try:
            self._thread.start()
            self._serving = self._started.result()
        except BaseException:  # an interrupt, too, even before the thread runs
            self._started.add_done_callback(_end)
            if self._thread.is_alive():
                self._thread.join()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        serving = self._serving
        if serving is None or serving.pid != os.getpid():
            return  # it has ended before, or is the parent's, as are its sockets
        with self._lock, suppress(RuntimeError):  # the loop has ended by itself
            self._serving = None
            serving.end()
        self._thread.join()

    # For clients.

    @property
    def origin(self) -> str:
        """Host and port, such as ``"127.0.0.1:40123"``; plain HTTP."""
        return self._require().origin

    @property
    def url(self) -> str:
        """The address for programs, such as ``"http://127.0.0.1:40123"``.

        ``PUBNUB_ORIGIN`` takes it as it is.
        """
        return f"http://{self.origin}"

    def config(self, **overrides: Any) -> PresenceConfig:  # noqa: ANN401  # as the class
        """Return a config that points here; overrides are ``PresenceConfig``'s."""
        self._require()
        return self._emulator.config(**overrides)

    # Its true state.

    @property
    def requests(self) -> Journal:
        """A copy of the requests so far, oldest first.

        An entry whose request is still pending gets its ``status`` later.
        """
        return self._on_loop(self._emulator.requests.copy)

    def occupants(
        self, channel: str, subscribe_key: str | None = None
    ) -> Mapping[str, Mapping[str, Json]]:
        """Return the state of each user present on a channel, ``{}`` for none."""
        return self._on_loop(self._emulator.occupants, channel, subscribe_key)

    def events(
        self, channel: str, subscribe_key: str | None = None
    ) -> tuple[OccupancyChange, ...]:
        """Return what happened on a channel, oldest first; the newest 10,000 in all."""
        return self._on_loop(self._emulator.events, channel, subscribe_key)

    @property
    def open_polls(self) -> int:
        """The number of long polls that are held right now."""
        return self._on_loop(lambda: self._emulator.open_polls)

    def wait_until(self, is_so: Callable[[], R], timeout_s: float = 5) -> R:
        """Wait until something is so, instead of sleeping for long enough.

        ``emulator.wait_until(lambda: "bob" in emulator.occupants("lobby"))``. An
        exception of ``is_so`` ends the wait.

        Args:
            is_so: Called in this thread, again and again, until what it returns is
                true.
            timeout_s: How long to wait, in seconds.

        Returns:
            What ``is_so`` returned last.

        Raises:
            TimeoutError: It was never so; the text shows the last requests.
            RuntimeError: This thread runs an event loop, which would stand still; use
                ``await asyncio.to_thread(emulator.wait_until, ...)``.
        """
        _refuse_a_loop()
        ends_at_s = time.monotonic() + timeout_s
        while not (found := is_so()):
            if time.monotonic() >= ends_at_s:
                raise TimeoutError(
                    f"not so within {timeout_s:g} s; {_last(self.requests)}"
                )
            time.sleep(_LOOK_AGAIN_S)
        return found

    # Control.

    def inject(
        self, fault: Fault | EventFault, subscribe_key: str | None = None
    ) -> None:
        """Put a fault in force; the one injected last is asked first."""
        self._on_loop(self._emulator.inject, fault, subscribe_key)

    def lose_messages(self, subscribe_key: str | None = None) -> None:
        """Lose every event that no poll has fetched yet."""
        self._on_loop(self._emulator.lose_messages, subscribe_key)

    def restart_timetokens(self, shift_s: float = RESTART_SHIFT_S) -> None:
        """Restart the events of every key, as a restarted service does."""
        self._on_loop(self._emulator.restart_timetokens, shift_s)

    def kick(
        self,
        user_id: str,
        channel: str | None = None,
        subscribe_key: str | None = None,
    ) -> tuple[str, ...]:
        """Time a user out now, on a channel or on all; return on which.

        Raises:
            InvalidArgumentError: The channel is empty; ``None`` means all of them.
        """
        return self._on_loop(self._emulator.kick, user_id, channel, subscribe_key)

    def advance(self, seconds: float) -> None:
        """Jump ahead: what would be due within that time is due now."""
        self._on_loop(self._emulator.advance, seconds)

    def grant(self, token: str, *grants: Grant) -> None:
        """Replace the rights of a token; the first one turns access control on."""
        self._on_loop(self._emulator.grant, token, *grants)

    def revoke(self, token: str) -> None:
        """Refuse a token from now on, until it is granted again."""
        self._on_loop(self._emulator.revoke, token)

    def reset(self, subscribe_key: str | None = None) -> None:
        """Start again, as if the emulator had just been started.

        Forgets presence, state, groups and events of one key, or of every key for
        ``"*"``; and in either case the faults, the journal and new tokens.
        """
        self._on_loop(self._emulator.reset, subscribe_key)

    # The thread.

    def _run(self) -> None:
        try:
            # Not the loop of the project's policy, which may be a virtual one.
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        async with self._emulator as emulator:
            serving = _Serving(
                emulator.origin,
                asyncio.get_running_loop(),
                asyncio.Event(),
                os.getpid(),
            )
            self._started.set_result(serving)
            await serving.is_over.wait()

    def _on_loop(self, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a method in the thread, and wait for its result."""
        done: Future[R] = Future()

        def call() -> None:
            try:
                done.set_result(method(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  # is the caller's
                done.set_exception(error)

        self._require().check_caller(self._thread)
        with self._lock:  # so that no call comes after the end
            self._require().loop.call_soon_threadsafe(call)
        return done.result()

    def _require(self) -> _Serving:
        if self._serving is None:
            raise RuntimeError(
                "the emulator is not serving: use it in its block,"
                " with ThreadedEmulator() as emulator"
            )
        return self._serving


class _Serving(NamedTuple):
    """What the thread tells of itself once it listens."""

    origin: str
    loop: asyncio.AbstractEventLoop
    is_over: asyncio.Event
    pid: int

    def end(self) -> None:
        """Stop serving; may be called from any thread."""
        self.loop.call_soon_threadsafe(self.is_over.set)

    def check_caller(self, thread: threading.Thread) -> None:
        """Refuse a caller for whom the thread could never answer."""
        if self.pid != os.getpid():
            raise RuntimeError(
                "the emulator serves in the process that this one was forked from;"
                " only its url, origin and config can be used here"
            )
        if threading.current_thread() is thread:
            raise RuntimeError("the emulator's own thread would wait for itself here")


def _end(started: Future[_Serving]) -> None:
    if started.exception() is None:
        started.result().end()


def _refuse_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "wait_until would stop this thread's event loop;"
        " await asyncio.to_thread(emulator.wait_until, ...)"
    )


def _last(requests: Journal) -> str:
    shown = [
        f"{entry.operation or entry.path} of {entry.user_id}: {entry.status}"
        for entry in requests[-_SHOWN_REQUESTS:]
    ]
    return "the last requests were " + ", ".join(shown) if shown else "no requests came"
