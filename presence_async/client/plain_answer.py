"""The answer that nearly all are, read without a parser.

A 200 that arrives whole in one piece, uncompressed, with nothing in its head that this
client looks at: taking it apart so costs 3 us, with aiohttp's parser 14, a quarter of a
small request. Whatever is unusual in the slightest is left to the parser.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["plain_answer"]

_LONGEST_HEAD: Final = 4096
# Printable ASCII, no folded lines, no space before a colon.
_HEAD: Final = re.compile(rb"HTTP/1\.1 200 [ -~]*+\r\n(?:[\w-]++:[ -~\t]*+\r\n)++\r\n")
# In lower case: what says that the body or the connection is not plain, and what the
# pipeline looks at.
_UNUSUAL: Final = re.compile(
    rb"\n(?:transfer-encoding|content-encoding|retry-after|upgrade|sec-websocket"
    rb"|age:(?! ?0\r)|connection:(?! ?keep-alive\r))"
)
_LENGTH: Final = re.compile(rb"\ncontent-length: ?([0-9]{1,9})\r")


def plain_answer(data: bytes) -> bytes | None:
    """Return the body of a plain answer; ``None``: it takes a parser.

    Args:
        data: All that has arrived since the request was sent.
    """
    found = _HEAD.match(data)
    if found is None:
        return None
    head_bytes = found.end()
    head = data[:head_bytes].lower()
    if head_bytes > _LONGEST_HEAD or _UNUSUAL.search(head):
        return None
    length = _LENGTH.search(head)
    if length is None or head.count(b"\ncontent-length") > 1:
        return None
    # Neither less than announced nor the beginning of another answer.
    is_whole = int(length[1]) == len(data) - head_bytes
    return data[head_bytes:] if is_whole else None
