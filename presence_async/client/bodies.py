"""Bodies of answers: bounded while they are read and while they are unpacked."""

from __future__ import annotations

import os
import ssl
import zlib
from collections.abc import AsyncIterable
from typing import Final

__all__ = ["UnreadableError", "decompressed", "read_up_to", "words_of_system"]

# Which formats zlib tries for a coding. 32: it finds out by itself whether the header
# is gzip's or zlib's. Some servers send deflate without any header, against RFC 9110.
_DETECTED: Final = zlib.MAX_WBITS | 32
_NO_HEADER: Final = -zlib.MAX_WBITS
_FORMATS: Final = {
    "gzip": (_DETECTED,),
    "x-gzip": (_DETECTED,),
    "deflate": (_DETECTED, _NO_HEADER),
}
_GZIP_MAGIC: Final = b"\x1f\x8b"
_MOST_CODINGS: Final = 3
# What zlib leaves after a member is copied, so thousands of tiny members would keep
# the event loop busy for minutes. They may cost as much as reading the limit so often.
_MOST_COPIES: Final = 32


class UnreadableError(Exception):
    """A body that is too large or not what its headers say."""


async def read_up_to(chunks: AsyncIterable[bytes], limit: int) -> bytes:
    """Read a body to its end, or to a little more than the limit."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            break
    return bytes(body)


def decompressed(body: bytes, encoding: str | None, limit: int) -> bytes:
    """Unpack a body, never to more than the limit.

    Args:
        body: As it was received.
        encoding: The value of ``Content-Encoding``: codings in the order applied.
        limit: The most bytes allowed, packed as well as unpacked.

    Raises:
        UnreadableError: It is larger, damaged, or packed in another way.
    """
    if len(body) > limit:
        raise _too_large(limit)
    codings = [
        coding
        for part in (encoding or "").lower().split(",")
        if (coding := part.strip()) not in {"", "identity"}
    ]
    if not body:
        return body
    if len(codings) > _MOST_CODINGS or any(x not in _FORMATS for x in codings):
        shown = ", ".join(codings)[:40]
        raise UnreadableError(f"content encoding {shown!r}, not asked for")
    for coding in reversed(codings):
        body = _without(coding, body, limit)
    return body


def _without(coding: str, body: bytes, limit: int) -> bytes:
    for wbits in _FORMATS[coding]:
        try:
            plain = _unpacked(body, wbits, limit)
        except zlib.error:
            continue
        if plain is not None:
            return plain
    raise UnreadableError(f"its {coding} body is damaged")


def _unpacked(body: bytes, wbits: int, limit: int) -> bytes | None:
    """Unpack a body of one or several members; ``None``: it ends early or goes on."""
    plain = b""
    copied = 0
    while copied <= _MOST_COPIES * limit:
        unpacker = zlib.decompressobj(wbits)
        plain += unpacker.decompress(body, limit + 1 - len(plain))
        if len(plain) > limit:
            raise _too_large(limit)
        if not unpacker.eof:
            return None
        # Members may be followed by zeros, as on tapes.
        rest = unpacker.unused_data.lstrip(b"\0")
        if not rest:
            return plain
        if not (body.startswith(_GZIP_MAGIC) and rest.startswith(_GZIP_MAGIC)):
            return None
        body = rest
        copied += len(rest) + len(plain)
    return None


def _too_large(limit: int) -> UnreadableError:
    return UnreadableError(
        f"its body is larger than max_reply_bytes ({limit}); ask for less at a time"
    )


def words_of_system(error: Exception) -> str | None:
    """Return why a connection failed; ``None``: the system did not say.

    Args:
        error: An ``OSError``, or aiohttp's error around one or around a certificate.
    """
    inner = getattr(error, "certificate_error", None)
    inner = inner or getattr(error, "os_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    if isinstance(inner, ssl.SSLError):
        # Its errno is a code of OpenSSL, not an error number of the system.
        return inner.reason
    if not isinstance(inner, OSError):
        return None
    is_system = inner.errno is not None and inner.errno > 0
    return os.strerror(inner.errno or 0) if is_system else inner.strerror
