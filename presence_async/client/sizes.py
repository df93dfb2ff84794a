"""Whether what is to be announced fits into requests at all, before any is sent.

Names are spread over as many requests as they need; one name with a state too large
for one request cannot be helped.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.json_codec import Json
from ..protocol.user_state import SetStateOperation
from .pipeline import RequestPipeline

__all__ = ["check_fits"]

Params = tuple[tuple[str, str], ...]

_SMALL_CHARACTERS = 1024
"""Of 12 bytes each at most, so that no request comes near the limit."""


def check_fits(
    pipeline: RequestPipeline,
    *,
    user_id: str,
    names: tuple[str, ...],
    state: Mapping[str, Json] | None,
    params: Params,
) -> None:
    """Refuse what no heartbeat, and no change of state, could carry.

    Args:
        pipeline: Knows what every request carries.
        user_id: Whose presence it is.
        names: Channels and channel groups.
        state: What is to be told about each of them.
        params: Query parameters beside the config's.

    Raises:
        InvalidArgumentError: The longest name alone would pass 32 KiB.
    """
    longest = max(names, key=len)
    if state is None and not params and len(longest) + len(user_id) < _SMALL_CHARACTERS:
        return
    beat = HeartbeatOperation(
        subscribe_key=pipeline.subscribe_key,
        user_id=user_id,
        channels=(longest,),
        state=None if state is None else {longest: state},
    )
    pipeline.check(beat, params)
    if state is not None:
        change = SetStateOperation(
            subscribe_key=pipeline.subscribe_key,
            user_id=user_id,
            channels=(longest,),
            state=state,
            acting_user_id=user_id,
        )
        pipeline.check(change, params)
