"""``presence-async emulate``: run a local presence service."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from .. import emulator
from ..errors import InvalidArgumentError
from . import profile_options as options
from .output import complain, print_json, say
from .running import run

__all__ = ["emulate"]

_FAULT_HELP = (
    "A fault to inject, as JSON with the fields of Fault or in short form; may be"
    " repeated."
)
_EVENT_FAULT_HELP = (
    "A fault of event delivery, as JSON with the fields of EventFault; may be repeated."
)
_ACCESS_HELP = (
    "Refuse requests without a token that this file allows; JSON such as"
    ' {"token": [{"channels": ["lobby"]}]}.'
)

_CONTROL_HELP = (
    "Let programs on other machines use the control path if they send this token as"
    " Authorization: Bearer; those on this machine then need it too [env:"
    " PRESENCE_EMULATOR_CONTROL_TOKEN; use this, since other users can read the command"
    " line]."
)


def emulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)
    ] = 0,
    fault: Annotated[
        list[str] | None, typer.Option(help=_FAULT_HELP, show_default=False)
    ] = None,
    event_fault: Annotated[
        list[str] | None, typer.Option(help=_EVENT_FAULT_HELP, show_default=False)
    ] = None,
    access: Annotated[
        Path | None, typer.Option(help=_ACCESS_HELP, show_default=False)
    ] = None,
    verify_signatures: Annotated[
        bool,
        typer.Option(
            "--verify-signatures",
            help="Refuse requests not signed with the key in PUBNUB_SECRET_KEY.",
        ),
    ] = False,
    publish_key: Annotated[str, typer.Option(help="Part of signatures.")] = "demo",
    subscribe_key: Annotated[
        str | None,
        typer.Option(
            help="The key that the control path uses by default; the first --valid-key,"
            " or demo, if not given.",
            show_default=False,
        ),
    ] = None,
    valid_key: Annotated[
        list[str] | None,
        typer.Option(
            help="Accept only this subscribe key; may be repeated.",
            show_default=False,
        ),
    ] = None,
    idle_poll_s: Annotated[
        float, typer.Option(help="Seconds to hold a poll without events.")
    ] = 280,
    max_requests_per_s: Annotated[
        float | None,
        typer.Option(
            help="Answer 429 to requests above this rate.", show_default=False
        ),
    ] = None,
    journal_size: Annotated[
        int, typer.Option(help="Number of requests to keep for /_emulator/requests.")
    ] = 100_000,
    control_token: Annotated[
        str | None,
        typer.Option(
            envvar="PRESENCE_EMULATOR_CONTROL_TOKEN",
            show_envvar=False,
            help=_CONTROL_HELP,
            show_default=False,
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log each request on stderr.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the address as JSON.")
    ] = False,
    profile: options.Profile = None,
    presence: options.Presence = None,
    tracked_channels: options.TrackedChannels = None,
    implicit_heartbeats: options.ImplicitHeartbeats = None,
    announce_max: options.AnnounceMax = None,
    interval_s: options.IntervalS = None,
    presence_deltas: options.PresenceDeltas = None,
    leave_on_disconnect: options.LeaveOnDisconnect = None,
    debounce_s: options.DebounceS = None,
    min_presence_timeout_s: options.MinPresenceTimeoutS = None,
    max_presence_timeout_s: options.MaxPresenceTimeoutS = None,
    global_here_now: options.GlobalHereNow = None,
    stream_filtering: options.StreamFiltering = None,
    access_manager: options.AccessManager = None,
    leave_needs_read: options.LeaveNeedsRead = None,
    here_now_cache_s: options.HereNowCacheS = None,
    heartbeat_cache_s: options.HeartbeatCacheS = None,
) -> None:
    """Run a local presence service until Ctrl-C.

    Prints its URL first. A browser on this machine finds a console at that URL.

    Any subscribe key works. Example: presence-async emulate --port 8080, then
    presence-async here-now lobby --origin http://127.0.0.1:8080
    --subscribe-key demo --user-id alice

    An outage of ten seconds from the start: presence-async emulate --fault
    heartbeat:503:for_s=10, or '{"operation": "heartbeat", "status": 503, "for_s": 10}'.
    While it runs, programs on this machine can use the control path, with JSON:
    POST, GET and DELETE /_emulator/faults and /_emulator/event-faults, POST and DELETE
    /_emulator/tokens?token=, GET /_emulator/requests, /_emulator/profile,
    /_emulator/occupants?channel= and /_emulator/events?channel=, POST /_emulator/reset,
    /_emulator/lose-messages, /_emulator/restart-timetokens?shift_s=,
    /_emulator/kick?user_id= and /_emulator/advance?seconds=; each may name a
    subscribe_key=. Anyone may GET /_emulator/health.
    """
    arguments = locals()  # before there are others
    from ..emulator.control import is_loopback  # noqa: PLC0415  # as app says

    service = emulator.PresenceEmulator  # not imported while the event loop runs

    async def serve() -> None:
        if verbose:
            logging.basicConfig(format="%(asctime)s %(message)s")
            logging.getLogger("presence_async.emulator").setLevel(logging.INFO)
        faults: list[emulator.Fault | emulator.EventFault] = [
            *[emulator.Fault.from_text(text) for text in fault or ()],
            *[
                emulator.EventFault.from_dict(_object(text))
                for text in event_fault or ()
            ],
        ]
        async with service(
            host=host,
            port=port,
            subscribe_key=subscribe_key,
            publish_key=publish_key,
            secret_key=_secret_key() if verify_signatures else None,
            subscribe_keys=valid_key or None,
            access=None if access is None else _grants(access),
            idle_poll_s=idle_poll_s,
            max_requests_per_s=max_requests_per_s,
            journal_size=journal_size,
            control_token=control_token,
            profile=_profile(profile, arguments),
        ) as served:
            for one in faults:
                served.inject(one, subscribe_key="*")
            url = f"http://{served.origin}"
            console = f"http://{_reachable(served.origin)}/"
            if as_json:
                print_json({"url": url, "console": console})
            else:
                say(f"{url}\nconsole: {console}")  # at once: who reads one line may go
            if not is_loopback(urlsplit(url).hostname or ""):
                complain("other machines can reach this address")
            await asyncio.Event().wait()  # a signal cancels it

    run(serve, until_stopped=True)


def _reachable(origin: str) -> str:
    """Return an origin by which this machine reaches what listens on any address."""
    host, _, port = origin.rpartition(":")
    return f"127.0.0.1:{port}" if host in {"0.0.0.0", "[::]"} else origin  # noqa: S104  # compared


def _profile(
    path: Path | None, arguments: Mapping[str, Any]
) -> emulator.EmulatorProfile:
    """Return the profile of a file, with the fields that flags give."""
    kind = emulator.EmulatorProfile
    fields = (kind() if path is None else kind.load(path)).to_dict()
    given = {n: v for n, v in arguments.items() if n in fields and v is not None}
    return kind.from_dict({**fields, **given})


def _secret_key() -> str:
    from ..client.config import environment_value  # noqa: PLC0415  # as app says

    secret_key = environment_value("PUBNUB_SECRET_KEY")
    if secret_key is None:
        raise InvalidArgumentError(
            "--verify-signatures", "set PUBNUB_SECRET_KEY in the environment"
        )
    return secret_key


def _object(text: str) -> dict[str, Any]:
    try:
        fields: object = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if isinstance(fields, dict):
        return fields
    raise InvalidArgumentError("--event-fault", "must be a JSON object")


def _grants(path: Path) -> dict[str, list[emulator.Grant]]:
    try:
        tokens: object = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise InvalidArgumentError("--access", f"{path} is not JSON") from None
    if not isinstance(tokens, dict):
        raise InvalidArgumentError("--access", f"{path} must hold a JSON object")
    return {
        token: [
            emulator.Grant.from_dict(fields)
            for fields in (grants if isinstance(grants, list) else [grants])
        ]
        for token, grants in tokens.items()
    }
