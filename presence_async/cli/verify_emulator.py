"""``presence-async verify-emulator``: where an emulator differs from a keyset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .doctor import Channel, LongestTimeout, Quick, UserId, doctor_config
from .output import print_json, say
from .running import run

__all__ = ["verify_emulator"]


def verify_emulator(
    channel: Channel = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=(
                "The profile of the emulator, as doctor --save writes it; by default"
                " that of PresenceEmulator()."
            ),
            show_default=False,
        ),
    ] = None,
    quick: Quick = False,
    longest_timeout: LongestTimeout = 60,
    subscribe_key: options.SubscribeKey = None,
    user_id: UserId = None,
    origin: options.Origin = None,
    proxy: options.Proxy = None,
    as_json: options.AsJson = False,
) -> None:
    """Compare a keyset with a local emulator.

    Shows the options in which they differ. Asks both what doctor asks, which takes less
    than three minutes; see doctor for what is sent. Each difference comes with the
    option that makes the emulator behave as the keyset, and the last line is the
    command for all of them. What the keyset hides is not compared: without Presence, or
    on a channel that is not tracked, hardly anything shows.

    Ends with 0 if they do not differ, 1 if they do or the keyset has a problem.

    Example: presence-async verify-emulator lobby --profile keyset.json
    """
    # Before the event loop runs, which their import would block.
    from ..doctor.examination import Limits  # noqa: PLC0415  # as app says
    from ..doctor.finding import Verdict  # noqa: PLC0415
    from ..doctor.verification import Verification, verify  # noqa: PLC0415
    from ..emulator.profile import EmulatorProfile  # noqa: PLC0415
    from .differences import say_comparison  # noqa: PLC0415
    from .findings import Progress, line, opening_line  # noqa: PLC0415

    limits = Limits(longest_timeout_s=longest_timeout)
    found: list[Verification] = []

    async def ask() -> None:
        config = doctor_config(subscribe_key, user_id, origin, proxy)
        emulated = None if profile is None else EmulatorProfile.load(profile)
        if not as_json:
            say(opening_line(config, limits, is_quick=quick))
        with Progress(limits) as progress:
            verification = await verify(
                config,
                emulated,
                channel,
                is_quick=quick,
                limits=limits,
                on_phase=progress.phase,
            )
        found.append(verification)
        if as_json:
            print_json(verification.comparison.to_dict())
            return
        for finding in verification.keyset.findings:
            if finding.verdict is Verdict.PROBLEM:
                say(line(finding))
        say_comparison(verification.comparison)

    run(ask)
    if any(one.is_different or one.keyset.has_problems for one in found):
        raise typer.Exit(1)
