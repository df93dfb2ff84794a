"""Features of a keyset that are on or off: global here now and stream filters."""

from __future__ import annotations

from ..errors import AccessDeniedError, ReplyFormatError, ServiceError
from ..protocol.here_now import HereNowOperation
from ..protocol.names import PRESENCE_SUFFIX
from ..protocol.subscribe import SubscribeOperation
from .finding import Finding, ok, unknown
from .subject import Subject

__all__ = ["global_here_now", "stream_filtering"]

_FILTER = (("filter-expr", "uuid == 'nobody'"),)


async def global_here_now(subject: Subject) -> Finding:
    """Ask how many are on every channel."""
    operation = HereNowOperation(
        subscribe_key=subject.config.subscribe_key, include_user_ids=False
    )
    name = "global here now"
    try:
        await subject.wire.ask(operation)
    except AccessDeniedError:
        return unknown(name, "the token does not cover every channel")
    except ReplyFormatError:
        pass  # too much for one answer, but an answer
    except ServiceError as error:
        if error.is_transient:
            raise
        return ok(
            name,
            "off: a here now has to name its channels",
            global_here_now=False,
        )
    return ok(name, "on: a here now may ask about every channel", global_here_now=True)


async def stream_filtering(subject: Subject) -> Finding:
    """Subscribe with a filter; whether it is honoured is not looked at."""
    operation = SubscribeOperation(
        subscribe_key=subject.config.subscribe_key,
        user_id=subject.config.user_id,
        channels=(subject.target + PRESENCE_SUFFIX,),
    )
    name = "stream filtering"
    try:
        await subject.wire.ask(operation, params=_FILTER)
    except AccessDeniedError as error:
        return unknown(name, error.problem)
    except ServiceError as error:
        if error.is_transient:
            raise
        return ok(name, "off: filter-expr is refused", stream_filtering=False)
    return ok(name, "on: filter-expr is accepted", stream_filtering=True)
