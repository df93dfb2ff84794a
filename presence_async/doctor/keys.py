"""Do the keys open anything: subscribe key, signature, Access Manager, the add-on."""

from __future__ import annotations

from ..errors import AccessDeniedError, RequestError, ServiceError
from ..protocol.names import PRESENCE_SUFFIX
from ..protocol.subscribe import SubscribeOperation
from ..protocol.where_now import WhereNowOperation
from .finding import Finding, ok, problem, unknown, warning
from .subject import Subject

__all__ = ["access", "keys", "presence"]

_NOT_TURNED_ON = 402
_PORTAL = "Admin Portal (admin.pubnub.com)"


async def keys(subject: Subject) -> Finding:
    """Ask where a throw-away user is, for which no token is needed."""
    config = subject.config
    operation = WhereNowOperation(
        subscribe_key=config.subscribe_key, user_id=subject.named("nobody")
    )
    try:
        await subject.wire.ask(operation)
    except ServiceError as error:
        if error.status == _NOT_TURNED_ON:
            return ok("keys", _known(subject))
        if error.is_transient:
            raise
        return _refused(subject, error)
    return ok("keys", _known(subject))


async def access(subject: Subject) -> Finding:
    """Listen to presence events without a token and signature."""
    operation = SubscribeOperation(
        subscribe_key=subject.config.subscribe_key,
        user_id=subject.config.user_id,
        channels=(subject.target + PRESENCE_SUFFIX,),
    )
    has_token = subject.config.auth is not None
    try:
        await subject.stray.ask(operation)
    except AccessDeniedError:
        if has_token or subject.config.secret_key is not None:
            text = "Access Manager is on; there is a token or a signature"
            return ok("access", text, access_manager=True)
        return problem(
            "access",
            "Access Manager is on, and there is no token",
            "get a token from your server, and give it as PUBNUB_AUTH",
            access_manager=True,
        )
    except ServiceError as error:
        if error.is_transient:
            raise
        # Not in the service's words: it may repeat secrets that this request had not.
        if subject.config.secret_key is not None:
            return ok("access", "only signed requests are answered; these are signed")
        return unknown("access", f"refused with status {error.status}")
    if has_token:
        return warning(
            "access",
            "Access Manager is off, so the token protects nothing",
            f"turn on Access Manager in the {_PORTAL}, or leave the token out",
            access_manager=False,
        )
    return ok("access", "Access Manager is off; no token needed", access_manager=False)


async def presence(subject: Subject) -> Finding:
    """Ask who is on a channel."""
    try:
        await subject.user_ids(subject.target)
    except AccessDeniedError:
        return unknown("presence", "the token may not ask who is there")
    except ServiceError as error:
        if error.status == _NOT_TURNED_ON:
            return problem(
                "presence",
                "Presence is off for this keyset",
                f"turn on the Presence add-on of the keyset in the {_PORTAL}",
                presence=False,
            )
        raise
    return ok("presence", "the Presence add-on is on", presence=True)


def _known(subject: Subject) -> str:
    is_signing = subject.config.secret_key is not None
    signed = ", and the signature is right" if is_signing else ""
    return f"the subscribe key is known{signed}"


def _refused(subject: Subject, error: RequestError) -> Finding:
    """Return what is wrong with the keys, by the service's words as recorded."""
    words = getattr(error, "message", "").lower()
    if "subscribe key" in words:
        return problem(
            "keys",
            f"the service does not know the subscribe key"
            f" {subject.config.subscribe_key!r}",
            f"copy it from the keyset in the {_PORTAL} to PUBNUB_SUBSCRIBE_KEY",
        )
    is_signing = subject.config.secret_key is not None
    if not is_signing and ("timestamp" in words or "signature" in words):
        return problem(
            "keys",
            "this key set wants signed requests, and there is no secret key",
            "set PUBNUB_SECRET_KEY and PUBNUB_PUBLISH_KEY",
        )
    if "timestamp" in words:
        return problem(
            "keys",
            "signed requests are refused for their time",
            "set the clock of this machine by NTP",
        )
    if "signature" in words:
        return problem(
            "keys",
            "the signature is wrong",
            "check that PUBNUB_SECRET_KEY and PUBNUB_PUBLISH_KEY belong to this"
            " subscribe key",
        )
    return problem("keys", error.problem, "check the keys and the origin")
