"""What the token allows, operation by operation, and whether a leave needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import AccessDeniedError, ServiceError
from ..protocol.channel_groups import (
    AddChannelsOperation,
)
from ..protocol.exchange import Operation
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.here_now import HereNowOperation
from ..protocol.leave import LeaveOperation
from ..protocol.names import PRESENCE_SUFFIX
from ..protocol.subscribe import SubscribeOperation
from ..protocol.user_state import GetStateOperation, SetStateOperation
from ..protocol.where_now import WhereNowOperation
from .finding import Finding, ok, problem, unknown, warning
from .subject import Subject

__all__ = ["leave_right", "token"]

_TIMEOUT_S = 20
_ADD_ON = "the keyset the Stream Controller add-on"


class _Trial(NamedTuple):
    """An operation to try.

    Attributes:
        name: As an error names it.
        made: Makes it, for a subscribe key, user, channel and group.
        right: The grant that it needs, with ``{channel}``.
        is_core: Whether presence is of no use without it.
    """

    name: str
    made: Callable[[str, str, str, str], Operation[Any]]
    right: str
    is_core: bool = False


# In this order a throw-away user comes, goes, and leaves nothing behind.
_TRIALS: tuple[_Trial, ...] = (
    _Trial(
        "heartbeat",
        lambda key, user, channel, _: HeartbeatOperation(
            subscribe_key=key,
            user_id=user,
            channels=(channel,),
            presence_timeout_s=_TIMEOUT_S,
        ),
        "read on {channel}",
        is_core=True,
    ),
    _Trial(
        "here now",
        lambda key, _, channel, __: HereNowOperation(
            subscribe_key=key, channels=(channel,), limit=1
        ),
        "read on {channel}",
        is_core=True,
    ),
    _Trial(
        "where now",
        lambda key, user, _, __: WhereNowOperation(subscribe_key=key, user_id=user),
        "no right",
    ),
    _Trial(
        "set state",
        lambda key, user, channel, _: SetStateOperation(
            subscribe_key=key, user_id=user, channels=(channel,), state={}
        ),
        "read on {channel}",
    ),
    _Trial(
        "get state",
        lambda key, user, channel, _: GetStateOperation(
            subscribe_key=key, user_id=user, channels=(channel,)
        ),
        "read on {channel}",
    ),
    _Trial(
        "events",
        lambda key, user, channel, _: SubscribeOperation(
            subscribe_key=key, user_id=user, channels=(channel + PRESENCE_SUFFIX,)
        ),
        "read on {channel}-pnpres",
    ),
    _Trial(
        "leave",
        lambda key, user, channel, _: LeaveOperation(
            subscribe_key=key, user_id=user, channels=(channel,)
        ),
        "read on {channel}",
    ),
    _Trial(
        "channel groups",
        lambda key, _, channel, group: AddChannelsOperation(
            subscribe_key=key, group=group, channels=(channel,)
        ),
        "manage on the group",
    ),
)


async def token(subject: Subject) -> Finding:
    """Try each operation on the channel with a throw-away user."""
    refused: dict[_Trial, AccessDeniedError] = {}
    for trial in _TRIALS:
        try:
            await _tried(subject, trial)
        except AccessDeniedError as error:
            refused[trial] = error
    names = [trial.name for trial in _TRIALS if trial not in refused]
    if not refused:
        return ok("token", f"every operation is allowed on {subject.target}")
    dead = _dead_token(refused.values())
    if dead is not None:
        return dead
    allowed = f"allowed: {', '.join(names) or 'nothing'}"
    denied = ", ".join(trial.name for trial in refused)
    text = f"refused: {denied}; {allowed}"
    if any(trial.is_core for trial in refused):
        return problem("token", text, _grants(subject, refused))
    return warning("token", text, _grants(subject, refused))


async def leave_right(subject: Subject) -> Finding:
    """Leave without a token, with a user who is nowhere."""
    operation = LeaveOperation(
        subscribe_key=subject.config.subscribe_key,
        user_id=subject.named("nobody"),
        channels=(subject.target,),
    )
    try:
        await subject.stray.ask(operation)
    except AccessDeniedError:
        return ok("leave right", "a leave needs a token, too", leave_needs_read=True)
    except ServiceError as error:
        if error.is_transient:
            raise
        return unknown("leave right", error.problem)
    return ok("leave right", "a leave needs no token", leave_needs_read=False)


async def _tried(subject: Subject, trial: _Trial) -> None:
    user_id, group = subject.named("visitor"), subject.named("group")
    operation = trial.made(subject.config.subscribe_key, user_id, subject.target, group)
    if isinstance(operation, HeartbeatOperation):
        subject.owns_user(user_id, subject.target)
    if isinstance(operation, AddChannelsOperation):
        subject.owns_group(group)
    await subject.wire.ask(operation)


def _dead_token(errors: Iterable[AccessDeniedError]) -> Finding | None:
    """Return the finding about a token that is no longer valid, by its words."""
    for error in errors:
        for word in ("expired", "revoked"):
            if word in error.message.lower():
                return problem(
                    "token",
                    f"the token is {word}",
                    "get a new one from your server, and give it as PUBNUB_AUTH",
                )
    return None


def _grants(subject: Subject, refused: Mapping[_Trial, AccessDeniedError]) -> str:
    """Return what to grant so that the refused operations are allowed."""
    names = {trial.name for trial in refused}
    if "heartbeat" in names and "here now" not in names:
        return "use a token that is not bound to one user (authorized_uuid)"
    rights = [
        _ADD_ON
        if "add-on" in error.message
        else trial.right.format(channel=subject.target)
        for trial, error in refused.items()
    ]
    return f"grant {', '.join(dict.fromkeys(rights))}"
