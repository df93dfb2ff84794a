"""``presence-async doctor``: examine a keyset, and say what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import presence_async

from . import options
from .output import complain, print_json, say
from .running import run

if TYPE_CHECKING:
    from ..doctor.finding import Report

__all__ = ["Channel", "LongestTimeout", "Quick", "UserId", "doctor", "doctor_config"]

_USER_ID = "presence-doctor"

Channel = Annotated[
    str | None,
    typer.Argument(help="A channel of yours to ask about.", show_default=False),
]
Quick = Annotated[
    bool,
    typer.Option(
        "--quick",
        help="Leave out what has to wait: timeouts, caches, announce maximum.",
    ),
]
LongestTimeout = Annotated[
    int,
    typer.Option(
        "--longest-timeout",
        metavar="SECONDS",
        help="The longest presence timeout to wait for.",
        min=10,
        max=600,
    ),
]
UserId = Annotated[
    str | None,
    typer.Option(
        help=(
            "Who asks; throw-away users are announced"
            f" [env: PUBNUB_USER_ID; default: {_USER_ID}]."
        ),
        show_default=False,
    ),
]


def doctor(
    channel: Channel = None,
    quick: Quick = False,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what was measured to FILE, for emulate --profile FILE.",
            show_default=False,
        ),
    ] = None,
    longest_timeout: LongestTimeout = 60,
    subscribe_key: options.SubscribeKey = None,
    user_id: UserId = None,
    origin: options.Origin = None,
    proxy: options.Proxy = None,
    as_json: options.AsJson = False,
) -> None:
    """Examine a keyset, and say what to do.

    What works and what does not: a line for each finding; after '->' stands what to do.
    Takes less than three minutes, and some seconds with --quick; longer where requests
    fail or are slow. Sends 200 to 1000 requests, about 25 in a second at most, and
    announces up to 102 throw-away users at once. Their names and those of their
    channels are 'doctor-' and a random part. They leave at the end, also on Ctrl-C.

    Name a CHANNEL of yours, since many keysets track selected channels only. One
    throw-away user joins it for a moment; the others do only if no throw-away channel
    is tracked and nobody is on CHANNEL.

    Ends with 0 if nothing is wrong, 1 if there is a problem.

    Example: presence-async doctor lobby --save keyset.json
    """
    # Before the event loop runs, which their import would block.
    from ..doctor.examination import Limits, examine  # noqa: PLC0415  # as app says
    from ..doctor.finding import Finding  # noqa: PLC0415
    from .findings import Progress, line, opening_line  # noqa: PLC0415

    limits = Limits(longest_timeout_s=longest_timeout)
    reports: list[Report] = []

    async def ask() -> None:
        config = doctor_config(subscribe_key, user_id, origin, proxy)
        if not as_json:
            say(opening_line(config, limits, is_quick=quick))
        with Progress(limits) as progress:

            def show(finding: Finding) -> None:
                if finding.was_tried and not as_json:
                    progress.say(line(finding))

            report = await examine(
                config,
                channel,
                is_quick=quick,
                limits=limits,
                on_phase=progress.phase,
                on_finding=show,
            )
        reports.append(report)
        if as_json:
            print_json(report.to_dict())
        else:
            _conclude(report)
        if save is not None:
            _save(report, save)

    run(ask)
    if any(report.has_problems for report in reports):
        raise typer.Exit(1)


def _conclude(report: Report) -> None:
    from .findings import closing_line, not_tried_line  # noqa: PLC0415  # as app says

    not_tried = not_tried_line(report.findings)
    if not_tried is not None:
        say(not_tried)
    say(closing_line(report))


def _save(report: Report, path: Path) -> None:
    """Write the profile.

    Raises:
        OSError: The file cannot be written.
    """
    if "presence" not in report.measured:
        complain(f"nothing was measured, so {path} was not written")
        return
    report.profile().save(path)
    rest = ", ".join(report.not_measured)
    complain(f"wrote {path}{f'; not measured, so by default: {rest}' if rest else ''}")


def doctor_config(
    subscribe_key: str | None,
    user_id: str | None,
    origin: str | None,
    proxy: str | None,
) -> presence_async.PresenceConfig:
    """Return the config of options and environment; a user ID is not needed.

    Raises:
        InvalidArgumentError: A setting is missing or invalid.
    """
    from ..client.config import environment_value  # noqa: PLC0415  # as app says

    user_id = user_id or environment_value("PUBNUB_USER_ID") or _USER_ID
    return options.config_of(subscribe_key, user_id, origin, proxy)
