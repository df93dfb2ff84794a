"""What the system says about a failed connection, in words that hide the URL."""

from __future__ import annotations

import os
import ssl

__all__ = ["words_of_system"]


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
        # Its number is none of the system's.
        return inner.reason
    if not isinstance(inner, OSError):
        return None
    is_system = inner.errno is not None and inner.errno > 0
    return os.strerror(inner.errno or 0) if is_system else inner.strerror
