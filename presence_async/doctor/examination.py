"""The examination of a keyset: which probes there are, and in which order they run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NamedTuple

from ..client.config import PresenceConfig
from ..errors import RequestError
from ..protocol.identity import redacted
from . import (
    caches,
    crowd,
    features,
    keys,
    reach,
    rights,
    timeouts,
    timing,
    tracking,
)
from .bounds import UnclearError
from .finding import Finding, Report, Verdict, not_tried, unknown
from .limits import Limits
from .subject import Subject

__all__ = ["LONG", "QUICK", "Limits", "Phase", "Probe", "examine"]


class Probe(NamedTuple):
    """One question to a keyset.

    Attributes:
        name: The name of its finding.
        run: Asks and judges.
        needs: Names of findings without which there is no point in asking.
        needs_tokens: Whether it is asked only if Access Manager is on.
        needs_place: Whether it needs a tracked channel on which nobody else is.
    """

    name: str
    run: Callable[[Subject], Coroutine[Any, Any, Finding]]
    needs: tuple[str, ...] = ()
    needs_tokens: bool = False
    needs_place: bool = False


class Phase(NamedTuple):
    """Probes that run at once, since most of them wait.

    Attributes:
        probes: The probes.
        lasts_s: Returns the seconds that they may take, if that is many. A slow service
            gets 20 s more.
    """

    probes: tuple[Probe, ...]
    lasts_s: Callable[[Limits], float] = lambda _: 0.0


_OPEN = ("keys", "access")
_SERVED = (*_OPEN, "presence")
_PLACED = (*_SERVED, "token")
_GRACE_S = 20.0
_PASSES_S = 5.0
_TRIES = 3
_TRACKING = Probe("tracking", tracking.tracking, _PLACED)

QUICK: tuple[Phase, ...] = (
    Phase((Probe("name", reach.name), Probe("descriptors", reach.descriptors))),
    Phase((Probe("connection", reach.connection, ("name",)),)),
    Phase((Probe("clock", reach.clock, ("connection",)),)),
    Phase((Probe("keys", keys.keys, ("connection", "clock")),)),
    Phase((Probe("access", keys.access, ("keys",)),)),
    Phase((Probe("presence", keys.presence, _OPEN),)),
    Phase((
        Probe("token", rights.token, _SERVED, needs_tokens=True),
        Probe("leave right", rights.leave_right, ("keys",), needs_tokens=True),
    )),
    Phase(
        (
            _TRACKING,
            Probe("global here now", features.global_here_now, _PLACED),
            Probe("stream filtering", features.stream_filtering, _OPEN),
        ),
        lambda limits: limits.event_s,
    ),
    Phase(
        (Probe("delays", timing.delays, _PLACED, needs_place=True),),
        lambda limits: limits.event_s + limits.leave_s,
    ),
)
"""What takes seconds."""

LONG: tuple[Phase, ...] = (
    Phase(
        tuple([
            Probe(name, run, _PLACED, needs_place=True)
            for name, run in (
                ("timeouts", timeouts.timeouts),
                ("implicit heartbeats", timing.implicit_heartbeats),
                ("disconnect", timing.disconnect),
                ("here now cache", caches.here_now_cache),
                ("heartbeat cache", caches.heartbeat_cache),
            )
        ]),
        lambda limits: limits.longest_timeout_s + 5,
    ),
    Phase(
        (Probe("announce maximum", crowd.announce_maximum, _PLACED, needs_place=True),),
        # With the time that each join and leave of the crowd takes.
        lambda limits: 3 * limits.crowd / limits.per_s + 2 * limits.interval_s,
    ),
)
"""What has to wait: for timeouts, caches and interval events."""


async def examine(
    config: PresenceConfig,
    channel: str | None = None,
    *,
    is_quick: bool = False,
    limits: Limits | None = None,
    on_phase: Callable[[Phase], None] | None = None,
    on_finding: Callable[[Finding], None] | None = None,
) -> Report:
    """Examine a keyset.

    Users and channels have throw-away names with a random part, and are left at the
    end. On ``channel`` a throw-away user is announced for a moment, and many users
    only if no throw-away channel is tracked and nobody is on it.

    Args:
        config: Keys, user, token and limits.
        channel: The channel to ask about; ``None``: none in particular.
        is_quick: Whether to leave out what has to wait.
        limits: How long it may take, and how much it may send.
        on_phase: Called before each phase.
        on_finding: Called with each finding; what it raises ends the examination.

    Raises:
        InvalidArgumentError: ``channel`` is no name of one channel.

    Cancellation: leaves the throw-away users, within 15 s.
    """
    async with Subject(config, channel, limits) as subject:
        examination = _Examination(subject, on_finding or _nothing)
        for phase in QUICK if is_quick else (*QUICK, *LONG):
            if on_phase is not None:
                on_phase(phase)
            await examination.run(phase)
    return Report(examination.findings)


class _Examination:
    """The findings so far, and what need not be asked any more."""

    def __init__(self, subject: Subject, on_finding: Callable[[Finding], None]) -> None:
        self._subject = subject
        self._on_finding = on_finding
        self._failed: set[str] = set()
        self._unclear: set[str] = set()
        self._found: dict[str, Finding] = {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings so far, in order."""
        return tuple(self._found.values())

    async def run(self, phase: Phase) -> None:
        """Run the probes of a phase at once; their findings come in order."""
        needs_place = any(probe.needs_place for probe in phase.probes)
        if needs_place and _TRACKING.name in self._unclear:
            # Nearly all that is left depends on it, and trouble passes.
            await asyncio.sleep(_PASSES_S)
            await self._run((_TRACKING,), 0.0)
        await self._run(phase.probes, phase.lasts_s(self._subject.limits))

    async def _run(self, probes: Iterable[Probe], lasts_s: float) -> None:
        due = [probe for probe in probes if self._applies(probe)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(
                        self._finding(probe, lasts_s + _GRACE_S),
                        name=f"doctor: {probe.name}",
                    )
                    for probe in due
                ]
        except BaseExceptionGroup as errors:
            # The first one has ended the others.
            raise errors.exceptions[0] from None
        self._found |= {task.result().name: task.result() for task in tasks}

    def _applies(self, probe: Probe) -> bool:
        """Return False for a question that does not arise."""
        if not probe.needs_tokens:
            return True
        return Report(self.findings).measured.get("access_manager") is True

    async def _finding(self, probe: Probe, most_s: float) -> Finding:
        finding = self._not_tried(probe)
        if finding is None:
            finding = await self._tried(probe, most_s)
            if finding.verdict is Verdict.PROBLEM:
                self._failed.add(probe.name)
        else:
            self._failed.add(probe.name)
        self._on_finding(finding)
        return finding

    async def _tried(self, probe: Probe, most_s: float) -> Finding:
        """Run a probe, for as long as it may take."""
        limit, why = asyncio.timeout(most_s), f"it takes over {most_s:.0f} s"
        self._unclear.discard(probe.name)
        try:
            async with limit:
                return await self._repeated(probe, most_s)
        except UnclearError as error:
            why = str(error)
        except (RequestError, BaseExceptionGroup) as error:
            why = self._without_secrets(_failure(error))
        except TimeoutError:
            if not limit.expired():
                raise
        self._unclear.add(probe.name)
        return unknown(probe.name, f"not measured: {why}")

    async def _repeated(self, probe: Probe, most_s: float) -> Finding:
        """Run a probe, and again if it saw too little and there is time.

        Raises:
            UnclearError: It always saw too little.
        """
        loop = asyncio.get_running_loop()
        until_s, tries = loop.time() + most_s, 1
        while True:
            began_s = loop.time()
            try:
                return await probe.run(self._subject)
            except UnclearError:
                took_s = loop.time() - began_s
                if tries == _TRIES or loop.time() + took_s > until_s:
                    raise
            tries += 1

    def _without_secrets(self, words: str) -> str:
        """Remove what a service may have repeated; requests remove their own."""
        config = self._subject.config
        secrets = [x for x in (config.auth, config.secret_key) if isinstance(x, str)]
        return redacted(words, secrets)

    def _not_tried(self, probe: Probe) -> Finding | None:
        missing = [name for name in probe.needs if name in self._failed]
        if missing:
            return not_tried(probe.name, f"see {missing[0]}")
        if probe.needs_place and _TRACKING.name in self._unclear:
            return not_tried(probe.name, f"see {_TRACKING.name}")
        if probe.needs_place and self._subject.place is None:
            return not_tried(probe.name, "no channel is both tracked and without users")
        return None


def _failure(error: RequestError | BaseExceptionGroup[BaseException]) -> str:
    """Return what a request ran into, on one line; raise what is no such failure."""
    if isinstance(error, BaseExceptionGroup):
        failures, others = error.split(RequestError)
        if others is not None or failures is None:
            raise error
        return _failure(failures.exceptions[0])
    return str(error)


def _nothing(_: Finding) -> None:
    pass
