"""The examination of a keyset: which probes there are, and in which order they run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from ..client.config import PresenceConfig
from ..errors import RequestError
from ..protocol.identity import redacted
from . import caches, crowd, features, keys, reach, rights, timing, tracking
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
        is_timed: Whether slow answers make its figures wrong.
    """

    name: str
    run: Callable[[Subject], Coroutine[Any, Any, Finding]]
    needs: tuple[str, ...] = ()
    needs_tokens: bool = False
    needs_place: bool = False
    is_timed: bool = False


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
_SLOW_S = 1.0

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
            Probe("tracking", tracking.tracking, _PLACED),
            Probe("global here now", features.global_here_now, _PLACED),
            Probe("stream filtering", features.stream_filtering, _OPEN),
        ),
        lambda limits: limits.event_s,
    ),
    Phase(
        (Probe("delays", timing.delays, _PLACED, needs_place=True, is_timed=True),),
        lambda limits: limits.event_s + limits.leave_s,
    ),
)
"""What takes seconds."""

LONG: tuple[Phase, ...] = (
    Phase(
        tuple([
            Probe(name, run, _PLACED, needs_place=True, is_timed=True)
            for name, run in (
                ("timeouts", timing.timeouts),
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
    return Report(tuple(examination.findings))


class _Examination:
    """The findings so far, and what need not be asked any more."""

    def __init__(self, subject: Subject, on_finding: Callable[[Finding], None]) -> None:
        self._subject = subject
        self._on_finding = on_finding
        self._failed: set[str] = set()
        self.findings: list[Finding] = []

    async def run(self, phase: Phase) -> None:
        """Run the probes of a phase at once; their findings come in order."""
        due = [probe for probe in phase.probes if self._applies(probe)]
        most_s = phase.lasts_s(self._subject.limits) + _GRACE_S
        self._subject.wire.slowest_s = 0.0
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(
                        self._finding(probe, most_s), name=f"doctor: {probe.name}"
                    )
                    for probe in due
                ]
        except BaseExceptionGroup as errors:
            # The first one has ended the others.
            raise errors.exceptions[0] from None
        self.findings += [task.result() for task in tasks]

    def _applies(self, probe: Probe) -> bool:
        """Return False for a question that does not arise."""
        if not probe.needs_tokens:
            return True
        return Report(tuple(self.findings)).measured.get("access_manager") is True

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
        limit = asyncio.timeout(most_s)
        try:
            async with limit:
                finding = await probe.run(self._subject)
        except (RequestError, BaseExceptionGroup) as error:
            return unknown(probe.name, self._without_secrets(_failure(error)))
        except TimeoutError:
            if not limit.expired():
                raise
            return unknown(probe.name, f"not measured: it takes over {most_s:.0f} s")
        slowest_s = self._subject.wire.slowest_s
        if probe.is_timed and slowest_s > _SLOW_S:
            words = f"not measured: an answer took {slowest_s:.1f} s"
            return unknown(probe.name, words)
        return finding

    def _without_secrets(self, words: str) -> str:
        """Remove what a service may have repeated; requests remove their own."""
        config = self._subject.config
        secrets = [x for x in (config.auth, config.secret_key) if isinstance(x, str)]
        return redacted(words, secrets)

    def _not_tried(self, probe: Probe) -> Finding | None:
        missing = [name for name in probe.needs if name in self._failed]
        if missing:
            return not_tried(probe.name, f"see {missing[0]}")
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
    return f"not measured: {error}"


def _nothing(_: Finding) -> None:
    pass
