"""Names longer than the service documents: sent all the same, and told of once."""

from __future__ import annotations

import re
from typing import Final

from ...protocol.encoding import decode_name
from ...protocol.exchange import HttpRequest
from ...protocol.names import MAX_DOCUMENTED_LENGTH
from ..safe_log import SafeLogger

__all__ = ["LongNames"]

logger: SafeLogger = SafeLogger("presence_async.client")

_MOST_KNOWN: Final = 1000
# Escaped, a name is never shorter.
_LONG: Final = re.compile(rf"[^/,&=]{{{MAX_DOCUMENTED_LENGTH + 1},}}")
_NAMES_IN_QUERY: Final = re.compile(r"(?:^|&)(?:channel-group|add|remove)=([^&]*)")


class LongNames:
    """Logs each name of more than 92 characters the first time it is sent.

    Source: https://www.pubnub.com/docs/general/channels/overview (read 2026-11) has 92
    UTF-8 characters; whether the service refuses longer names is not known.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()

    def note(self, request: HttpRequest, user_id: str) -> None:
        """Look at an operation's request and at the user it speaks for."""
        is_short = len(user_id) <= MAX_DOCUMENTED_LENGTH
        if is_short and _LONG.search(request.target) is None:
            return
        texts = [request.path, *_NAMES_IN_QUERY.findall(request.query)]
        names = [decode_name(part) for text in texts for part in _LONG.findall(text)]
        for name in [*names, user_id]:
            is_long = len(name) > MAX_DOCUMENTED_LENGTH
            if is_long and name not in self._known and len(self._known) < _MOST_KNOWN:
                self._known.add(name)
                logger.warning(
                    "%a… has %d characters; PubNub documents names of up to %d",
                    name[:40],
                    len(name),
                    MAX_DOCUMENTED_LENGTH,
                )
