"""Scripts for a server, in Lua: what those for records and for the hub have in common.

A script touches one key. Fields have names in a script and numbers in what is stored;
what is missing has the default of ``record``.
"""

from __future__ import annotations

import hashlib
import re

__all__ = ["Script", "script"]


class Script:
    """A script in Lua.

    Attributes:
        text: What it is.
        sha: How a server calls it once it has seen it.
    """

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text: bytes = text.encode()
        digest = hashlib.sha1(self.text, usedforsecurity=False)
        self.sha: bytes = digest.hexdigest().encode()


# ARGV[1] is the time, or empty: the server's own. Before Redis 7 a script that asks for
# the time may only write if it has said that its effects are what is replicated.
_HEAD = """
local key, now = KEYS[1], tonumber(ARGV[1])
if not now then
  if redis.replicate_commands then redis.replicate_commands() end
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
"""


def script(fields: dict[str, int], *parts: str) -> Script:
    """Return a script put together of parts, with numbers in place of field names."""
    names = "|".join(fields)
    return Script(
        re.sub(
            rf"\.({names})\b",
            lambda found: f"[{fields[found[1]]}]",
            "".join((_HEAD, *parts)),
        )
    )
