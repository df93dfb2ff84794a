"""Bodies of answers: bounded while they are read and while they are unpacked."""

from __future__ import annotations

import os
import ssl
import zlib
from collections.abc import AsyncIterable

__all__ = ["UnreadableError", "decompressed", "read_up_to", "words_of_system"]


class UnreadableError(Exception):
    """A body that is too large or not what its headers say."""


async def read_up_to(chunks: AsyncIterable[bytes], limit: int) -> bytes:
    """Put a body together.

    Raises:
        UnreadableError: It is larger than the limit.
    """
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def decompressed(body: bytes, encoding: str | None, limit: int) -> bytes:
    """Unpack a body, never to more than the limit.

    Args:
        body: As it came.
        encoding: What ``Content-Encoding`` says.
        limit: Most bytes, before and after.

    Raises:
        UnreadableError: It is larger, damaged, or packed in another way.
    """
    coding = (encoding or "identity").lower()
    if len(body) > limit:
        raise _too_large(limit)
    if coding == "identity" or not body:
        return body
    if coding not in {"gzip", "x-gzip", "deflate"}:
        raise UnreadableError(f"content encoding {coding[:40]!r}, not asked for")
    # 32: find out by itself whether the header is gzip's or zlib's.
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error:
        plain = b""
    if len(plain) > limit:
        raise _too_large(limit)
    if not unpacker.eof:
        raise UnreadableError(f"its {coding} body is damaged")
    return plain


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
