"""Percent-encode names, lists and queries, and strictly decode them.

The service and every SDK's parser accept this rule: encode as UTF-8, then escape
everything but ``A-Z a-z 0-9 - _ . ~`` with upper-case hex. A space is ``%20``, never
``+``, which always means a plus. Names of a list are escaped one by one and joined
with a bare comma.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes

from ..errors import InvalidArgumentError

__all__ = [
    "decode_name",
    "decode_names",
    "decode_query",
    "encode_name",
    "encode_names",
    "encode_query",
    "split_list",
]

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@functools.lru_cache(maxsize=8192)
def encode_name(name: str) -> str:
    """Escape one name for a path segment or a query value."""
    escaped = quote(name, safe="")
    # Most need no escape; then the cache keeps no copy.
    return name if escaped == name else escaped


def encode_names(names: Iterable[str]) -> str:
    """Escape a list of names; an empty list is a single comma, as on the wire."""
    return ",".join([encode_name(name) for name in names]) or ","


def encode_query(params: Iterable[tuple[str, str]]) -> str:
    """Escape names and values into a query, in the order given."""
    return "&".join([
        f"{encode_name(name)}={encode_name(value)}" for name, value in params
    ])


def decode_name(text: str) -> str:
    """Undo ``encode_name``.

    Raises:
        InvalidArgumentError: A percent-escape is broken, or the bytes are not UTF-8.
    """
    if "%" not in text:
        return text
    if _BROKEN_ESCAPE.search(text):
        raise InvalidArgumentError("path or query", "contains a broken percent-escape")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        pass
    raise InvalidArgumentError("path or query", "its percent-escapes are not UTF-8")


def decode_names(segment: str) -> tuple[str, ...]:
    """Undo ``encode_names``: split on bare commas first, then decode."""
    return tuple([decode_name(part) for part in segment.split(",") if part])


def split_list(value: str) -> tuple[str, ...]:
    """Split a decoded query value such as ``channel-group`` into its names."""
    return tuple([part for part in value.split(",") if part])


def decode_query(query: str) -> list[tuple[str, str]]:
    """Undo ``encode_query``; a part without ``=`` has an empty value.

    Raises:
        InvalidArgumentError: A percent-escape is broken, or the bytes are not UTF-8.
    """
    pairs = [part.partition("=") for part in query.split("&") if part]
    return [(decode_name(name), decode_name(value)) for name, _, value in pairs]
