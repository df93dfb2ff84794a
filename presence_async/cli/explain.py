"""``presence-async explain``: print why a user was shown as they were."""

from __future__ import annotations

import functools
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidArgumentError, PresenceError
from . import options
from .output import complain, print_json, say, shown
from .running import asked_aside, run

if TYPE_CHECKING:
    from ..explain.facts import Fact
    from ..explain.story import Explanation

__all__ = ["explain"]

_MOST_NAMED = 10
_WITHIN_S = 10.0
_LARGEST_ANSWER = 256 * 2**20
_SCHEMES = ("http://", "https://")
_CONTROL_TOKEN = "PRESENCE_EMULATOR_CONTROL_TOKEN"  # noqa: S105  # a variable's name
_REMEDIES = {
    401: f"put its control token into {_CONTROL_TOKEN}",
    403: "it answers its own machine alone, or whoever has a control token",
}

User = Annotated[str, typer.Argument(help="The user.", show_default=False)]
Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE|URL",
        help=(
            "Files that programs write with explain_to, or the URL of an emulator"
            " [env: PRESENCE_EXPLAIN_FILE]. The stories of several are told as one."
            f" A control token of the emulator comes from {_CONTROL_TOKEN}."
        ),
        show_default=False,
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help=(
            "The time asked about: 2026-11-27T12:05, 12:05, 12:05:30 or -10m, local"
            " time unless it names a zone; otherwise now, or what was wrong last."
        ),
        show_default=False,
    ),
]


def explain(
    user: User,
    sources: Sources = None,
    at: At = None,
    origin: Annotated[
        str | None,
        typer.Option(help="The URL of an emulator, instead of files."),
    ] = None,
    subscribe_key: options.SubscribeKey = None,
    as_json: options.AsJson = False,
) -> None:
    """Tell why USER was shown online or offline.

    Example: presence-async explain alice --at 12:05 decisions.jsonl
    """

    async def tell() -> None:
        named = [*(sources or []), *([origin] if origin else [])]
        told = await _told(user, named, at, subscribe_key)
        if as_json:
            print_json(told.to_dict())
        else:
            say(str(told))

    run(tell)


async def _told(
    user: str, sources: list[str], at: str | None, subscribe_key: str | None
) -> Explanation:
    # Not at the top: a help text needs none of it.
    from ..client import wall_clock  # noqa: PLC0415
    from ..client.config import environment_value  # noqa: PLC0415
    from ..explain import moment  # noqa: PLC0415
    from ..explain.story import explained  # noqa: PLC0415

    if not user.strip():
        raise InvalidArgumentError("USER", "is missing; name the user to tell about")
    subscribe_key = subscribe_key or environment_value("PUBNUB_SUBSCRIBE_KEY")
    now = wall_clock.now_s()
    when = None if at is None else moment.read(at, now)
    if not sources:
        sources = [environment_value("PRESENCE_EXPLAIN_FILE") or ""]
    facts: list[Fact] = []
    for source in sources:
        if source.startswith(_SCHEMES):
            ask = functools.partial(_of_emulator, user, source, subscribe_key, now)
            facts += await asked_aside(ask)
        else:
            # A pipe may have nothing to say for a long time.
            facts += await asked_aside(functools.partial(_of_file, source))
    if not any(fact.user == user for fact in facts):
        raise PresenceError(_nobody(user, facts, sources, subscribe_key))
    # A clock elsewhere may be ahead of ours.
    now = max(now, *(fact.at for fact in facts))
    return explained(user, facts, at=when, now=now)


def _of_file(source: str) -> list[Fact]:
    from ..explain.file import lines_of, read_facts  # noqa: PLC0415

    if not source:
        raise InvalidArgumentError(
            "FILE|URL",
            "is missing; name a file that a program writes with explain_to, or the URL"
            " of an emulator (--origin does, too); PRESENCE_EXPLAIN_FILE names a file",
        )
    try:
        facts, unread = read_facts(lines_of(Path(source)))
    except OSError as error:
        raise PresenceError(
            f"cannot read {source!r}: {error.strerror}; name a file that a program"
            " writes with explain_to"
        ) from None
    if unread and not facts:
        raise InvalidArgumentError("FILE", f"{source!r} is not written by explain_to")
    if unread:
        lines = "1 line" if unread == 1 else f"{unread:,} lines"
        complain(f"{lines} of {source!r} cannot be read and are left out")
    return facts


def _nobody(
    user: str, facts: Iterable[Fact], sources: Sequence[str], subscribe_key: str | None
) -> str:
    """Return that nothing is told of a user, where that was, and of whom there is."""
    emulators = [repr(url) for url in sources if url.startswith(_SCHEMES)]
    if len(emulators) == len(sources):
        key, check = "any subscribe key", "the name"
        if subscribe_key is not None:
            key, check = (
                f"subscribe key {subscribe_key!r}",
                "the name and --subscribe-key",
            )
        where = " and that at ".join(emulators)
        return (
            f"the emulator at {where} has seen nothing of {user!r} ({key});"
            f" check {check}"
        )
    users = Counter(fact.user for fact in facts if fact.user)
    if not users:
        return f"nothing is told of {user!r}, nor of any other user"
    named = ", ".join(shown(name) for name, _ in users.most_common(_MOST_NAMED))
    more = len(users) - _MOST_NAMED
    rest = f" and {more:,} more" if more > 0 else ""
    return f"nothing is told of {user!r}; there are decisions about {named}{rest}"


def _of_emulator(
    user: str, url: str, subscribe_key: str | None, now: float
) -> list[Fact]:
    from ..client.config import environment_value  # noqa: PLC0415
    from ..explain.service_side import facts_of, key_of  # noqa: PLC0415

    token = environment_value(_CONTROL_TOKEN)
    params = {"user_id": user, "limit": "1000000"}
    base = f"{url.rstrip('/')}/_emulator"
    try:
        # Without a key, requests are those of every key, and events are not.
        key = subscribe_key or key_of(_get(f"{base}/requests", params, token))
        if key is not None:
            params["subscribe_key"] = key
        events = _get(f"{base}/events", params, token)
        requests = _get(f"{base}/requests", params, token)
        return facts_of(user, events, requests, now)
    except (ValueError, http.client.HTTPException):
        raise PresenceError(
            f"there is no emulator at {url!r}; copy the URL that emulate prints"
        ) from None
    except OSError as error:
        remedy = "check that it runs, and copy the URL it prints"
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            remedy = _REMEDIES.get(error.code, remedy)
        reason = getattr(error, "reason", error)
        why = getattr(reason, "strerror", None) or reason
        raise PresenceError(
            f"cannot ask the emulator at {url!r}: {why}; {remedy}"
        ) from None


def _get(url: str, params: Mapping[str, str], token: str | None) -> bytes:
    # An emulator answers its own machine alone, so no proxy can be on the way.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(f"{url}?{urllib.parse.urlencode(params)}")  # noqa: S310  # http or https
    if token is not None:
        # Nobody to whom the emulator might redirect gets it.
        asked.add_unredirected_header("Authorization", f"Bearer {token}")
    with opener.open(asked, timeout=_WITHIN_S) as answer:
        body: bytes = answer.read(_LARGEST_ANSWER)
    return body
