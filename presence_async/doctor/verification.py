"""Examine a keyset and an emulator with a profile, at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from ..client.config import PresenceConfig
from ..emulator.emulator import PresenceEmulator
from ..emulator.grant import EVERYTHING, Grant
from ..emulator.profile import EmulatorProfile
from .comparison import Comparison, compared
from .examination import Limits, Phase, examine
from .finding import Report
from .subject import checked_channel

__all__ = ["Verification", "verify"]

_TOKEN = "doctor"  # noqa: S105  # opens nothing but the emulator in this process
_ALL = Grant(channels=EVERYTHING, channel_groups=EVERYTHING, manage=True)


@attrs.frozen(kw_only=True)
class Verification:
    """What was found about a keyset and an emulator, and where they differ."""

    keyset: Report
    emulator: Report
    comparison: Comparison

    @property
    def is_different(self) -> bool:
        """Whether they differ in anything that was compared."""
        return bool(self.comparison.differences)


async def verify(
    config: PresenceConfig,
    profile: EmulatorProfile | None = None,
    channel: str | None = None,
    *,
    is_quick: bool = False,
    limits: Limits | None = None,
    on_phase: Callable[[Phase], None] | None = None,
) -> Verification:
    """Examine a keyset and an emulator of our own.

    Args:
        config: Keys, user, token and limits of the keyset.
        profile: What the emulator is; ``None``: ``EmulatorProfile()``.
        channel: The channel to ask about, on both.
        is_quick: As of ``examine``.
        limits: As of ``examine``.
        on_phase: Called before each phase of the keyset's examination.

    Raises:
        InvalidArgumentError: ``channel`` is no name of one channel.
        OSError: The emulator could not listen.

    Cancellation: as ``examine``.
    """
    profile, channel = profile or EmulatorProfile(), checked_channel(channel)
    access = {_TOKEN: _ALL} if profile.access_manager else None
    async with PresenceEmulator(profile=profile, access=access) as emulator:
        theirs = emulator.config(
            user_id=config.user_id, auth=None if access is None else _TOKEN
        )
        try:
            async with asyncio.TaskGroup() as group:
                keyset, emulated = [
                    group.create_task(
                        examine(
                            one,
                            channel,
                            is_quick=is_quick,
                            limits=limits,
                            on_phase=shown,
                        ),
                        name=f"doctor examines {name}",
                    )
                    for name, one, shown in (
                        ("the keyset", config, on_phase),
                        ("the emulator", theirs, None),
                    )
                ]
        except BaseExceptionGroup as errors:
            # The first one has ended the other.
            raise errors.exceptions[0] from None
    return Verification(
        keyset=keyset.result(),
        emulator=emulated.result(),
        comparison=compared(keyset.result(), emulated.result()),
    )
